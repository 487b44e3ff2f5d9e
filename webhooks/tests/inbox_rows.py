"""What tests ask of the stored events, and a worker that takes some and does nothing more."""

from datetime import UTC, datetime, timedelta

from audit.models import AuditEntry
from projects.scoping import Scope
from webhooks import leases
from webhooks.models import InboundEvent


def states(scope: Scope) -> dict[str, str]:
    return dict(InboundEvent.objects.within(scope).order_by("id").values_list("event_id", "state"))


def one(scope: Scope, event_id: str = "evt_1") -> InboundEvent:
    found: InboundEvent = InboundEvent.objects.within(scope).get(event_id=event_id)
    return found


def soon() -> datetime:
    """A moment after every arrival of the test: arrivals carry the real clock."""
    return datetime.now(UTC) + timedelta(seconds=1)


def hold(scope: Scope, moment: datetime) -> int:
    """How many events a worker took, that does nothing more."""
    return len(leases.take(environment_id=scope.environment_id, limit=500, bytes_max=1_000_000, now=moment))


def entries(scope: Scope, action: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(environment_id=scope.environment_id, action=action).order_by("sequence"))
