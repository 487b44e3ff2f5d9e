"""Geometry of bars and charts: parts add up, small parts stay visible, nothing leaves the picture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamba_campaigns.web import charts
from lamba_campaigns.web.charts import Bucket, Series


@pytest.mark.parametrize(
    ("used", "total", "segments"),
    [
        (3, 5, [("ink", 0, 60)]),
        (80, 100, [("warn", 0, 80)]),
        (0, 0, [("ink", 0, 0)]),
        (61_840, 50_000, [("mute", 0, 80.9), ("bad", 80.9, 19.1)]),
        (7, None, []),
    ],
)
def test_a_meter_warns_near_its_limit_and_shows_what_is_beyond(
    used: int, total: int | None, segments: list[tuple[str, float, float]]
) -> None:
    found = [(s.tone, round(s.x, 1), round(s.width, 1)) for s in charts.meter(used, total).segments]
    assert found == segments


def test_a_meter_says_its_numbers() -> None:
    assert charts.meter(78_100, 100_000).label == "78,100 of 100,000 used"


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=8), st.integers(0, 10**9))
def test_a_stacked_bar_stays_in_its_frame_and_hides_no_part(numbers: list[int], total: int) -> None:
    bar = charts.stacked([(f"p{i}", "ok", n) for i, n in enumerate(numbers)], total)

    assert [s.name for s in bar.segments] == [f"p{i}" for i, n in enumerate(numbers) if n]
    assert all(s.width > 0 for s in bar.segments)
    assert sum(s.width for s in bar.segments) <= 100.000001
    for left, right in zip(bar.segments, bar.segments[1:], strict=False):
        assert right.x == pytest.approx(left.x + left.width)


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), max_size=80))
def test_a_chart_stays_in_its_plot(rows: list[tuple[int, int]]) -> None:
    series = [Series("Accepted", "ok"), Series("Failed", "bad")]
    chart = charts.bar_chart(title="t", series=series, buckets=[Bucket(str(i), row) for i, row in enumerate(rows)])

    assert chart.grid[0][1] == 0
    assert max((sum(row) for row in rows), default=0) <= chart.grid[-1][1]
    assert len(chart.labels) <= charts.LABELS_MAX + 1
    for column, row in zip(chart.columns, rows, strict=True):
        assert len(column.rects) == sum(1 for value in row if value)
        assert all(rect.y >= 0 and rect.y + rect.height <= charts.CHART_HEIGHT + 0.001 for rect in column.rects)


def test_what_has_not_happened_is_not_in_the_table() -> None:
    series = [Series("Accepted", "ok")]
    buckets = [Bucket("a", (1,)), Bucket("b", (2,), current=True), Bucket("c", (3,), projected=True)]
    assert [row.label for row in charts.bar_chart(title="t", series=series, buckets=buckets).rows] == ["a", "b"]
