"""Send a range of stored events to one endpoint again: those it got, those it missed, those from before it existed.

The same ids and the same bytes, on a fresh ladder; by hand, with a reason, audited as one decision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid
from projects.scoping import Actor, Scope
from webhooks import doorbell, reasons, rotation
from webhooks.models import Delivery, Endpoint, OutboxEvent
from webhooks.outbox import SEND_DELIVERIES

EVENTS_MAX = 5_000  # of one replay; the next one begins where it ended
NEVER = ("endpoint.test",)  # meant for one endpoint at one time


class EndpointNotSending(Conflict):
    code = "ENDPOINT_NOT_ACTIVE"


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many events go, the last one's time, and whether the range has more."""

    count: int
    until: datetime | None
    more: bool


def replay(
    *,
    scope: Scope,
    actor: Actor,
    endpoint_id: str,
    since: datetime,
    until: datetime,
    reason: str,
    dry_run: bool = False,
    now: datetime,
) -> Replayed:
    """Queue every event of `[since, until)` that the endpoint subscribes to, oldest first, at most EVENTS_MAX.

    What waits already stays where it is on its ladder. With `dry_run` nothing moves.
    """
    reason = reasons.checked(reason)
    if since >= until:
        detail = "The range ends before it begins."
        raise Invalid(detail, problems=(FieldProblem("#/until", "range", detail),))
    with sql.durable():
        endpoint = rotation.locked(scope=scope, endpoint_id=endpoint_id)
        if endpoint.direction != Endpoint.Direction.OUT or endpoint.status != Endpoint.Status.ACTIVE:
            raise EndpointNotSending("Only an active outgoing endpoint gets events.", next_step="Enable it first.")
        events = list(_events(scope, endpoint, since, until)[: EVENTS_MAX + 1])
        more, events = len(events) > EVENTS_MAX, events[:EVENTS_MAX]
        result = Replayed(len(events), events[-1].occurred_at if events else None, more)
        if events and not dry_run:
            _queue(scope, endpoint, events, now)
            chain.record(
                scope=scope,
                actor=actor,
                action="endpoint.replayed",
                subject=chain.Subject("endpoint", endpoint.public_id, endpoint.name),
                now=now,
                after={"since": since.isoformat(), "until": until.isoformat(), "events": len(events)},
                reason=reason,
            )
        return result


def _events(scope: Scope, endpoint: Endpoint, since: datetime, until: datetime) -> QuerySet[OutboxEvent]:
    found: QuerySet[OutboxEvent] = (
        OutboxEvent.objects.within(scope)
        .filter(occurred_at__gte=since, occurred_at__lt=until)
        .exclude(type__in=NEVER)
        .order_by("sequence")
        .only("id", "occurred_at")
    )
    return found.filter(type__in=endpoint.event_types) if endpoint.event_types else found


def _queue(scope: Scope, endpoint: Endpoint, events: Sequence[OutboxEvent], now: datetime) -> None:
    known = Delivery.objects.within(scope).filter(endpoint=endpoint, event__in=events)
    had = set(known.values_list("event_id", flat=True))
    known.exclude(status=Delivery.Status.PENDING).update(
        status=Delivery.Status.PENDING, attempts=0, next_attempt_at=now, settled_at=None, detail=""
    )
    Delivery.objects.within(scope).bulk_create(
        Delivery(
            environment_id=scope.environment_id, event=each, endpoint=endpoint, next_attempt_at=now, created_at=now
        )
        for each in events
        if each.pk not in had
    )
    doorbell.ring_after_commit(SEND_DELIVERIES)
