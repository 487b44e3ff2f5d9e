"""The count that the builder shows after an edit: exact or labelled, with counts per condition, reasons and funnel.

Floor: one raw count(*) of the same rule. `ours` and `floor` are answers a second at the 95th percentile of their times.
"""

import argparse
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone
from psycopg import sql

from audiences import preview, statements
from audiences.rules.compile import predicate
from audiences.rules.parse import parse
from audiences.rules.vocabulary import load
from benchmarks._audience import MOST, SIX, fill
from benchmarks._scope import new_scope
from benchmarks.result import Result
from benchmarks.stage import step
from projects.scoping import Scope

SIZE = ("people", 5_000_000)
ERROR_MAX = 0.05  # of a labelled count, where a fifth matches


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--edits", type=int, default=40, help="how many answers are timed")


def measure(size: int, options: argparse.Namespace) -> Result:
    scope, now = new_scope(f"preview-{size}"), timezone.now()
    with step(f"{size:,} people"):
        fill(scope, size, now)
    exact = _count(scope, SIX, now)
    rules = _edits(options.edits)
    with step(f"{options.edits} answers"):
        ours = _p95(lambda turn: _answer(scope, rules[turn], now, quick=True), options.edits)
    with step("raw counts"):
        floor = _p95(lambda turn: _count(scope, rules[turn], now), max(5, options.edits // 8))
    with step("checks"):
        quick, thorough = _answer(scope, SIX, now, quick=True), _answer(scope, MOST, now, quick=True)
    close = abs(quick.matched - exact) <= max(1, ERROR_MAX * exact)
    return Result(
        unit="answers/s",
        size=size,
        ours=1 / ours,
        floor=1 / floor,
        extra={
            "p95_ms": round(1000 * ours, 1),
            "raw_count_p95_ms": round(1000 * floor, 1),
            "exact": str(quick.exact),
            "matched": quick.matched,
            "counted": exact,
        },
        checks={
            "an exact answer is exact, a labelled one near": quick.matched == exact if quick.exact else close,
            "the funnel adds up": thorough.matched - sum(thorough.excluded.values()) == thorough.contactable,
            "every condition has its count": len(quick.per_node) == 8,
        },
    )


def _edits(count: int) -> list[Any]:
    """The rule as somebody changes a number in it."""
    found = []
    for turn in range(count):
        rules = [dict(each) for each in SIX["all"]]
        rules[2] = {**rules[2], "value": 40 + turn % 10}
        found.append({"all": rules})
    return found


def _answer(scope: Scope, rule: Any, now: datetime, *, quick: bool) -> preview.Preview:
    return preview.count(
        scope=scope, rule=parse(rule, load(scope)), channel="email", now=now, with_people=True, quick=quick
    )


def _count(scope: Scope, rule: Any, now: datetime) -> int:
    where, params = predicate(parse(rule, load(scope)), scope=scope, now=now)
    people = statements.composed("preview_people").format(sample=sql.SQL(""))
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT count(*) FROM {} AND {}").format(people, where),
            {**params, "environment": scope.environment_id},
        )
        ((found,),) = cursor.fetchall()
        return int(found)


def _p95(run: Callable[[int], Any], turns: int) -> float:
    run(0)  # warm
    times = []
    for turn in range(turns):
        began = time.perf_counter()
        run(turn)
        times.append(time.perf_counter() - began)
    return sorted(times)[min(turns - 1, int(0.95 * turns))]
