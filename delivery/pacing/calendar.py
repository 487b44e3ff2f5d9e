"""When a time zone is open. A moment that is called open never stands outside the window or in quiet hours there.

Where clocks skip or repeat a time, spans are read so that less is open, never more: a window starts at the later and
ends at the earlier reading, quiet hours the other way round.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from delivery.pacing.rules import Rules, Span, zone_named

LOOK_AHEAD_DAYS = 16  # a weekday comes again within seven, also when clocks skip its window once


@dataclass(frozen=True, slots=True)
class Turn:
    """`go`, `wait` until a moment, or `skip` for good."""

    kind: Literal["go", "wait", "skip"]
    until: datetime | None = None


GO, SKIP = Turn("go"), Turn("skip")


def decide(rules: Rules, zone: str, now: datetime) -> Turn:
    """Whose clock shows `zone`: may they be contacted now? An empty or unknown zone counts as the campaign's own."""
    if not rules.clocked:
        return GO
    clock = zone_named(zone) or ZoneInfo(rules.time_zone)
    today = now.astimezone(clock).date()
    spans = open_spans(rules, clock.key, today)
    if any(start <= now < end for start, end in spans):
        return GO
    if rules.past != "next_window" and _is_past(rules, clock, today, now):
        if rules.past == "skip":
            return SKIP
        ends = _quiet_ends(rules, clock, today, now)
        return Turn("wait", ends) if ends else GO
    return Turn("wait", next(start for start, _ in spans if start > now))


@lru_cache(maxsize=4_096)
def open_spans(rules: Rules, zone: str, today: date) -> tuple[tuple[datetime, datetime], ...]:
    """What is open in the zone from yesterday's window on, for two weeks, in order."""
    clock = ZoneInfo(zone)
    dates = [today + timedelta(days=offset) for offset in range(-1, LOOK_AHEAD_DAYS)]
    quiet = (
        [_around(rules.quiet, clock, each) for each in [dates[0] - timedelta(days=1), *dates]] if rules.quiet else []
    )
    found: list[tuple[datetime, datetime]] = []
    for each in dates:
        if each.isoweekday() in rules.days:
            found += _without(_window(rules.window, clock, each), quiet)
    return tuple(sorted(span for span in found if span[0] < span[1]))


def offset_changes(zone: str, day: date) -> timedelta:
    """By how much the zone's clocks move on that day; zero on nearly all days."""
    clock = ZoneInfo(zone)
    first, last = (datetime.combine(each, time(), clock) for each in (day, day + timedelta(days=1)))
    return (last.utcoffset() or timedelta()) - (first.utcoffset() or timedelta())


def next_midnight(zone: str, now: datetime) -> datetime:
    """The moment at which the zone's next day begins."""
    clock = ZoneInfo(zone)
    return _later(clock, now.astimezone(clock).date() + timedelta(days=1), time())


def _is_past(rules: Rules, clock: ZoneInfo, today: date, now: datetime) -> bool:
    """Today's window was open and is closed for today."""
    return (
        today.isoweekday() in rules.days and rules.window is not None and _window(rules.window, clock, today)[1] <= now
    )


def _quiet_ends(rules: Rules, clock: ZoneInfo, today: date, now: datetime) -> datetime | None:
    """When the quiet hours that hold now are over; None outside of them."""
    for offset in (-1, 0, 1) if rules.quiet else ():
        start, end = _around(rules.quiet, clock, today + timedelta(days=offset))  # type: ignore[arg-type]
        if start <= now < end:
            return end
    return None


def _window(span: Span | None, clock: ZoneInfo, day: date) -> tuple[datetime, datetime]:
    """The shortest reading of a window that opens on `day`; the whole day where there is none."""
    if span is None:
        return _later(clock, day, time()), _later(clock, day + timedelta(days=1), time())
    closes = day + timedelta(days=1) if span.end <= span.start else day
    return _later(clock, day, span.start), _earlier(clock, closes, span.end)


def _around(span: Span, clock: ZoneInfo, day: date) -> tuple[datetime, datetime]:
    """The longest reading of quiet hours that begin on `day`."""
    ends = day + timedelta(days=1) if span.end <= span.start else day
    return _earlier(clock, day, span.start), _later(clock, ends, span.end)


def _without(
    span: tuple[datetime, datetime], holes: list[tuple[datetime, datetime]]
) -> Iterator[tuple[datetime, datetime]]:
    start, end = span
    for hole_start, hole_end in sorted(holes):
        if hole_end <= start or hole_start >= end:
            continue
        if hole_start > start:
            yield start, hole_start
        start = max(start, hole_end)
    if start < end:
        yield start, end


def _earlier(clock: ZoneInfo, day: date, wall: time) -> datetime:
    return min(_readings(clock, day, wall))


def _later(clock: ZoneInfo, day: date, wall: time) -> datetime:
    return max(_readings(clock, day, wall))


def _readings(clock: ZoneInfo, day: date, wall: time) -> tuple[datetime, datetime]:
    """Both moments that a wall clock may mean: equal, except where clocks change."""
    both = [datetime.combine(day, wall, clock).replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    return both[0], both[1]
