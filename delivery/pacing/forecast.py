"""What will leave when, before anybody is contacted: the engine's own rules, run over groups of people instead of rows.

Time goes in steps of a quarter of an hour and jumps over what is closed. People of one group (time zone and domain)
have the same turn; open groups share what may leave in a step by their size, as positions are mixed in an audience.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from delivery.pacing import calendar, quota
from delivery.pacing.rules import Rules

DAYS_MAX: Final = 62  # what takes longer is named as not finished
ASSUMED_PER_MINUTE: Final = 30_000  # where nothing else limits it: a usual relay


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """People who have the same turn. Empty: no zone of their own; a domain without a limit."""

    zone: str = ""
    domain: str = ""


@dataclass(slots=True)
class Day:
    """One day in the campaign's zone on which somebody is contacted or left out."""

    day: date
    wave: int
    limit: int | None  # of the wave
    people: int = 0
    skipped: int = 0
    begins_at: datetime | None = None
    ends_at: datetime | None = None
    clocks_move: timedelta = timedelta()
    hours: Counter[datetime] = field(default_factory=Counter)  # hour -> people
    zones: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Forecast:
    """`left` people are not reached within the time looked at; `over_cap` are beyond the send limit."""

    days: tuple[Day, ...]
    people: int
    skipped: int
    over_cap: int
    left: int
    begins_at: datetime | None
    ends_at: datetime | None
    per_minute: int
    assumed: bool


def forecast(
    *,
    rules: Rules,
    groups: Mapping[Group, int],
    rate_per_minute: int | None,
    total_cap: int | None,
    start: datetime,
    taken: Mapping[date, int] | None = None,
) -> Forecast:
    """Every day until everybody had a turn. `taken` is what left before, by day, for a campaign that runs already."""
    everybody = sum(groups.values())
    over = max(0, everybody - total_cap) if total_cap is not None else 0
    plan = _Plan(rules, rate_per_minute or ASSUMED_PER_MINUTE, _capped(groups, everybody - over), dict(taken or {}))
    moment, end = start.astimezone(UTC), start + timedelta(days=DAYS_MAX)
    while plan.waiting and moment < end:
        moment = plan.step(moment)
    days = tuple(plan.days[each] for each in sorted(plan.days))
    sent = [day for day in days if day.people]
    return Forecast(
        days=days,
        people=sum(day.people for day in days),
        skipped=sum(day.skipped for day in days),
        over_cap=over,
        left=sum(plan.waiting.values()),
        begins_at=sent[0].begins_at if sent else None,
        ends_at=sent[-1].ends_at if sent else None,
        per_minute=plan.rate,
        assumed=rate_per_minute is None,
    )


class _Plan:
    def __init__(self, rules: Rules, rate: int, waiting: Counter[Group], taken: dict[date, int]) -> None:
        self.rules, self.rate, self.waiting, self.taken = rules, rate, waiting, taken
        self.days: dict[date, Day] = {}
        self.limits = rules.limits

    def step(self, now: datetime) -> datetime:
        """Everything that leaves, or is left out, from now to the next quarter of the hour; when to look again."""
        today = now.astimezone(ZoneInfo(self.rules.time_zone)).date()
        turns = {group: self._turn(group, now) for group in self.waiting}
        for group in [each for each, turn in turns.items() if turn.kind == "skip"]:
            self._day(today).skipped += self.waiting.pop(group)
        ready = {group: self.waiting[group] for group, turn in turns.items() if turn.kind == "go"}
        if not ready:
            return min((turn.until for turn in turns.values() if turn.until), default=now)
        until = _next_quarter(now)
        if self._send(ready, today, now, (until - now).total_seconds() / 60):
            return until
        return calendar.next_midnight(self.rules.time_zone, now)

    def _turn(self, group: Group, now: datetime) -> calendar.Turn:
        return calendar.decide(self.rules, group.zone if self.rules.local else "", now)

    def _send(self, ready: Mapping[Group, int], today: date, now: datetime, minutes: float) -> bool:
        """Whether the day had room for anybody."""
        left = quota.left_today(self.rules.waves, self.taken, today)
        if left == 0:
            return False
        paced = max(1, round(self.rate * minutes))
        room = paced if left is None else min(paced, left)
        able = self._by_domain(ready, minutes)
        gone = _shared(able, min(room, sum(able.values())))
        count = sum(gone.values())
        day = self._day(today)
        for group, number in gone.items():
            self.waiting[group] -= number
            day.zones[group.zone or self.rules.time_zone] += number
        self.waiting = +self.waiting
        self.taken[today] = self.taken.get(today, 0) + count
        day.people += count
        day.hours[now.replace(minute=0, second=0, microsecond=0)] += count
        day.begins_at = day.begins_at or now
        day.ends_at = now + timedelta(minutes=min(minutes, count / self.rate))
        return True

    def _by_domain(self, ready: Mapping[Group, int], minutes: float) -> dict[Group, int]:
        """How many of each group may leave in a step; people of one domain share its limit."""
        by_domain: dict[str, dict[Group, int]] = defaultdict(dict)
        for group, count in ready.items():
            by_domain[group.domain if group.domain in self.limits else ""][group] = count
        found: dict[Group, int] = {}
        for domain, members in by_domain.items():
            total = sum(members.values())
            found |= _shared(members, min(total, max(1, round(self.limits[domain] * minutes))) if domain else total)
        return found

    def _day(self, today: date) -> Day:
        if today not in self.days:
            number = quota.wave_of(self.taken, today)
            limit = quota.wave_size(self.rules.waves, number)
            moved = calendar.offset_changes(self.rules.time_zone, today)
            self.days[today] = Day(today, number, limit, clocks_move=moved)
        return self.days[today]


def _next_quarter(moment: datetime) -> datetime:
    whole = moment.replace(second=0, microsecond=0)
    return whole + timedelta(minutes=15 - whole.minute % 15)


def _capped(groups: Mapping[Group, int], most: int) -> Counter[Group]:
    return Counter({group: count for group, count in _shared(groups, most).items() if count})


def _shared(groups: Mapping[Group, int], room: int) -> dict[Group, int]:
    """`room` divided by size, exactly: what rounding leaves goes to the largest remainders."""
    total = sum(groups.values())
    if room >= total:
        return dict(groups)
    exact = {group: count * room / total for group, count in groups.items()}
    found = {group: int(part) for group, part in exact.items()}
    rest = room - sum(found.values())
    for group in sorted(exact, key=lambda each: (found[each] - exact[each], each))[:rest]:
        found[group] += 1
    return found
