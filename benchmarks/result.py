"""What a benchmark found: a rate, its floor's rate in the same run, and the proofs that the work was done right."""

import math
import os
import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

PACKAGES = ("django", "psycopg", "celery", "uvicorn", "granian", "uvloop")


@dataclass(frozen=True, slots=True)
class Result:
    """`ours`, `floor` and the peers are rates in `unit`, higher is better. A false check fails the run.

    `extra` are further readings, by name with their unit in it: {"p99_ms": 12.5}.
    """

    unit: str
    size: int
    ours: float
    floor: float
    checks: Mapping[str, bool]
    peers: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, float | int | str] = field(default_factory=dict)
    exponent: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours / self.floor if self.floor else 0.0


def exponent(results: Sequence[Result]) -> float | None:
    """b of seconds = a * size^b, by least squares over the logarithms; None below two different sizes."""
    if len({found.size for found in results}) < 2:
        return None
    points = [(math.log(found.size), math.log(found.size / found.ours)) for found in results]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def as_json(name: str, found: Result) -> dict[str, Any]:
    """The one object that `--json` prints last."""
    return {
        "name": name,
        "unit": found.unit,
        "size": found.size,
        "ours": round(found.ours, 3),
        "floor": round(found.floor, 3),
        "ratio": round(found.ratio, 4),
        "peers": {peer: round(rate, 3) for peer, rate in found.peers.items()},
        "exponent": None if found.exponent is None else round(found.exponent, 3),
        "rss_mb": peak_mb(),
        "checks": dict(found.checks),
        "extra": dict(found.extra),
        "machine": machine(),
        "versions": versions(),
    }


def peak_mb() -> dict[str, int]:
    """Most memory that this process, and any one child that has ended, held at once."""
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        name: resource.getrusage(who).ru_maxrss * unit // 1_000_000
        for name, who in (("self", resource.RUSAGE_SELF), ("largest_child", resource.RUSAGE_CHILDREN))
    }


def machine() -> dict[str, Any]:
    load = os.getloadavg()[0]
    return {"cpus": os.cpu_count(), "system": platform.platform(terse=True), "load": round(load, 2)}


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        found[package] = metadata.version(package)
    return found
