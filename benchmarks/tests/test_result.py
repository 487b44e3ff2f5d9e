"""The figures that a benchmark prints are computed as they are documented."""

import pytest

from benchmarks.result import Result, as_json, exponent


def result(size: int, seconds: float) -> Result:
    return Result(unit="rows/s", size=size, ours=size / seconds, floor=4 * size / seconds, checks={"all": True})


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_is_the_slope_of_seconds_over_size(power: float) -> None:
    assert exponent([result(size, 0.001 * size**power) for size in (100, 1_000, 5_000)]) == pytest.approx(power)


def test_one_size_has_no_exponent() -> None:
    assert exponent([result(100, 1.0)]) is None
    assert exponent([result(100, 1.0), result(100, 1.1)]) is None


def test_json_carries_what_a_reader_compares() -> None:
    found = as_json("snapshot", result(1_000, 2.0))
    assert (found["name"], found["size"], found["ours"], found["floor"], found["ratio"]) == (
        "snapshot",
        1_000,
        500.0,
        2_000.0,
        0.25,
    )
    assert found["checks"] == {"all": True}
    assert {"rss_mb", "machine", "versions", "peers", "exponent", "unit"} <= found.keys()
