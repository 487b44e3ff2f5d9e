"""Bars and charts are SVG geometry made here: x in percent, a fixed height, no viewBox, no inline style, no script."""

from collections.abc import Sequence
from dataclasses import dataclass, field

CHART_HEIGHT = 168  # of the plot; labels stand below it
LABEL_HEIGHT = 30
LABELS_MAX = 6
GRID_LINES = 3
GAP = 2.4  # px between the parts of a bar, so that a thin part stays a part
PART_HEIGHT_MIN = 1.2
SEGMENT_WIDTH_MIN = 0.4  # percent: one failure among a million is still seen
BAR_SHARE = 0.72  # of a bucket's width
DANGER_SHARE = 0.75  # of a limit; from here a meter warns


@dataclass(frozen=True, slots=True)
class Segment:
    """One coloured piece of a bar, in percent."""

    name: str
    tone: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    segments: tuple[Segment, ...]
    label: str


def meter(used: int, total: int | None, tone: str = "") -> Bar:
    """`used` of `total`: ink, then amber from 75%, red beyond the limit."""
    if total is None:
        return Bar((), f"{used:,} used, no limit")
    if used > total:
        share = 100 * total / used
        parts = (Segment("allowed", "mute", 0, share), Segment("over", tone or "bad", share, 100 - share))
        return Bar(parts, f"{used:,} needed, {total:,} available")
    share = 100 * used / total if total else 0
    chosen = tone or ("warn" if share >= 100 * DANGER_SHARE else "ink")
    return Bar((Segment("used", chosen, 0, share),), f"{used:,} of {total:,} used")


def stacked(parts: Sequence[tuple[str, str, int]], total: int = 0) -> Bar:
    """Parts of one whole in their order; a part that is not zero keeps a visible width."""
    whole = max(total, sum(n for _, _, n in parts)) or 1
    widths = [max(100 * n / whole, SEGMENT_WIDTH_MIN) if n else 0.0 for _, _, n in parts]
    shrink = 100 / sum(widths) if sum(widths) > 100 else 1.0
    segments, x = [], 0.0
    for (name, tone, _), width in zip(parts, widths, strict=True):
        if width:
            segments.append(Segment(name, tone, x, width * shrink))
            x += width * shrink
    return Bar(tuple(segments), ", ".join(f"{n:,} {name.lower()}" for name, _, n in parts))


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a chart."""

    name: str
    tone: str  # ok, bad, warn, info, mute


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bar: a value for each series. `current` is still growing, `projected` has not happened."""

    label: str
    values: tuple[int, ...]
    current: bool = False
    projected: bool = False

    @property
    def total(self) -> int:
        return sum(self.values)


@dataclass(frozen=True, slots=True)
class Rect:
    tone: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    bucket: Bucket
    x: float
    width: float
    rects: tuple[Rect, ...]
    cells: str  # the values as the tooltip reads them: "630|8|13"


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar chart as the template draws it, and the same numbers as a table."""

    title: str
    series: tuple[Series, ...]
    columns: tuple[Column, ...]
    grid: tuple[tuple[float, int], ...]  # (y, value)
    labels: tuple[tuple[float, str], ...]  # (x, text)
    unit: str = ""
    height: int = CHART_HEIGHT + LABEL_HEIGHT
    plot_height: int = CHART_HEIGHT
    projected: bool = field(default=False)

    @property
    def rows(self) -> list[Bucket]:
        return [column.bucket for column in self.columns if not column.bucket.projected]


def bar_chart(*, title: str, series: Sequence[Series], buckets: Sequence[Bucket], unit: str = "") -> Chart:
    """Stacked bars over time. Every bucket has one value for each series, in the order of `series`."""
    assert all(len(bucket.values) == len(series) for bucket in buckets), "one value for each series"
    top = _round_up(max((bucket.total for bucket in buckets), default=0))
    width = 100 / max(len(buckets), 1)
    every = -(-len(buckets) // LABELS_MAX) or 1
    return Chart(
        title=title,
        series=tuple(series),
        columns=tuple(_column(bucket, i, width, top, series) for i, bucket in enumerate(buckets)),
        grid=tuple((CHART_HEIGHT * (1 - i / GRID_LINES), top * i // GRID_LINES) for i in range(GRID_LINES + 1)),
        labels=tuple(
            (i * width + width * (1 - BAR_SHARE) / 2, b.label) for i, b in enumerate(buckets) if i % every == 0
        ),
        unit=unit,
        projected=any(bucket.projected for bucket in buckets),
    )


def _column(bucket: Bucket, index: int, width: float, top: int, series: Sequence[Series]) -> Column:
    x, bar = index * width + width * (1 - BAR_SHARE) / 2, width * BAR_SHARE
    rects, y = [], float(CHART_HEIGHT)
    for line, value in zip(series, bucket.values, strict=True):
        if value:
            height = max(CHART_HEIGHT * value / top, PART_HEIGHT_MIN)
            rects.append(Rect(line.tone, x, max(y - height, 0), bar, height))
            y -= height + GAP
    return Column(bucket, index * width, width, tuple(rects), "|".join(str(value) for value in bucket.values))


def _round_up(value: int) -> int:
    """The next 3, 6, 15, 30, 60, 150 …: three even grid steps with round numbers."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if factor * step * GRID_LINES >= value:
                return factor * step * GRID_LINES
        step *= 10
