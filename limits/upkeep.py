"""Holds that nobody claims are given back; counters that differ from their entries are repaired, and both are said."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from audit import chain
from lamba_campaigns.lib import sql
from limits import holders, reservations
from limits.models import Reservation, UsageCounter
from projects import access
from projects.scoping import SYSTEM

EXPIRE_MAX = 500  # holds per call
PROOF_REACH = timedelta(days=62)  # periods that ended earlier are not proved again


@dataclass(frozen=True, slots=True)
class Repair:
    """A counter that was wrong."""

    pool: str
    limit_key: str
    before: tuple[int, int]  # used, reserved
    after: tuple[int, int]


def expire(*, now: datetime) -> int:
    """Each hold past its time is given back, unless a run still needs it: then it lives another HOLD_TIME."""
    due = Reservation.objects.across_environments("a sweep serves every environment").filter(
        state=Reservation.State.HELD, expires_at__lte=now
    )
    ended = 0
    for pk, environment_id, purpose in due.values_list("pk", "environment_id", "purpose")[:EXPIRE_MAX]:
        scope = access.scope_by_id(environment_id)
        if holders.is_alive(scope, purpose):
            held = Reservation.objects.within(scope).filter(pk=pk, state=Reservation.State.HELD)
            held.update(expires_at=now + reservations.HOLD_TIME)
            continue
        with sql.durable():
            ended += reservations.end(scope=scope, purpose=purpose, reason="expire", now=now)
    return ended


def prove(*, now: datetime) -> list[Repair]:
    """Every counter equals the sum of its entries afterwards. Each repair is in the audit trail."""
    reach = {"since": now - PROOF_REACH}
    sql.execute("limits", "restore_counters", reach)
    found = sql.rows("limits", "drifted_counters", reach)
    repairs = []
    for pool, key, period_start in found:
        with sql.durable():
            repair = _repair(pool, key, period_start, now)
        repairs += [repair] if repair else []
    return repairs


def _repair(pool: str, key: str, period_start: datetime, now: datetime) -> Repair | None:
    counter = UsageCounter.objects.select_for_update().get(pool=pool, limit_key=key, period_start=period_start)
    sums = sql.one("limits", "entry_sums", {"pool": pool, "key": key, "period_start": period_start})
    assert sums is not None
    before, after = (counter.used, counter.reserved), (sums[0], sums[1])
    if before == after:  # it only looked wrong while somebody was writing
        return None
    UsageCounter.objects.filter(pk=counter.pk).update(used=after[0], reserved=after[1])
    kind, _, number = pool.partition(":")
    chain.record(
        scope=access.scope_by_id(int(number)) if kind == "sandbox" else None,
        workspace_id=int(number) if kind == "workspace" else None,
        actor=SYSTEM,
        action="limit.counter_repaired",
        subject=chain.Subject("usage_counter", f"{pool}:{key}"),
        now=now,
        before={"used": before[0], "reserved": before[1]},
        after={"used": after[0], "reserved": after[1], "periodStart": period_start},
    )
    return Repair(pool, key, before, after)
