"""What we learn ourselves about a message (fetched, read, opened, clicked, told by a channel) as receipts of the queue.

One event carries many. It waits, as any receipt does, while the outcome of its message is not written yet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from delivery import tokens
from delivery.merging import TYPES
from projects.scoping import Scope
from webhooks import outbox
from webhooks.registry import Event

EVENT = "delivery.receipts"
ITEMS_MAX = 500


@dataclass(frozen=True, slots=True)
class Told:
    """One fact about the message at `position` of `job_id`. `kind` is a type of `merging.TYPES`."""

    kind: str
    job_id: int
    position: int
    occurred_at: datetime
    recipient: str = ""
    code: str = ""
    detail: str = ""
    key: str = ""  # what makes it this one receipt, wherever it is told twice


def publish(*, scope: Scope, told: Sequence[Told], now: datetime) -> None:
    """They reach the books in a moment, each once. Requires a transaction; call it last in it."""
    assert all(each.kind in TYPES for each in told)
    for start in range(0, len(told), ITEMS_MAX):
        items = [_item(scope, each) for each in told[start : start + ITEMS_MAX]]
        outbox.publish(scope=scope, type=EVENT, data={"items": items}, now=now)


def unfold(events: Sequence[Event]) -> list[Event]:
    """The receipts in these events, in order, each with an id of its own that never changes."""
    return [each for event in events for each in _of(event)]


def _of(event: Event) -> Iterator[Event]:
    for number, item in enumerate(event.data["items"]):
        yield Event(
            id=item["key"] or f"{event.id}:{number}",
            type=item["type"],
            occurred_at=datetime.fromisoformat(item["occurredAt"]),
            received_at=event.received_at,
            data=item,
            source=event.source,
        )


def _item(scope: Scope, told: Told) -> dict[str, Any]:
    mark = tokens.token(environment_id=scope.environment_id, job_id=told.job_id, position=told.position)
    return {
        "type": told.kind,
        "messageId": f"<{mark}@lamba>",
        "occurredAt": told.occurred_at.isoformat(),
        "recipient": told.recipient[:320],
        "code": told.code[:100],
        "detail": told.detail[:300],
        "key": told.key[:200],
    }
