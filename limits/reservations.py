"""Capacity that can't be overrun: reserve, settle, release. Callers need this module only.

All limits of a request are held in one transaction, all or nothing. What is judged is read without a lock and guarded
when it is written; a counter that moved in between is locked and judged again. Locks are taken in this order: the
reservation's row, then counters in the order of their keys; call `reserve` once per transaction and hold nothing of
limits before it, then nobody can deadlock. A purpose (`launch:cmp_…`) holds once: repeating a reserve, settle or
release changes nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, transaction

from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.ids import new_id
from limits import arithmetic, entitlements, warnings
from limits.arithmetic import Verdict, Violation
from limits.asks import Ask, Line, Request, resolve
from limits.entitlements import Count
from limits.keys import COUNTED_ONCE, DIMENSIONS
from limits.models import Reservation, ReservationLine
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
TRIES_MAX = 3  # the second one locks first; the third is for a purpose that ends between two statements
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
    request = resolve(scope, asks, at, purpose)
    return _judge(request, _minus_held(scope, request), accept_overage).violations


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
    request = resolve(scope, asks, at, purpose)
    counts = _minus_held(scope, request)
    verdict = _judge(request, counts, accept_overage)
    if not verdict.violations:
        return None
    return refuse(scope=scope, request=request, violations=verdict.violations, counts=counts)


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
    for attempt in range(TRIES_MAX):
        request = resolve(scope, asks, at, purpose)
        if attempt:  # somebody was faster: take turns, and judge what nobody can move any more
            _lock(request.pool, request.lines)
            request = resolve(scope, asks, at, purpose)
        found = _take(scope, actor, purpose, request, accept_overage, now)
        if found is not None:
            return found
    raise AssertionError(f"{purpose} was reserved and ended {TRIES_MAX} times while this reserve ran")


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
    """The hold of `purpose` is `asks` afterwards, whatever it was before. PlanLimitExceeded: as before.

    Call it under a lock of the thing that the purpose stands for.
    """
    sql.require_transaction()
    held = _held(scope, purpose)
    with transaction.atomic():  # a refusal gives the old hold back
        if held is not None and held.state == Reservation.State.HELD:
            rows = Reservation.objects.within(scope).get(pk=held.id).lines.within(scope)
            lines = {Line(row.limit_key, row.period_start, row.period_end, 0) for row in rows}
            asked = {Line(line.key, line.start, line.end, 0) for line in resolve(scope, asks, at).lines}
            _lock(held.pool, sorted(lines | asked, key=lambda line: (line.key, line.start)))
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
    if quantity and (counted := sql.one("limits", "settle", params)):
        _note_settled(scope, found.pool, key, counted, now)
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


def _take(
    scope: Scope, actor: Actor, purpose: str, request: Request, accept_overage: int | None, now: datetime
) -> Reservation | None:
    """The hold, or None when a counter moved between reading and writing."""
    if request.standing.reservation is not None:
        return _alive(scope, purpose)
    counts = request.standing.counts
    verdict = _judge(request, counts, accept_overage)
    if verdict.violations:
        raise refuse(scope=scope, request=request, violations=verdict.violations, counts=counts)
    row = _row(scope, actor, purpose, request, verdict, now)
    number = _write(row, request, verdict)
    if not number:
        return _alive(scope, purpose) if number == 0 else None
    row.pk, row._state.adding, row._state.db = number, False, DEFAULT_DB_ALIAS
    warnings.note(
        scope=scope,
        pool=request.pool,
        entitlements=request.entitlements,
        counts=_after(request, counts),
        told=request.standing.told,
        now=now,
    )
    _record_passed(scope, actor, row, request, now)
    return row


def _alive(scope: Scope, purpose: str) -> Reservation | None:
    found: Reservation | None = (
        Reservation.objects.within(scope).filter(purpose=purpose, state__in=ALIVE).order_by("-pk").first()
    )
    return found


def _lock(pool: str, lines: Sequence[Line]) -> None:
    """Each counter exists and is locked, in the order of `lines`, which are sorted."""
    arrays = {
        "pool": pool,
        "keys": [line.key for line in lines],
        "starts": [line.start for line in lines],
        "ends": [line.end for line in lines],
    }
    if len(sql.rows("limits", "lock_counters", arrays)) < len(lines):
        sql.execute("limits", "make_counters", arrays)
        sql.rows("limits", "lock_counters", arrays)


def _minus_held(scope: Scope, request: Request) -> Mapping[str, Count]:
    """The counters without what the purpose holds itself in the same period."""
    counts = dict(request.standing.counts)
    if request.standing.reservation is None:
        return counts
    starts = {line.key: line.start for line in request.lines}
    lines = ReservationLine.objects.within(scope).filter(reservation=request.standing.reservation, held__gt=0)
    for key, start, held in lines.values_list("limit_key", "period_start", "held"):
        if starts.get(key) == start:
            counts[key] = Count(counts[key].used, counts[key].reserved - held)
    return counts


def _judge(request: Request, counts: Mapping[str, Count], accept_overage: int | None) -> Verdict:
    return arithmetic.judge(
        entitlements=request.entitlements, counts=counts, asks=request.asks, accept_overage=accept_overage or 0
    )


def _write(row: Reservation, request: Request, verdict: Verdict) -> int | None:
    names = ("environment_id", "pool", "purpose", "public_id", "at", "expires_at", "plan", "overage_quantity")
    more = ("grace_quantity", "overage_amount", "actor_id", "actor_label", "created_at")
    found = sql.one(
        "limits",
        "reserve",
        {
            **{name: getattr(row, name) for name in (*names, *more)},
            **request.arrays(),
            "asks": json.dumps(row.asks),
            "line_ids": [new_id("rln") for _ in request.lines],
            "ceilings": _ceilings(request, verdict),
            "judged": _judged(request, verdict),
        },
    )
    assert found is not None
    number: int | None = found[0]
    return number


def _ceilings(request: Request, verdict: Verdict) -> list[int | None]:
    """Up to where each counter may go: the limit, and above it only what the verdict allowed."""
    above = {arithmetic.OVERAGE_KEY: request.entitlements.overage.cap if verdict.overage else 0}
    above[arithmetic.OVERAGE_KEY] += arithmetic.grace_of(request.entitlements) if verdict.grace else 0
    limits = request.entitlements.limits
    return [None if (top := limits[line.key]) is None else top + above.get(line.key, 0) for line in request.lines]


def _judged(request: Request, verdict: Verdict) -> list[int | None]:
    """Where a counter must still stand: what is charged over the limit was computed from it."""
    if not verdict.overage and not verdict.grace:
        return [None for _ in request.lines]
    stands = request.standing.counts.get(arithmetic.OVERAGE_KEY, Count())
    return [stands.used + stands.reserved if line.key == arithmetic.OVERAGE_KEY else None for line in request.lines]


def _after(request: Request, counts: Mapping[str, Count]) -> dict[str, Count]:
    found = {line.key: counts.get(line.key, Count()) for line in request.lines}
    return {line.key: Count(found[line.key].used, found[line.key].reserved + line.quantity) for line in request.lines}


def _row(scope: Scope, actor: Actor, purpose: str, request: Request, verdict: Verdict, now: datetime) -> Reservation:
    expires = any(DIMENSIONS[line.key].kind == "counter" for line in request.lines)
    return Reservation(
        environment_id=scope.environment_id,
        public_id=new_id("res"),
        pool=request.pool,
        purpose=purpose,
        at=request.at,
        expires_at=max(request.at, now) + HOLD_TIME if expires else None,
        plan=request.entitlements.plan_id,
        asks=sorted(request.asks.items()),
        overage_quantity=verdict.overage,
        grace_quantity=verdict.grace,
        overage_amount=arithmetic.price_of(request.entitlements, verdict.overage),
        actor_id=actor.id,
        actor_label=actor.label[:200],
        created_at=now,
    )


def _note_settled(scope: Scope, pool: str, key: str, counted: sql.Row, now: datetime) -> None:
    """More was used than was held: a threshold that this crosses is told at once."""
    used, reserved, ends, grown = counted
    if not grown or ends is None:
        return
    at = min(now, ends - timedelta(microseconds=1))  # a late settle counts in the period of its reservation
    standing = entitlements.standing(workspace_id=scope.workspace_id, at=at, pool=pool)
    warnings.note(
        scope=scope,
        pool=pool,
        entitlements=standing.entitlements,
        counts={key: Count(used, reserved)},
        told=standing.told,
        now=now,
    )


def _record_passed(scope: Scope, actor: Actor, found: Reservation, request: Request, now: datetime) -> None:
    """A hold over the limit is a decision: what is to be paid for it, or that the plan forgives it."""
    if not found.overage_quantity and not found.grace_quantity:
        return
    action, messages = ("limit.grace_used", found.grace_quantity)
    paid: dict[str, str] = {}
    if found.overage_quantity:
        action, messages = "limit.overage_reserved", found.overage_quantity
        paid = {"estimate": str(found.overage_amount), "currency": request.entitlements.catalogue.currency}
    chain.record(
        scope=scope,
        actor=actor,
        action=action,
        subject=chain.Subject("reservation", found.public_id, found.purpose),
        now=now,
        after={"purpose": found.purpose, "messages": messages, "plan": found.plan} | paid,
    )


def _held(scope: Scope, purpose: str) -> _Held | None:
    row = sql.one("limits", "held_reservation", {"environment_id": scope.environment_id, "purpose": purpose})
    return _Held(*row) if row else None
