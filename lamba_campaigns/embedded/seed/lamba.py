"""Lamba and the mail provider of the demo. Their events take the receiver's way: stored, then processed; signed they
need not be, because they never leave this process."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain, groupby

from django.utils import timezone

from audiences import imports
from audiences.models import ImportRun
from lamba_campaigns.embedded.seed import people
from lamba_campaigns.embedded.seed.accounts import Place
from lamba_campaigns.embedded.seed.people import Person, Told
from webhooks import directory, envelope, ingest, process

DELAY = timedelta(seconds=2)  # from happening to being received


def tell(*, place: Place, endpoint: str, events: Iterable[Told]) -> None:
    """All of `events` are received and processed. Telling the same again changes nothing."""
    known = directory.find(endpoint)
    assert known is not None, "the endpoint was made by this seed"
    for day in _days(events):
        now = _received(day[-1].at)
        ingest.record(
            [ingest.arrival(endpoint=known, raw=_raw(place, each), headers=_headers(each), now=now) for each in day]
        )
        work(now)


def bring_in(*, place: Place, persons: Sequence[Person], filename: str, now: datetime) -> None:
    """The people are imported from a CSV file, as of `now`. A file of this name is imported once."""
    if ImportRun.objects.within(place.scope).filter(filename=filename).exists():
        return
    run = imports.upload(
        scope=place.scope,
        actor=place.actor,
        filename=filename,
        chunks=[people.csv_of(persons)],
        dry_run=False,
        skip_invalid=False,
        now=now,
    )
    imports.run(run_id=run.pk, now=now + timedelta(seconds=4))


def settle_in(*, place: Place, persons: Sequence[Person], filename: str, began: datetime) -> None:
    """Who had joined before the workspace began comes as a file; the others, and everybody's news, as events."""
    before = [person for person in persons if person.joined < began]
    bring_in(place=place, persons=before, filename=filename, now=began)
    joined = (told for person in persons if person.joined >= began for told in people.joining(person))
    news = (told for person in persons for told in people.lately(person) if told.at >= began)
    tell(place=place, endpoint=place.lamba_endpoint, events=chain(joined, news))


def work(now: datetime) -> None:
    """Every stored event that is due at `now` is processed."""
    while process.run(now=now):
        pass


def _raw(place: Place, told: Told) -> bytes:
    return envelope.write(
        scope=place.scope, event_id=told.id, event_type=told.type, occurred_at=told.at, data=told.data
    )


def _headers(told: Told) -> dict[str, str]:
    return {"content-type": "application/json", "x-lamba-event": told.type}


def _received(at: datetime) -> datetime:
    return min(at + DELAY, timezone.now())


def _days(events: Iterable[Told]) -> Iterator[Sequence[Told]]:
    """What happened on one day arrives together, when the last of it has happened: nothing arrives before it did."""
    for _, day in groupby(sorted(events, key=lambda each: each.at), key=lambda each: each.at.date()):
        yield list(day)
