"""Capacity that can't be overrun: reserve, settle, release. Callers need this module only.

All limits of a request are held in one transaction, all or nothing. Counter rows are locked in the order of their keys;
call `reserve` once per transaction and hold nothing of limits before it, then nobody can deadlock. A purpose
(`launch:cmp_…`) holds once: repeating a reserve, settle or release changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.ids import new_id
from limits import arithmetic, warnings
from limits.arithmetic import Count, Verdict, Violation
from limits.asks import Ask, Request, resolve
from limits.keys import COUNTED_ONCE, DIMENSIONS
from limits.models import Reservation
from limits.refusal import PlanLimitExceeded, refuse
from limits.subscriptions import add_add_on, change_plan
from limits.usage import LimitUsage, usage
from projects.scoping import Actor, Scope

__all__ = [
    "Ask",
    "LimitUsage",
    "PlanLimitExceeded",
    "Reservation",
    "Violation",
    "add_add_on",
    "adjust",
    "change_plan",
    "check",
    "refusal_of",
    "release",
    "reserve",
    "settle",
    "usage",
]

HOLD_TIME = timedelta(hours=24)  # after its send time a hold that nobody uses or claims is given back
ALIVE = (Reservation.State.HELD, Reservation.State.SETTLED)


def check(
    *,
    scope: Scope,
    asks: Sequence[Ask],
    at: datetime,
    now: datetime,
    purpose: str = "",
    accept_overage: int | None = None,
) -> tuple[Violation, ...]:
    """What reserve() would refuse now. Nothing is written or locked.

    With `purpose`, what that purpose holds already is not counted against it.
    """
    request = resolve(scope, asks, at)
    counts = _minus_held(scope, purpose, _counts("read_counters", request))
    return _judge(request, counts, accept_overage).violations


def refusal_of(
    *,
    scope: Scope,
    asks: Sequence[Ask],
    at: datetime,
    now: datetime,
    purpose: str = "",
    accept_overage: int | None = None,
) -> PlanLimitExceeded | None:
    """The 402 that reserve() would raise now, with its remedies, or None. For preflight; nothing is written."""
    request = resolve(scope, asks, at)
    counts = _minus_held(scope, purpose, _counts("read_counters", request))
    verdict = _judge(request, counts, accept_overage)
    return _refusal(scope, request, verdict, counts) if verdict.violations else None


def reserve(
    *,
    scope: Scope,
    actor: Actor,
    purpose: str,
    asks: Sequence[Ask],
    at: datetime,
    accept_overage: int | None = None,
    now: datetime,
) -> Reservation:
    """All of `asks` are held for `purpose`, in the period that `at` (the send time) lies in.

    PlanLimitExceeded names every limit in the way; nothing is held then. `accept_overage` is the number of messages
    that somebody with billing.manage agreed to pay for: the edge checks that permission. A purpose that holds already
    gets its reservation back unchanged.
    """
    sql.require_transaction()
    sql.rows("limits", "hold_purpose", {"name": f"limits:{scope.environment_id}:{purpose}"})
    existing: Reservation | None = (
        Reservation.objects.within(scope).filter(purpose=purpose, state__in=ALIVE).order_by("-pk").first()
    )
    if existing is not None:
        return existing
    request = resolve(scope, asks, at)
    counts = _lock(request)
    verdict = _judge(request, counts, accept_overage)
    if verdict.violations:
        raise _refusal(scope, request, verdict, counts)
    _add_reserved(request, verdict)
    found = _insert(scope, actor, purpose, request, verdict, now)
    warnings.note(
        scope=scope, pool=request.pool, entitlements=request.entitlements, counts=_after(request, counts), now=now
    )
    if verdict.overage:
        _record_overage(scope, actor, found, request, now)
    return found


def adjust(
    *,
    scope: Scope,
    actor: Actor,
    purpose: str,
    asks: Sequence[Ask],
    at: datetime,
    accept_overage: int | None = None,
    now: datetime,
) -> Reservation:
    """The hold of `purpose` is `asks` afterwards, whatever it was before. PlanLimitExceeded: as before."""
    sql.require_transaction()
    sql.rows("limits", "hold_purpose", {"name": f"limits:{scope.environment_id}:{purpose}"})
    held = Reservation.objects.within(scope).filter(purpose=purpose, state=Reservation.State.HELD).first()
    lines = list(held.lines.within(scope).values_list("limit_key", "period_start", "period_end")) if held else []
    with transaction.atomic():  # a refusal gives the old hold back
        _lock(resolve(scope, asks, at, also=lines))
        release(scope=scope, purpose=purpose, now=now)
        return reserve(
            scope=scope, actor=actor, purpose=purpose, asks=asks, at=at, accept_overage=accept_overage, now=now
        )


def settle(*, scope: Scope, purpose: str, key: str, quantity: int, event_key: str, now: datetime) -> None:
    """`quantity` of the hold is used, once per `event_key`. More than is held counts as used too.

    Settle several keys of one transaction in sorted order. Counts per launch need no settle: release() keeps them when
    anything was used.
    """
    sql.require_transaction()
    found = _held(scope, purpose)
    assert found is not None, f"nothing was ever reserved for {purpose}"
    assert quantity >= 0
    params = {
        "environment_id": scope.environment_id,
        "reservation_id": found.id,
        "pool": found.pool,
        "key": key,
        "quantity": quantity,
        "event_key": f"settle:{event_key}",
        "now": now,
    }
    if quantity:
        sql.rows("limits", "settle", params)
    if found.state == Reservation.State.HELD and found.expires_at and found.expires_at < now + HOLD_TIME / 2:
        Reservation.objects.within(scope).filter(pk=found.id).update(expires_at=now + HOLD_TIME)


def release(*, scope: Scope, purpose: str, now: datetime) -> None:
    """Nothing is held for `purpose` any more. A launch that used something keeps its place in the month's count."""
    sql.require_transaction()
    end(scope=scope, purpose=purpose, reason="release", now=now)


def end(*, scope: Scope, purpose: str, reason: str, now: datetime) -> bool:
    """Give back what is held, with `reason` release or expire. False when nothing was held."""
    found = _held(scope, purpose)
    if found is None or found.state != Reservation.State.HELD:
        return False
    where = {"environment_id": scope.environment_id, "reservation_id": found.id, "pool": found.pool}
    sql.rows("limits", "lock_counters_of", where)
    row: Reservation = Reservation.objects.within(scope).get(pk=found.id)
    used = any(line.used for line in row.lines.within(scope))
    to_use = list(COUNTED_ONCE) if used else []
    sql.execute("limits", "end_lines", where | {"to_use": to_use, "reason": reason, "now": now})
    ended = Reservation.State.EXPIRED if reason == "expire" else Reservation.State.RELEASED
    row.state, row.ended_at = Reservation.State.SETTLED if used else ended, now
    row.save(update_fields=["state", "ended_at"])
    return True


@dataclass(frozen=True, slots=True)
class _Held:
    id: int
    pool: str
    state: str
    expires_at: datetime | None


def _lock(request: Request) -> dict[str, Count]:
    counts = _counts("lock_counters", request)
    if len(counts) < len({line.key for line in request.lines}):
        sql.execute("limits", "make_counters", request.arrays())
        counts = _counts("lock_counters", request)
    return counts


def _counts(name: str, request: Request) -> dict[str, Count]:
    return {key: Count(used, reserved) for key, used, reserved in sql.rows("limits", name, request.arrays())}


def _minus_held(scope: Scope, purpose: str, counts: Mapping[str, Count]) -> dict[str, Count]:
    if not purpose:
        return dict(counts)
    held = Reservation.objects.within(scope).filter(purpose=purpose, state=Reservation.State.HELD).first()
    mine = {line.limit_key: line.held for line in held.lines.within(scope)} if held else {}
    return {key: Count(count.used, count.reserved - mine.get(key, 0)) for key, count in counts.items()}


def _judge(request: Request, counts: Mapping[str, Count], accept_overage: int | None) -> Verdict:
    return arithmetic.judge(
        entitlements=request.entitlements, counts=counts, asks=request.asks, accept_overage=accept_overage or 0
    )


def _refusal(scope: Scope, request: Request, verdict: Verdict, counts: Mapping[str, Count]) -> PlanLimitExceeded:
    return refuse(
        scope=scope,
        entitlements=request.entitlements,
        violations=verdict.violations,
        counts=counts,
        asks=request.asks,
    )


def _add_reserved(request: Request, verdict: Verdict) -> None:
    moved = sql.execute("limits", "add_reserved", request.arrays() | {"ceilings": _ceilings(request, verdict)})
    assert moved == len(request.lines), "the counters were locked and judged: they must take it"


def _ceilings(request: Request, verdict: Verdict) -> list[int | None]:
    """Up to where each counter may go: the limit, and above it only what the verdict allowed."""
    above = {arithmetic.OVERAGE_KEY: request.entitlements.overage.cap if verdict.overage else 0}
    above[arithmetic.OVERAGE_KEY] += arithmetic.grace_of(request.entitlements) if verdict.grace else 0
    limits = request.entitlements.limits
    return [None if (top := limits[line.key]) is None else top + above.get(line.key, 0) for line in request.lines]


def _after(request: Request, counts: Mapping[str, Count]) -> dict[str, Count]:
    return {line.key: Count(counts[line.key].used, counts[line.key].reserved + line.quantity) for line in request.lines}


def _insert(scope: Scope, actor: Actor, purpose: str, request: Request, verdict: Verdict, now: datetime) -> Reservation:
    expires = any(DIMENSIONS[line.key].kind == "counter" for line in request.lines)
    found: Reservation = Reservation.objects.create(
        environment_id=scope.environment_id,
        pool=request.pool,
        purpose=purpose,
        at=request.at,
        expires_at=max(request.at, now) + HOLD_TIME if expires else None,
        plan=request.entitlements.plan_id,
        asks=sorted(request.asks.items()),
        overage_quantity=verdict.overage,
        overage_amount=arithmetic.price_of(request.entitlements, verdict.overage),
        actor_id=actor.id,
        actor_label=actor.label[:200],
        created_at=now,
    )
    if request.lines:
        ids = [new_id("rln") for _ in request.lines]
        where = {"environment_id": scope.environment_id, "reservation_id": found.pk, "now": now, "public_ids": ids}
        sql.execute("limits", "insert_lines", request.arrays() | where)
    return found


def _record_overage(scope: Scope, actor: Actor, found: Reservation, request: Request, now: datetime) -> None:
    chain.record(
        scope=scope,
        actor=actor,
        action="limit.overage_accepted",
        subject=chain.Subject("reservation", found.public_id, found.purpose),
        now=now,
        after={
            "purpose": found.purpose,
            "messages": found.overage_quantity,
            "estimate": str(found.overage_amount),
            "currency": request.entitlements.catalogue.currency,
            "plan": found.plan,
        },
    )


def _held(scope: Scope, purpose: str) -> _Held | None:
    row = sql.one("limits", "held_reservation", {"environment_id": scope.environment_id, "purpose": purpose})
    return _Held(*row) if row else None
