"""What happens when a worker stops in the middle: its open window is uncertain, its chunk goes on behind it.

Nothing of an uncertain window is ever sent again by itself. A receipt or an operator settles it.
"""

from datetime import datetime

from delivery import statements
from delivery.accounts import Account
from delivery.models import SendJob
from delivery.windows import Changes
from lamba_campaigns.lib.sql import durable
from projects.access import scope_by_id

LEASES_AT_ONCE_MAX = 50

__all__ = ["expire"]


def expire(*, now: datetime) -> int:
    """End every lease that ran out; returns how many messages became uncertain."""
    uncertain = 0
    with durable():
        for row in statements.rows("lost_leases", {"most": LEASES_AT_ONCE_MAX}):
            uncertain += _expire_one(row, now)
    return uncertain


def _expire_one(row: tuple, now: datetime) -> int:  # type: ignore[type-arg]
    environment_id, job_id, number, fence, intent, done, _, positions, owner, until = row
    scope = scope_by_id(environment_id)
    where = {"environment": environment_id, "job": job_id, "positions": positions, "done": done, "intent": intent}
    where["first"] = min(positions) if positions else done + 1
    detail = (
        f"The worker {owner} stopped between hand-off and outcome; its lease ended at "
        f"{until:%Y-%m-%d %H:%M:%S} UTC (chunk {number}, fence {fence})."
    )
    count = statements.count("open_window_becomes_uncertain", where | {"detail": detail, "now": now})
    statements.count("free_chunk", {"job": job_id, "number": number})
    statements.count("forget_relay_owner", {"owner": owner})
    changes = Changes()
    changes.move(f"c{number}:p{intent}:lost", Account.IN_FLIGHT, Account.UNCERTAIN, count)
    changes.outcomes[Account.UNCERTAIN] += count
    changes.flush(scope=scope, job_id=job_id, now=now)
    SendJob.objects.within(scope).filter(pk=job_id, next_ring_at__gt=now).update(next_ring_at=now)
    return count
