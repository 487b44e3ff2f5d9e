"""The one arithmetic of limits, pure: what check() warns of is what reserve() refuses."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from limits.entitlements import Count, Entitlements
from limits.keys import CHANNEL_LABELS, CHANNEL_PREFIX, DIMENSIONS
from limits.periods import Period

OVERAGE_KEY = "included_email_volume"  # the one limit that may be passed for money
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Violation:
    """One limit that a request would pass, with every number that the refusal shows."""

    limit: str
    label: str
    kind: str  # gauge, cap, counter, channel
    unit: str
    requested: int
    allowed: int
    included: int
    add_ons: int
    used: int
    reserved: int
    available: int
    shortfall: int
    overage_policy: str
    period: Period | None = None
    time_zone: str = "UTC"

    @property
    def current(self) -> int:
        """What the count would be, as Lamba's `current`: above `allowed`."""
        return self.used + self.reserved + self.requested

    def as_json(self) -> dict[str, Any]:
        return {
            "limit": self.limit,
            "label": self.label,
            "kind": self.kind,
            "unit": self.unit,
            "requested": self.requested,
            "allowed": self.allowed,
            "included": self.included,
            "addOns": self.add_ons,
            "used": self.used,
            "reserved": self.reserved,
            "available": self.available,
            "shortfall": self.shortfall,
            "period": _period_json(self.period, self.time_zone),
            "overagePolicy": self.overage_policy,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """All violations at once, and the overage that the request needs (0 when it fits)."""

    violations: tuple[Violation, ...]
    overage: int = 0
    grace: int = 0


def judge(
    *, entitlements: Entitlements, counts: Mapping[str, Count], asks: Mapping[str, int], accept_overage: int = 0
) -> Verdict:
    """Would `asks` fit? `counts` are the pool's counters of the period that `asks` fall into."""
    violations: list[Violation] = []
    overage = grace = 0
    for key in sorted(asks, key=_order):
        wanted = asks[key]
        if key.startswith(CHANNEL_PREFIX):
            violations += _judge_channel(entitlements, key)
            continue
        allowed, count = entitlements.limits[key], counts.get(key, Count())
        if DIMENSIONS[key].kind == "cap":
            count = Count()
        over = 0 if allowed is None else count.used + count.reserved + wanted - allowed
        if wanted == 0 or over <= 0 or allowed is None:
            continue
        shortfall = min(wanted, over)
        if key == OVERAGE_KEY and _overage_fits(entitlements, over, shortfall, accept_overage):
            overage = shortfall
        elif key == OVERAGE_KEY and over <= grace_of(entitlements):
            grace = shortfall
        else:
            violations.append(_violation(entitlements, key, wanted, allowed, count, shortfall))
    return Verdict(tuple(violations), overage, grace)


def overage_left(entitlements: Entitlements, count: Count) -> int:
    """Messages that may still be accepted over the limit in this period."""
    allowed = entitlements.limits[OVERAGE_KEY]
    if entitlements.overage.policy != "allow" or allowed is None:
        return 0
    return max(0, entitlements.overage.cap - max(0, count.used + count.reserved - allowed))


def grace_of(entitlements: Entitlements) -> int:
    """Messages of a period that are forgiven under the policy `grace`."""
    allowed = entitlements.limits[OVERAGE_KEY]
    if entitlements.overage.policy != "grace" or allowed is None:
        return 0
    return allowed * entitlements.overage.grace_percent // 100


def price_of(entitlements: Entitlements, messages: int) -> Decimal:
    """The estimate for `messages` of overage, in whole cents."""
    return (entitlements.overage.price_per_thousand * messages / 1000).quantize(CENT, ROUND_HALF_UP)


def _overage_fits(entitlements: Entitlements, over: int, shortfall: int, accepted: int) -> bool:
    policy = entitlements.overage
    return policy.policy == "allow" and shortfall <= accepted and over <= policy.cap


def _judge_channel(entitlements: Entitlements, key: str) -> list[Violation]:
    channel = key.removeprefix(CHANNEL_PREFIX)
    assert channel in CHANNEL_LABELS, f"{channel!r} is no channel"
    if channel in entitlements.channels:
        return []
    label = f"{CHANNEL_LABELS[channel]} channel"
    return [Violation(key, label, "channel", "channel", 1, 0, 0, 0, 0, 0, 0, 1, "block")]


def _violation(
    entitlements: Entitlements, key: str, wanted: int, allowed: int, count: Count, shortfall: int
) -> Violation:
    dimension = DIMENSIONS[key]
    shown = count.shown(dimension.kind)
    return Violation(
        limit=key,
        label=dimension.label,
        kind=dimension.kind,
        unit=dimension.unit,
        requested=wanted,
        allowed=allowed,
        included=entitlements.included[key] or 0,
        add_ons=entitlements.added(key),
        used=shown.used,
        reserved=shown.reserved,
        available=max(0, allowed - count.used - count.reserved),
        shortfall=shortfall,
        overage_policy=entitlements.overage.policy if key == OVERAGE_KEY else "block",
        period=entitlements.period if dimension.kind == "counter" else None,
        time_zone=entitlements.time_zone,
    )


def _order(key: str) -> int:
    known = list(DIMENSIONS)
    return known.index(key) if key in DIMENSIONS else -1


def _period_json(period: Period | None, time_zone: str) -> dict[str, str] | None:
    if period is None:
        return None
    start, end = (moment.isoformat().replace("+00:00", "Z") for moment in (period.start, period.end))
    return {"start": start, "end": end, "timeZone": time_zone}
