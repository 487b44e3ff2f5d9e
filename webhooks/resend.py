"""Send a stored event again: by hand, with a reason, audited. The same id and the same bytes, on a fresh ladder."""

from collections.abc import Sequence
from datetime import datetime

from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, NotFound
from projects.scoping import Actor, Scope
from webhooks import doorbell, reasons
from webhooks.models import Delivery, Endpoint
from webhooks.outbox import SEND_DELIVERIES

DELIVERIES_MAX = 500


class NothingToSend(Conflict):
    code = "NOTHING_TO_SEND"


def resend(*, scope: Scope, actor: Actor, delivery_ids: Sequence[str], reason: str, now: datetime) -> int:
    """Put settled deliveries of active endpoints back to pending; returns how many. Those that wait already stay."""
    reason = reasons.checked(reason)
    with sql.durable():
        rows = list(
            Delivery.objects.within(scope)
            .select_related("endpoint", "event")
            .filter(public_id__in=delivery_ids[:DELIVERIES_MAX])
            .order_by("pk")
            .select_for_update(of=("self",))
        )
        if not rows:
            raise NotFound("There are no such deliveries.")
        ready = [
            row
            for row in rows
            if row.status != Delivery.Status.PENDING and row.endpoint.status == Endpoint.Status.ACTIVE
        ]
        if not ready:
            raise NothingToSend(
                "These deliveries wait already, or their endpoint is not active.",
                next_step="Enable the endpoint first.",
            )
        Delivery.objects.within(scope).filter(pk__in=[row.pk for row in ready]).update(
            status=Delivery.Status.PENDING, attempts=0, next_attempt_at=now, settled_at=None, detail=""
        )
        for row in ready:
            chain.record(
                scope=scope,
                actor=actor,
                action="webhook.redriven",
                subject=chain.Subject("delivery", row.public_id, row.event.type),
                now=now,
                before={"status": row.status, "attempts": row.attempts},
                reason=reason,
            )
        doorbell.ring_after_commit(SEND_DELIVERIES)
    return len(ready)
