"""Periods: half-open, from the original anchor, at local midnight."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.periods import period_at

ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Africa/Cairo", "Australia/Lord_Howe"]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("anchor", "zone", "at", "start", "end"),
    [
        (1, "UTC", "2026-11-23T09:30", "2026-11-01T00:00", "2026-12-01T00:00"),
        (31, "UTC", "2027-02-10T00:00", "2027-01-31T00:00", "2027-02-28T00:00"),
        (31, "UTC", "2027-02-28T00:00", "2027-02-28T00:00", "2027-03-31T00:00"),
        (31, "UTC", "2028-02-29T12:00", "2028-02-29T00:00", "2028-03-31T00:00"),
        (30, "UTC", "2027-04-01T00:00", "2027-03-30T00:00", "2027-04-30T00:00"),
        (15, "UTC", "2027-01-01T00:00", "2026-12-15T00:00", "2027-01-15T00:00"),
        (1, "America/New_York", "2026-03-20T00:00", "2026-03-01T05:00", "2026-04-01T04:00"),
        (1, "America/New_York", "2026-11-20T00:00", "2026-11-01T04:00", "2026-12-01T05:00"),
        (1, "Europe/Berlin", "2026-11-30T23:30", "2026-11-30T23:00", "2026-12-31T23:00"),
        (14, "Asia/Kolkata", "2026-11-13T18:29", "2026-10-13T18:30", "2026-11-13T18:30"),
    ],
)
def test_bounds(anchor: int, zone: str, at: str, start: str, end: str) -> None:
    found = period_at(anchor_day=anchor, time_zone=zone, at=utc(at))
    assert (found.start, found.end) == (utc(start), utc(end))


@given(
    anchor=st.integers(1, 31),
    zone=st.sampled_from(ZONES),
    at=st.integers(978_307_200, 4_070_908_800).map(lambda second: datetime.fromtimestamp(second, UTC)),
)
def test_periods_tile_time_without_gap_or_overlap(anchor: int, zone: str, at: datetime) -> None:
    found = period_at(anchor_day=anchor, time_zone=zone, at=at)

    assert found.start <= at < found.end
    assert period_at(anchor_day=anchor, time_zone=zone, at=found.start) == found
    assert period_at(anchor_day=anchor, time_zone=zone, at=found.end).start == found.end
    local = found.start.astimezone(ZoneInfo(zone))
    assert local.day <= anchor and local.minute == 0
