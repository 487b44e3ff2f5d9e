"""Process stored events again: by hand, with a reason, and audited one by one. Nothing re-drives itself."""

from collections.abc import Sequence
from datetime import datetime

from audit import chain, refusals
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, NotFound
from projects.scoping import Actor, Scope
from webhooks import dead_letters, doorbell, reasons
from webhooks.dead_letters import Selection
from webhooks.models import InboundEvent
from webhooks.outbox import PROCESS_EVENTS

REDRIVE_EVENTS_MAX = 500


class NothingToRedrive(Conflict):
    code = "NOTHING_TO_REDRIVE"


def select(*, scope: Scope, selection: Selection, limit: int = REDRIVE_EVENTS_MAX) -> list[str]:
    """The ids of the events in this range, oldest first."""
    found = dead_letters.rows(scope=scope, selection=selection)
    return list(found.order_by("id").values_list("event_id", flat=True)[:limit])


def redrive(*, scope: Scope, actor: Actor, event_ids: Sequence[str], reason: str, now: datetime) -> list[str]:
    """Put these events back into the queue with a fresh count of attempts; returns the ids that went back.

    Events that are processed, or being processed, stay. Signatures and timestamps are not looked at again.
    """
    subject = chain.Subject("event", event_ids[0] if len(event_ids) == 1 else f"{len(event_ids)} events")
    with refusals.recording(scope=scope, actor=actor, action="webhook.redriven", subject=subject, now=now):
        return _redrive(scope, actor, event_ids, reasons.checked(reason), now)


def _redrive(scope: Scope, actor: Actor, event_ids: Sequence[str], reason: str, now: datetime) -> list[str]:
    if not 0 < len(event_ids) <= REDRIVE_EVENTS_MAX:
        detail = f"Choose 1 to {REDRIVE_EVENTS_MAX} events."
        raise Invalid(detail, problems=(FieldProblem("#/eventIds", "length", detail),))
    with sql.durable():
        rows = list(
            InboundEvent.objects.within(scope).filter(event_id__in=event_ids).order_by("id").select_for_update()
        )
        if not rows:
            raise NotFound("There are no such events.")
        values = {"environment_id": scope.environment_id, "event_ids": list(event_ids), "now": now}
        driven = {row[0] for row in sql.rows("webhooks", "redrive", values)}
        if not driven:
            raise NothingToRedrive(
                "These events are processed already, or are being processed.", next_step="Reload the list."
            )
        for row in rows:
            if row.event_id in driven:
                chain.record(
                    scope=scope,
                    actor=actor,
                    action="webhook.redriven",
                    subject=chain.Subject("event", row.event_id, row.type or ""),
                    now=now,
                    before={"state": row.state, "attempts": row.attempts},
                    reason=reason,
                )
        doorbell.ring_after_commit(PROCESS_EVENTS)
    return [row.event_id for row in rows if row.event_id in driven]
