"""Which worker holds which events. A batch is held by one row, so taking it writes none of its events.

The row is there, committed, before a handler runs. When its worker dies it runs out; only then the try is counted on
each of its events, and from there on they are tried one by one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone

from lamba_campaigns.lib import sql

LEASE = timedelta(minutes=5)


class LeaseLost(Exception):
    """The lease ran out and somebody else holds these events: nothing of ours may commit."""


def take(*, environment_id: int, limit: int, bytes_max: int, now: datetime) -> list[sql.Row]:
    """The oldest due events that nobody holds, under one new lease. The first one comes however large it is."""
    values = {
        "environment_id": environment_id,
        "now": now,
        "lease_ends": _ends(now),
        "limit": limit,
        "bytes_max": bytes_max,
    }
    with sql.durable():
        sql.rows("webhooks", "take_turn_to_claim", {"environment_id": environment_id})
        return sql.binary_rows("webhooks", "claim", values)


def take_abandoned(*, environment_id: int, now: datetime) -> list[sql.Row]:
    """One event whose worker died, its try counted. It has a lease of its own, in its row."""
    values = {"environment_id": environment_id, "now": now, "lease_ends": _ends(now)}
    with sql.durable():
        return sql.binary_rows("webhooks", "claim_abandoned", values)


def expire(*, now: datetime) -> None:
    """Leases that ran out are gone; what they held waits to be tried alone, with one try more."""
    sql.require_transaction()
    sql.execute("webhooks", "expire_leases", {"now": now})


def let_go(*, lease: int, event_ids: Sequence[int]) -> None:
    """These events are settled, in the caller's transaction. LeaseLost when they are no longer ours."""
    sql.require_transaction()
    values = {"lease": lease, "ids": list(event_ids)}
    if not sql.binary_execute("webhooks", "end_lease", values | {"count": len(event_ids)}) and not sql.binary_execute(
        "webhooks", "shorten_lease", values
    ):
        raise LeaseLost


def _ends(now: datetime) -> datetime:
    """A worker that works as of the past, as the demo does, holds its events as long: nobody may take it for dead."""
    return max(now, timezone.now()) + LEASE
