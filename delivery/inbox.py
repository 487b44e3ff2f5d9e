"""The in-app inbox of one person: read by a token that a product's backend asked for, and told to the books.

The first fetch of an item says that it was delivered, reading it that it was opened; each is told once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core import signing

from audiences.models import Person
from delivery import own_receipts, statements
from delivery.models import InboxItem
from delivery.own_receipts import Told
from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.lib.sql import durable, require_transaction
from projects.access import scope_by_id
from projects.models import Environment
from projects.scoping import Scope

SALT = "delivery.inbox"
TTL_SECONDS_MIN, TTL_SECONDS_DEFAULT, TTL_SECONDS_MAX = 60, 3_600, 86_400
IDS_MAX = 500
UNREAD_COUNTED_MAX = 100
_ID_MAX = 2**63 - 1


class InboxTokenRefused(DomainError):
    """The token is not ours, has ended, or names somebody who is gone."""

    code = "INBOX_TOKEN_REFUSED"
    status = 401
    title = "This inbox token opens nothing"


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose inbox a token opens."""

    scope: Scope
    person_id: int


@dataclass(frozen=True, slots=True)
class Item:
    """One message as its person sees it."""

    id: int
    title: str
    text: str
    html: str
    created_at: datetime
    read_at: datetime | None
    archived_at: datetime | None


def issue(*, scope: Scope, person: Person, seconds: int, now: datetime) -> tuple[str, datetime]:
    """A token for this person's inbox alone, and when it ends."""
    assert TTL_SECONDS_MIN <= seconds <= TTL_SECONDS_MAX
    ends = now.replace(microsecond=0) + timedelta(seconds=seconds)
    said = {"e": scope.environment_id, "p": person.pk, "x": int(ends.timestamp())}
    return signing.dumps(said, key=settings.LINK_KEY, salt=SALT), ends


def reader(*, token: str, now: datetime) -> Reader:
    """Whose inbox the token opens now."""
    try:
        said: dict[str, Any] = signing.loads(token, key=settings.LINK_KEY, salt=SALT)
    except signing.BadSignature:
        raise _refused("This is no inbox token of ours.") from None
    if now.timestamp() >= said["x"]:
        raise _refused("This inbox token has ended.")
    if not Environment.objects.filter(pk=said["e"]).exists():
        raise _refused("There is no such environment any more.")
    scope = scope_by_id(said["e"])
    if not Person.objects.within(scope).filter(pk=said["p"], erased_at=None).exists():
        raise _refused("There is nobody behind this token any more.")
    return Reader(scope, said["p"])


def fetch(*, who: Reader, before: int | None, archived: bool, limit: int, now: datetime, after: int = 0) -> list[Item]:
    """Up to `limit` items, newest first. Those that are fetched for the first time are delivered from now on."""
    params = {"before": before or _ID_MAX, "after": after, "archived": archived, "most": limit, "now": now}
    with durable():
        rows = statements.rows("fetch_inbox", _of(who) | params)
        told = [Told("message.delivered", row[1], row[2], now, detail="Fetched") for row in rows if row[9]]
        own_receipts.publish(scope=who.scope, told=told, now=now)
    return [Item(row[0], *row[3:9]) for row in rows]


def read(*, who: Reader, ids: Sequence[int] | None, upto: int, now: datetime) -> int:
    """These items (None: all up to `upto`) are read. How many that is news for; each counts as opened."""
    params = {"ids": None if ids is None else list(ids), "upto": upto, "now": now}
    with durable():
        rows = statements.rows("read_inbox_items", _of(who) | params)
        told = [Told("message.opened", job, position, now, detail="Read") for _, job, position in sorted(rows)]
        own_receipts.publish(scope=who.scope, told=told, now=now)
    return len(rows)


def archive(*, who: Reader, ids: Sequence[int], archived: bool, now: datetime) -> int:
    """These items are put away, or back. How many are this person's."""
    params = {"ids": list(ids), "archived": archived, "now": now}
    with durable():
        return len(statements.rows("archive_inbox_items", _of(who) | params))


def unread(*, who: Reader) -> int:
    """How many items wait, counted up to UNREAD_COUNTED_MAX."""
    return int(statements.rows("unread_inbox", _of(who) | {"most": UNREAD_COUNTED_MAX})[0][0])


def forget(*, scope: Scope, external_ids: Sequence[str]) -> int:
    """The inboxes of these users are empty. How many items went. Called in the transaction of the event queue."""
    require_transaction()
    people = Person.objects.within(scope).filter(external_id__in=external_ids).values_list("pk", flat=True)
    items = InboxItem.objects.filter(environment_id=scope.environment_id, person_id__in=list(people))
    return items.delete()[0]


def newest(*, who: Reader) -> int:
    """The number of the newest item, 0 for an empty inbox: what a stream watches."""
    return int(statements.rows("newest_inbox_item", _of(who))[0][0])


def _of(who: Reader) -> dict[str, Any]:
    return {"environment": who.scope.environment_id, "person": who.person_id}


def _refused(detail: str) -> InboxTokenRefused:
    return InboxTokenRefused(detail, next_step="Ask your product's backend for a new one.")
