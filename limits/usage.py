"""usage(): each limit as people see it: used, reserved, left, and when it starts anew."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from limits import entitlements
from limits.asks import pool_of
from limits.entitlements import Count, Entitlements, Standing
from limits.keys import DIMENSIONS
from projects.scoping import Scope

WARN_PERCENT = 75  # from here on a bar is amber
TILES = ("active_campaigns", "included_email_volume", "templates", "email_campaigns_per_month")  # above the campaigns


@dataclass(frozen=True, slots=True)
class LimitUsage:
    """One limit now. For gauges everything that lives counts as used; for caps nothing is kept."""

    key: str
    label: str  # "Email volume, November"
    title: str  # "Email volume"
    detail: str
    kind: Literal["gauge", "cap", "counter"]
    unit: str
    used: int
    reserved: int
    allowed: int | None  # None is unlimited
    included: int | None
    added: int  # by add-ons
    resets_at: datetime | None

    @property
    def current(self) -> int:
        return self.used + self.reserved

    @property
    def left(self) -> int | None:
        return None if self.allowed is None else max(0, self.allowed - self.current)

    @property
    def percent(self) -> int:
        return self.current * 100 // self.allowed if self.allowed else 0

    @property
    def tone(self) -> str:
        """Of the bar: "" is quiet, "warn" from 75 percent on, "bad" when it is full."""
        if self.allowed is None or self.kind == "cap":
            return ""
        return "bad" if self.current >= self.allowed else "warn" if self.percent >= WARN_PERCENT else ""

    def as_json(self) -> dict[str, Any]:
        return {
            "limit": self.key,
            "label": self.title,
            "kind": self.kind,
            "unit": self.unit,
            "used": self.used,
            "reserved": self.reserved,
            "left": self.left,
            "allowed": self.allowed,
            "included": self.included,
            "addOns": self.added,
            "resetsAt": self.resets_at,
        }


def usage(*, scope: Scope, now: datetime) -> tuple[LimitUsage, ...]:
    """Every limit of the scope's pool, in the order of keys.DIMENSIONS."""
    return of(standing(scope=scope, now=now))


def standing(*, scope: Scope, now: datetime) -> Standing:
    """What the scope's workspace may do, and how its pool stands: one statement, for pages that show several of it."""
    return entitlements.standing(workspace_id=scope.workspace_id, at=now, pool=pool_of(scope))


def of(standing: Standing) -> tuple[LimitUsage, ...]:
    return tuple(_line(standing.entitlements, key, standing.counts.get(key, Count())) for key in DIMENSIONS)


def tiles(standing: Standing) -> tuple[LimitUsage, ...]:
    """The four limits above the list of campaigns."""
    found = {line.key: line for line in of(standing)}
    return tuple(found[key] for key in TILES)


def day(found: Entitlements, moment: datetime) -> str:
    """1 Dec, in the plan's own time zone, where periods begin."""
    local = moment.astimezone(ZoneInfo(found.time_zone))
    return f"{local.day} {local:%b}"


def period_name(found: Entitlements) -> str:
    """ "November", or "14 Nov to 14 Dec" when the period is not a calendar month."""
    zone = ZoneInfo(found.time_zone)
    start, end = found.period.start.astimezone(zone), found.period.end.astimezone(zone)
    return f"{start:%B}" if start.day == 1 else f"{day(found, start)} to {day(found, end)}"


def _line(found: Entitlements, key: str, count: Count) -> LimitUsage:
    dimension = DIMENSIONS[key]
    shown = count.shown(dimension.kind)
    counted = dimension.kind == "counter"
    return LimitUsage(
        key=key,
        label=f"{dimension.label}, {period_name(found)}" if counted else dimension.label,
        title=dimension.label,
        detail=dimension.detail,
        kind=dimension.kind,
        unit=dimension.unit,
        used=shown.used,
        reserved=shown.reserved,
        allowed=found.limits[key],
        included=found.included[key],
        added=found.added(key),
        resets_at=found.period.end if counted else None,
    )
