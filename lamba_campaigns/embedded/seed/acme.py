"""Acme: five thousand people, and a campaign in every stage of its life."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from campaigns import launch
from lamba_campaigns.embedded.seed import content, lamba, people, play
from lamba_campaigns.embedded.seed.accounts import OLD, Place
from lamba_campaigns.embedded.seed.play import Scene, Stage

PEOPLE = 5_000
SANDBOX_PEOPLE = 40
SET_UP = timedelta(hours=1)  # from the first sign-in to the first people
SLOW_PER_MINUTE = 60  # slow enough that somebody who has just signed in can watch it
EASY_PER_MINUTE = 2_400
CALM_PER_MINUTE = 4_000  # a moment's part, two slices of a second, is never all of an audience


@dataclass(frozen=True, slots=True)
class _Moments:
    """When things happened, seen from the first start."""

    now: datetime

    def ago(self, **ago: float) -> datetime:
        return self.now - timedelta(**ago)


def fill(places: dict[str, Place], *, now: datetime) -> int:
    """Both environments of Acme; how many people there are."""
    _fill_sandbox(places["sandbox"], now)
    production = places["production"]
    persons = people.made_up(workspace="acme", count=PEOPLE, now=now)
    lamba.settle_in(place=production, persons=persons, filename="people-of-acme.csv", began=now - OLD + SET_UP)
    stage = play.set_up(production, content.TEMPLATES, content.AUDIENCES, now - OLD + timedelta(hours=3))
    scenes = [_greetings, _win_back]
    if play.may_send():
        play.wait_for_capture()
        scenes += [_news, _trial_reminder, _wrong_date, _paused, _autumn, _first_week]
    play.together(scene(stage, _Moments(now)) for scene in scenes)
    return PEOPLE + SANDBOX_PEOPLE


def _news(stage: Stage, at: _Moments) -> Scene:
    """Everything arrived, or it is known why not."""
    yield (now := at.ago(days=19, hours=2))
    made = play.draft(
        stage, "The new editor is here", template=content.NEWS, audience=content.BETA, now=now, rate=EASY_PER_MINUTE
    )
    if made is None:
        return
    yield (now := at.ago(days=19))
    sending = play.start(stage, made, now)
    yield from play.send_by_minutes(sending, now, 7)
    yield now + timedelta(minutes=7)
    play.send(sending, now + timedelta(minutes=7))
    play.finish(stage, sending, now + timedelta(minutes=8))
    yield now + timedelta(minutes=9)
    play.receive(stage, sending, now, _usual_fate)


def _trial_reminder(stage: Stage, at: _Moments) -> Scene:
    """Some mailboxes were full and stayed so."""
    yield (now := at.ago(days=8))
    made = play.draft(
        stage,
        "Trial reminder, November",
        template=content.TRIAL,
        audience=content.TRIALS,
        now=now,
        rate=CALM_PER_MINUTE,
    )
    if made is None:
        return
    yield (now := at.ago(days=7, hours=3))
    sending = play.start(stage, made, now)
    yield from play.send_by_minutes(sending, now, 1)
    yield now + timedelta(minutes=6)
    play.receive(stage, sending, now, _slow_fate)
    later = now + timedelta(minutes=7)
    yield later
    play.send(sending, later)
    play.finish(stage, sending, later + timedelta(minutes=1))
    yield later + timedelta(minutes=2)
    play.receive(stage, sending, later, _usual_fate)


def _wrong_date(stage: Stage, at: _Moments) -> Scene:
    """Somebody thought better of it."""
    yield (now := at.ago(days=3, hours=5))
    made = play.draft(
        stage, "Renewal, wrong date", template=content.RENEWAL, audience=content.BETA, now=now, rate=CALM_PER_MINUTE
    )
    if made is None:
        return
    yield (now := at.ago(days=3, hours=4))
    sending = play.start(stage, made, now)
    yield from play.send_by_minutes(sending, now, 2)
    yield now + timedelta(minutes=2)
    play.cancel(stage, sending, now + timedelta(minutes=2), "The date in the subject is wrong")
    yield now + timedelta(minutes=3)
    play.receive(stage, sending, now, _usual_fate)


def _paused(stage: Stage, at: _Moments) -> Scene:
    """Paused in the middle."""
    yield (now := at.ago(hours=2))
    made = play.draft(
        stage, "Renewal reminder", template=content.RENEWAL, audience=content.SEEN, now=now, rate=CALM_PER_MINUTE
    )
    if made is None:
        return
    yield (now := at.ago(hours=1, minutes=10))
    sending = play.start(stage, made, now)
    yield from play.send_by_minutes(sending, now, 6)
    yield now + timedelta(minutes=6)
    play.pause(stage, sending, now + timedelta(minutes=6), "Waiting for the new price list")
    yield now + timedelta(minutes=7)
    play.receive(stage, sending, now, _usual_fate)


def _first_week(stage: Stage, at: _Moments) -> Scene:
    """On its way right now."""
    yield at.now
    made = play.draft(
        stage,
        "Tips for the first week",
        template=content.TRIAL,
        audience=content.TRIALS,
        now=at.now,
        rate=SLOW_PER_MINUTE,
    )
    if made is not None:
        play.start(stage, made, at.now)


def _autumn(stage: Stage, at: _Moments) -> Scene:
    """Planned for tomorrow."""
    yield (now := at.ago(hours=5))
    made = play.draft(stage, "Autumn release", template=content.NEWS, audience=content.SEEN, now=now)
    if made is None:
        return
    yield (now := at.ago(hours=4))
    launch.request_schedule(
        scope=stage.place.scope,
        actor=stage.place.actor,
        campaign_id=made.public_id,
        at=_tomorrow_morning(stage, at.now),
        time_zone=stage.place.scope.time_zone,
        version=made.state_version,
        now=now,
    )


def _greetings(stage: Stage, at: _Moments) -> Scene:
    """Ready to be launched."""
    yield (now := at.ago(days=1))
    play.draft(stage, "Season's greetings", template=content.NEWS, audience=content.SEEN, now=now)


def _win_back(stage: Stage, at: _Moments) -> Scene:
    """Not ready: it has no template."""
    yield (now := at.ago(minutes=40))
    play.draft(stage, "Win back", template=None, audience=content.AT_RISK, now=now)


def _fill_sandbox(place: Place, now: datetime) -> None:
    """A few people and one trial run: what a sandbox is for."""
    persons = people.made_up(workspace="acme_test", count=SANDBOX_PEOPLE, now=now)
    lamba.settle_in(place=place, persons=persons, filename="people-for-trials.csv", began=now - OLD + SET_UP)
    stage = play.set_up(place, (content.NEWS,), (content.EVERYBODY,), now - OLD + timedelta(hours=2))
    play.wait_for_capture()
    when = now - timedelta(days=20)
    if made := play.draft(
        stage, "Trial run of the news", template=content.NEWS, audience=content.EVERYBODY, now=when - timedelta(hours=1)
    ):
        sending = play.start(stage, made, when)
        play.send(sending, when + timedelta(seconds=5))
        play.finish(stage, sending, when + timedelta(minutes=1))
        play.receive(stage, sending, when, lambda number: ("delivered",))


def _usual_fate(number: int) -> tuple[str, ...]:
    usual: dict[int, tuple[str, ...]] = {
        7: ("bounced",),
        23: ("delivered", "complained"),
        41: ("deferred", "delivered"),
        53: ("delivered", "unsubscribed"),
    }
    return usual.get(number % 60, ("delivered",))


def _slow_fate(number: int) -> tuple[str, ...]:
    """Some mailboxes are full and stay so."""
    return ("deferred",) if number % 37 == 5 else _usual_fate(number)


def _tomorrow_morning(stage: Stage, now: datetime) -> datetime:
    local: Any = (now + timedelta(days=1)).astimezone(stage.place.scope.zone)
    moment: datetime = local.replace(hour=9, minute=30, second=0, microsecond=0)
    return moment.astimezone(now.tzinfo)
