"""The receipts of an environment, made again from the stored events. The same events give the same rows.

One transaction, in which no event of the environment is processed: a check is a rebuild that is rolled back. Messages,
books and consent stay: they moved by these receipts when they came, and receipts only ever move them upwards.
"""

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction

from delivery import own_receipts, receipts, statements
from delivery.merging import TYPES
from lamba_campaigns.lib import sql
from projects.scoping import Scope
from webhooks import process, projections
from webhooks.models import InboundEvent
from webhooks.projections import Outcome, Projection
from webhooks.registry import Event

EVENTS_PER_STEP = 500
DIFFERENCES_SHOWN_MAX = 20


def register() -> None:
    """Called once, when the app is ready."""
    sentence = "what providers and we ourselves said about messages"
    projections.register("receipts", Projection(sentence, check, rebuild))


def check(scope: Scope, now: datetime) -> Outcome:
    """What a rebuild would put right. Nothing is written."""
    with sql.durable():
        found = _rebuilt(scope)
        transaction.set_rollback(True)
    return found


def rebuild(scope: Scope, now: datetime) -> Outcome:
    """Afterwards there is a receipt for everything that a processed event says about a message, and no other."""
    with sql.durable():
        return _rebuilt(scope)


def _rebuilt(scope: Scope) -> Outcome:
    where = {"environment": scope.environment_id}
    sql.rows("webhooks", "take_turn", {"environment_id": scope.environment_id})
    statements.count("remember_receipts", where)
    statements.count("erase_receipts", where)
    read = made = 0
    for events in _stored(scope):
        read += len(events)
        made += receipts.insert(scope=scope, events=events)
    found = statements.rows("receipts_that_differ", where)
    statements.count("forget_what_stood", {})
    shown = tuple(
        f"{event_id}: stored {before or 'nothing'}, rebuilt {after or 'nothing'}"
        for event_id, before, after in found[:DIFFERENCES_SHOWN_MAX]
    )
    return Outcome(read, made, len(found), shown)


def _stored(scope: Scope) -> Iterator[list[Event]]:
    """What the processed events say about messages, in the order of their arrival."""
    rows = InboundEvent.objects.within(scope).filter(
        state=InboundEvent.State.PROCESSED, type__in=[*TYPES, own_receipts.EVENT]
    )
    after = 0
    while found := list(rows.filter(pk__gt=after).order_by("pk")[:EVENTS_PER_STEP]):
        after = found[-1].pk
        events = [event for claim in process.claims_of(found) for event in process.judge(scope, claim).events]
        yield [
            each
            for event in events
            for each in (own_receipts.unfold([event]) if event.type == own_receipts.EVENT else [event])
        ]
