"""A moment that is called open is inside the window and outside of quiet hours there, on every day of every zone."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.pacing import calendar, quota
from delivery.pacing.forecast import Group, forecast
from delivery.pacing.rules import Rules, as_document, frozen, of_job, read
from lamba_campaigns.lib.errors import Invalid

BERLIN = "Europe/Berlin"
ZONES = [BERLIN, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns", "UTC"]
OFFICE = {"window": {"opens": "09:00", "closes": "17:00", "days": [1, 2, 3, 4, 5]}}
clocks = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 7, 15, 30, 45]))
documents = st.fixed_dictionaries(
    {"past": st.sampled_from(["next_window", "skip", "send_now"])},
    optional={
        "window": st.fixed_dictionaries(
            {"opens": clocks, "closes": clocks, "days": st.lists(st.integers(1, 7), min_size=1, max_size=7)}
        ),
        "quietHours": st.fixed_dictionaries({"from": clocks, "until": clocks}),
    },
)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)).map(lambda each: each.replace(tzinfo=UTC))  # noqa: DTZ001


def usable(document: dict[str, Any]) -> Rules | None:
    try:
        return read(document, time_zone="UTC")
    except Invalid:
        return None


def inside(wall: time, start: time, end: time) -> bool:
    return start <= wall < end if start < end else wall >= start or wall < end


@given(document=documents, zone=st.sampled_from(ZONES), now=moments)
def test_open_means_inside_the_window_and_outside_of_quiet_hours(
    document: dict[str, Any], zone: str, now: datetime
) -> None:
    rules = usable(document)
    if rules is None:
        return
    turn = calendar.decide(rules, zone, now)
    wall = now.astimezone(ZoneInfo(zone))

    if turn.kind == "go":
        if rules.quiet:
            assert not inside(wall.time(), rules.quiet.start, rules.quiet.end)
        if rules.window and rules.past != "send_now":
            assert inside(wall.time(), rules.window.start, rules.window.end)
    if turn.kind == "skip":
        assert rules.past == "skip"
    if turn.kind == "wait":
        assert turn.until is not None and turn.until > now
        assert calendar.decide(rules, zone, turn.until).kind != "skip"


@given(document=documents, zone=st.sampled_from(ZONES), now=moments)
def test_who_waits_is_let_in_at_the_moment_that_was_named(document: dict[str, Any], zone: str, now: datetime) -> None:
    rules = usable(document | {"past": "next_window"})
    if rules is None:
        return
    turn = calendar.decide(rules, zone, now)
    if turn.kind == "wait" and turn.until is not None:
        assert calendar.decide(rules, zone, turn.until) == calendar.GO
        assert calendar.decide(rules, zone, turn.until - timedelta(microseconds=1)).kind == "wait"


@pytest.mark.parametrize(
    ("now", "past", "kind", "until"),
    [
        (datetime(2026, 11, 23, 6, tzinfo=UTC), "skip", "wait", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        (datetime(2026, 11, 23, 12, tzinfo=UTC), "skip", "go", None),
        (datetime(2026, 11, 23, 18, tzinfo=UTC), "next_window", "wait", datetime(2026, 11, 24, 8, tzinfo=UTC)),
        (datetime(2026, 11, 23, 18, tzinfo=UTC), "skip", "skip", None),
        (datetime(2026, 11, 23, 18, tzinfo=UTC), "send_now", "go", None),
        # at 22:30 it is past the window, and quiet: even "send now" waits for the morning
        (datetime(2026, 11, 23, 21, 30, tzinfo=UTC), "send_now", "wait", datetime(2026, 11, 24, 6, tzinfo=UTC)),
        # Saturday has no window that could be past
        (datetime(2026, 11, 28, 18, tzinfo=UTC), "skip", "wait", datetime(2026, 11, 30, 8, tzinfo=UTC)),
    ],
)
def test_already_past_is_a_policy(now: datetime, past: str, kind: str, until: datetime | None) -> None:
    rules = read(OFFICE | {"quietHours": {"from": "22:00", "until": "07:00"}, "past": past}, time_zone=BERLIN)

    turn = calendar.decide(rules, "", now)

    assert (turn.kind, turn.until) == (kind, until)


def test_windows_on_days_when_clocks_change_open_less_never_more() -> None:
    rules = read({"window": {"opens": "02:30", "closes": "09:00"}}, time_zone=BERLIN)

    spring = calendar.open_spans(rules, BERLIN, date(2027, 3, 28))[1]
    autumn = calendar.open_spans(rules, BERLIN, date(2027, 10, 31))[1]

    # 02:30 does not exist: it opens at 03:30 summer time. 02:30 comes twice: it opens at the second one.
    assert spring == (datetime(2027, 3, 28, 1, 30, tzinfo=UTC), datetime(2027, 3, 28, 7, tzinfo=UTC))
    assert autumn == (datetime(2027, 10, 31, 1, 30, tzinfo=UTC), datetime(2027, 10, 31, 8, tzinfo=UTC))


def test_somebody_without_a_zone_counts_as_the_campaigns_own() -> None:
    rules = read(OFFICE | {"zone": "recipient"}, time_zone=BERLIN)
    now = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)

    assert calendar.decide(rules, "", now) == calendar.decide(rules, "Mars/Olympus", now) == calendar.GO
    assert calendar.decide(rules, "America/New_York", now).until == datetime(2026, 11, 23, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        ({"window": {"opens": "9", "closes": "17:00"}}, "window/opens", "invalid"),
        ({"window": {"opens": "09:00", "closes": "17:00", "days": [0]}}, "window/days", "range"),
        ({"quietHours": {"from": "08:00", "until": "08:00"}}, "quietHours/until", "never_open"),
        ({**OFFICE, "quietHours": {"from": "08:00", "until": "16:30"}}, "quietHours", "never_open"),
        ({"waves": [500, 0]}, "waves/1", "range"),
        ({"domainLimits": {"not a domain": 5}}, "domainLimits", "invalid"),
        ({"domainLimits": {"gmail.com": 0}}, "domainLimits/gmail.com", "range"),
        ({"past": "yesterday"}, "past", "unknown"),
        ({"zone": "moon"}, "zone", "unknown"),
        ({"timeZone": "Mars/Olympus"}, "timeZone", "unknown"),
        ({"colour": "red"}, "colour", "unknown"),
    ],
)
def test_rules_that_make_no_sense_name_their_place(document: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(document, time_zone=BERLIN)

    assert (f"#/sendingRules/{pointer}", code) in [(each.pointer, each.code) for each in refused.value.problems]


def test_a_frozen_document_reads_back_as_the_same_rules() -> None:
    document = OFFICE | {"quietHours": {"from": "21:00", "until": "08:00"}, "waves": [500], "zone": "recipient"}

    kept = frozen(document, time_zone=BERLIN)

    assert of_job(kept) == read(document, time_zone=BERLIN)
    assert as_document(of_job(kept)) | {"timeZone": BERLIN} == kept  # type: ignore[arg-type]
    assert frozen({"past": "skip"}, time_zone=BERLIN) == {} and of_job({}) is None


def test_days_without_anybody_do_not_count_as_waves() -> None:
    taken = {date(2026, 11, 20): 500, date(2026, 11, 23): 0, date(2026, 11, 24): 20}

    assert quota.left_today((500, 2000), taken, date(2026, 11, 24)) == 1980
    assert quota.left_today((500, 2000), taken, date(2026, 11, 25)) is None


@given(rate=st.integers(1, 5_000), asks=st.lists(st.integers(0, 3_000), min_size=1, max_size=400))
def test_a_domain_never_takes_more_than_its_rate_and_one_burst(rate: int, asks: list[int]) -> None:
    start = datetime(2026, 11, 23, tzinfo=UTC)
    bucket = quota.Bucket(start - timedelta(days=1), start - timedelta(days=1))
    now, times = start, []
    for wait in asks:
        now += timedelta(milliseconds=wait)
        times += [now for _ in range(50) if bucket.take(rate, now)]

    burst = max(1, rate // 60)
    for first in range(0, len(times), 7):
        minute = [each for each in times[first:] if each < times[first] + timedelta(minutes=1)]
        assert len(minute) <= rate + burst


def test_the_simulator_shows_waves_windows_and_the_day_on_which_clocks_change() -> None:
    rules = read(OFFICE | {"waves": [500, 2_000]}, time_zone=BERLIN)
    rules = read(as_document(rules) | {"window": {"opens": "09:00", "closes": "17:00"}}, time_zone=BERLIN)

    found = forecast(
        rules=rules,
        groups={Group(): 10_000},
        rate_per_minute=100,
        total_cap=9_000,
        start=datetime(2027, 3, 26, 18, tzinfo=UTC),
    )

    assert [(day.day.isoformat(), day.wave, day.limit, day.people) for day in found.days] == [
        ("2027-03-27", 1, 500, 500),
        ("2027-03-28", 2, 2_000, 2_000),
        ("2027-03-29", 3, None, 6_500),
    ]
    assert [day.clocks_move for day in found.days] == [timedelta(), timedelta(hours=1), timedelta()]
    assert [day.begins_at for day in found.days] == [
        datetime(2027, 3, 27, 8, tzinfo=UTC),
        datetime(2027, 3, 28, 7, tzinfo=UTC),
        datetime(2027, 3, 29, 7, tzinfo=UTC),
    ]
    assert found.days[0].ends_at == datetime(2027, 3, 27, 8, 5, tzinfo=UTC)
    assert (found.people, found.over_cap, found.left, found.skipped) == (9_000, 1_000, 0, 0)


@pytest.mark.parametrize(
    ("zone", "day", "moved"),
    [
        ("Europe/Berlin", date(2027, 3, 28), timedelta(hours=1)),
        ("Europe/Berlin", date(2027, 10, 31), timedelta(hours=-1)),
        ("America/New_York", date(2027, 11, 7), timedelta(hours=-1)),
        ("America/Santiago", date(2027, 9, 5), timedelta(hours=1)),  # at midnight: the day begins at one
        ("Australia/Lord_Howe", date(2027, 4, 4), timedelta(minutes=-30)),
    ],
)
def test_the_simulator_sends_nobody_outside_the_window_on_a_day_whose_clocks_change(
    zone: str, day: date, moved: timedelta
) -> None:
    """Minute by minute as the engine decides: a day of 23 hours has a window that is shorter, never an earlier one."""
    rules = read({"window": {"opens": "00:15", "closes": "05:00"}, "zone": "recipient"}, time_zone=zone)
    begins = datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
    minutes = [begins + timedelta(minutes=each) for each in range(25 * 60)]
    opened = [each for each in minutes if calendar.decide(rules, zone, each) == calendar.GO]
    opened = [each for each in opened if each.astimezone(ZoneInfo(zone)).date() == day]

    found = forecast(
        rules=rules, groups={Group(zone): 200_000}, rate_per_minute=60, total_cap=None, start=begins - timedelta(days=1)
    )

    today = next(each for each in found.days if each.day == day)
    assert today.clocks_move == moved
    assert (today.begins_at, today.ends_at) == (opened[0], opened[-1] + timedelta(minutes=1))
    assert today.people == 60 * len(opened)
    assert set(today.hours) == {each.replace(minute=0) for each in opened}


@given(
    sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=6),
    document=documents,
    waves=st.lists(st.integers(1, 3_000), max_size=3),
    cap=st.none() | st.integers(1, 20_000),
    start=moments,
)
def test_the_simulator_gives_everybody_exactly_one_end(
    sizes: list[int], document: dict[str, Any], waves: list[int], cap: int | None, start: datetime
) -> None:
    rules = usable(document | {"waves": waves, "zone": "recipient", "domainLimits": {"gmail.com": 40}})
    if rules is None:
        return
    groups = {
        Group(zone, "gmail.com" if place % 2 else ""): size
        for place, (zone, size) in enumerate(zip(ZONES, sizes, strict=False))
    }

    found = forecast(rules=rules, groups=groups, rate_per_minute=500, total_cap=cap, start=start)

    assert found.people + found.skipped + found.left + found.over_cap == sum(sizes)
    for day in found.days:
        assert day.limit is None or day.people <= day.limit
    assert Counter({day.day: day.people for day in found.days}).total() == found.people
