"""Periods are half-open, [start, end), from one anchor day in the plan's time zone, and stored in UTC."""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)  # the one "period" of a gauge


@dataclass(frozen=True, slots=True)
class Period:
    start: datetime
    end: datetime


def period_at(*, anchor_day: int, time_zone: str, at: datetime) -> Period:
    """The period that `at` lies in.

    Always counted from the original anchor, clamped to the month's end: 31 January, 28 February, 31 March. Midnight is
    local, so a month with a clock change is an hour shorter or longer in UTC.
    """
    zone = ZoneInfo(time_zone)
    local = at.astimezone(zone)
    start = _start(anchor_day, local.year, local.month, zone)
    if at < start:
        start = _start(anchor_day, *_moved(local.year, local.month, -1), zone)
    month = start.astimezone(zone)
    return Period(start, _start(anchor_day, *_moved(month.year, month.month, 1), zone))


def _start(anchor_day: int, year: int, month: int, zone: ZoneInfo) -> datetime:
    day = min(anchor_day, calendar.monthrange(year, month)[1])
    return datetime(year, month, day, tzinfo=zone).astimezone(UTC)


def _moved(year: int, month: int, months: int) -> tuple[int, int]:
    index = year * 12 + month - 1 + months
    return index // 12, index % 12 + 1
