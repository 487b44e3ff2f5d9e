"""Receipts of mail providers, out of the queue of signed events."""

from collections.abc import Sequence
from datetime import datetime

from delivery import inbox, own_receipts, receipts
from delivery.merging import TYPES
from projects.scoping import Scope
from webhooks.registry import Event, handles


@handles(*TYPES)
def record_receipts(scope: Scope, events: Sequence[Event], now: datetime) -> None:
    receipts.record(scope=scope, events=events, now=now)


@handles(own_receipts.EVENT)
def record_own_receipts(scope: Scope, events: Sequence[Event], now: datetime) -> None:
    receipts.record(scope=scope, events=own_receipts.unfold(events), now=now)


@handles("user.deleted", "delivery.person_changed")
def forget_inboxes(scope: Scope, events: Sequence[Event], now: datetime) -> None:
    """Whoever was erased leaves no messages behind."""
    inbox.forget(scope=scope, external_ids=[str(event.data["userId"]) for event in events if "userId" in event.data])
