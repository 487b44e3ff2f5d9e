"""80 %, 100 % and over: told once per period and threshold, as a row, an event and a notice on the page."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from lamba_campaigns.lib import sql
from lamba_campaigns.lib.ids import new_id
from limits.entitlements import Count, Entitlements
from limits.keys import DIMENSIONS
from limits.usage import LimitUsage
from projects.scoping import Scope
from webhooks import outbox

OVER: Final = 101  # the threshold past 100 percent
THRESHOLDS: Final = (80, 100, OVER)


def note(
    *,
    scope: Scope,
    pool: str,
    entitlements: Entitlements,
    counts: Mapping[str, Count],
    told: Collection[tuple[str, int]] = (),
    now: datetime,
) -> None:
    """Each threshold of a period that `counts` reach for the first time becomes a row and one event.

    `told` are those that were told before: it spares asking, the row decides.
    """
    for key, count in sorted(counts.items()):
        allowed = entitlements.limits[key]
        if DIMENSIONS[key].kind != "counter" or not allowed:
            continue
        current = count.used + count.reserved
        for threshold in crossed(current, allowed):
            if (key, threshold) not in told and _is_new(
                scope, pool, entitlements, key, threshold, current, allowed, now
            ):
                _publish(scope, entitlements, key, threshold, current, allowed, now)


def crossed(current: int, allowed: int) -> list[int]:
    """The thresholds that `current` of `allowed` has reached."""
    return [each for each in THRESHOLDS if (current > allowed if each == OVER else current * 100 >= allowed * each)]


def reached(line: LimitUsage) -> int:
    """The highest threshold that a limit of the period stands at now; 0 for none."""
    if line.kind != "counter" or not line.allowed:
        return 0
    return max(crossed(line.current, line.allowed), default=0)


def _is_new(
    scope: Scope,
    pool: str,
    entitlements: Entitlements,
    key: str,
    threshold: int,
    current: int,
    allowed: int,
    now: datetime,
) -> bool:
    row = {
        "public_id": new_id("lwr"),
        "environment_id": scope.environment_id,
        "pool": pool,
        "limit_key": key,
        "period_start": entitlements.period.start,
        "threshold": threshold,
        "current": current,
        "allowed": allowed,
        "crossed_at": now,
    }
    return bool(sql.rows("limits", "insert_warning", row))


def _publish(
    scope: Scope, entitlements: Entitlements, key: str, threshold: int, current: int, allowed: int, now: datetime
) -> None:
    data = {
        "limit": key,
        "allowed": allowed,
        "current": current,
        "resetsAt": entitlements.period.end.isoformat().replace("+00:00", "Z"),
    }
    kind = "limit.exceeded" if threshold == OVER else "limit.warning"
    outbox.publish(scope=scope, type=kind, data=data, now=now)
