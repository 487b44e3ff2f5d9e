"""Email volume of the last periods, as a chart."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from lamba_campaigns.lib import sql
from lamba_campaigns.web import charts
from limits import periods
from limits.entitlements import Entitlements

PERIODS: Final = 12
VOLUME: Final = "included_email_volume"


@dataclass(frozen=True, slots=True)
class History:
    """Used and reserved of each period up to the present one, and what was accepted over the limit in that one."""

    starts: list[datetime]
    counted: dict[datetime, tuple[int, int]]
    accepted_messages: int
    accepted_amount: Decimal


def read(*, entitlements: Entitlements, pool: str) -> History:
    starts = _starts(entitlements)
    found = sql.rows("limits", "volume_history", {"pool": pool, "key": VOLUME, "starts": starts, "present": starts[-1]})
    counted = {start: (used, reserved) for start, used, reserved, _, _ in found}
    messages, amount = next(((row[3], row[4]) for row in found if row[0] == starts[-1]), (None, None))
    return History(starts, counted, messages or 0, amount or Decimal(0))


def chart(*, entitlements: Entitlements, found: History) -> charts.Chart | None:
    """None while nothing was ever counted."""
    starts, counted = found.starts, found.counted
    if not any(sum(each) for each in counted.values()):
        return None
    zone = ZoneInfo(entitlements.time_zone)
    buckets = [
        charts.Bucket(_label(start, zone), counted.get(start, (0, 0)), current=start == starts[-1]) for start in starts
    ]
    return charts.bar_chart(
        title=f"Email volume, last {PERIODS} periods",
        unit="Period from",
        series=[charts.Series("Used", "ok"), charts.Series("Reserved", "mute")],
        buckets=buckets,
    )


def _starts(found: Entitlements) -> list[datetime]:
    starts = [found.period.start]
    while len(starts) < PERIODS:
        earlier = starts[-1] - timedelta(seconds=1)
        period = periods.period_at(anchor_day=found.anchor_day, time_zone=found.time_zone, at=earlier)
        starts.append(period.start)
    return starts[::-1]


def _label(start: datetime, zone: ZoneInfo) -> str:
    local = start.astimezone(zone)
    return f"{local:%b}" if local.day == 1 else f"{local.day} {local:%b}"
