"""Email volume of the last periods, as a chart."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from lamba_campaigns.web import charts
from limits import periods
from limits.entitlements import Entitlements
from limits.models import UsageCounter

PERIODS: Final = 12
VOLUME: Final = "included_email_volume"


def chart(*, entitlements: Entitlements, pool: str) -> charts.Chart | None:
    """Used and reserved of each period up to this one; None while nothing was ever counted."""
    starts = _starts(entitlements)
    rows = UsageCounter.objects.filter(pool=pool, limit_key=VOLUME, period_start__in=starts)
    counted = {row.period_start: (row.used, row.reserved) for row in rows}
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
