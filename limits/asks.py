"""Asks, resolved: whose counters they move, of which period, under which limits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from limits import entitlements, periods
from limits.entitlements import Entitlements, Standing
from limits.keys import CHANNEL_PREFIX, DIMENSIONS
from limits.periods import Period
from projects.scoping import Scope


@dataclass(frozen=True, slots=True)
class Ask:
    """`quantity` more of a limit key, or Ask("channel.sms", 1): is the channel there at all."""

    key: str
    quantity: int


def pool_of(scope: Scope) -> str:
    """Whose counters a scope moves: the workspace's production as one, each sandbox by itself."""
    return f"workspace:{scope.workspace_id}" if scope.is_production else f"sandbox:{scope.environment_id}"


@dataclass(frozen=True, slots=True, order=True)
class Line:
    key: str
    start: datetime
    end: datetime | None
    quantity: int


@dataclass(frozen=True, slots=True)
class Request:
    """Asks, resolved: whose counters, of which period, under which limits, and how they stand."""

    pool: str
    standing: Standing
    asks: Mapping[str, int]
    lines: tuple[Line, ...]  # the counters it moves, in locking order
    at: datetime

    @property
    def entitlements(self) -> Entitlements:
        return self.standing.entitlements

    def arrays(self) -> dict[str, Any]:
        return {
            "pool": self.pool,
            "keys": [line.key for line in self.lines],
            "starts": [line.start for line in self.lines],
            "ends": [line.end for line in self.lines],
            "quantities": [line.quantity for line in self.lines],
        }


def resolve(scope: Scope, asks: Iterable[Ask], at: datetime, purpose: str = "") -> Request:
    """What `asks` come to at `at`, beside how the counters stand. One statement; nothing is locked."""
    summed: dict[str, int] = {}
    for ask in asks:
        assert ask.quantity >= 0 and (ask.key in DIMENSIONS or ask.key.startswith(CHANNEL_PREFIX)), ask
        summed[ask.key] = summed.get(ask.key, 0) + ask.quantity
    pool = pool_of(scope)
    found = entitlements.standing(
        workspace_id=scope.workspace_id, at=at, pool=pool, environment_id=scope.environment_id, purpose=purpose
    )
    period = found.entitlements.period
    lines = sorted(_line(key, n, period) for key, n in summed.items() if _is_counted(key))
    return Request(pool, found, summed, tuple(lines), at)


def _is_counted(key: str) -> bool:
    return key in DIMENSIONS and DIMENSIONS[key].kind != "cap"


def _line(key: str, quantity: int, period: Period) -> Line:
    if DIMENSIONS[key].kind == "gauge":
        return Line(key, periods.ALWAYS, None, quantity)
    return Line(key, period.start, period.end, quantity)
