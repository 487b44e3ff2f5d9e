"""take() of a rule of six conditions: included, excluded with one reason each, addresses frozen, digest summed.

Floor: a bare INSERT .. SELECT of the same ids into an unindexed heap, by the same rule. Peer: the rows of the members
without address, reason, order and index. `people` is everybody in the environment; rates are matched people a second.
"""

import argparse
import time
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone
from psycopg import sql

from audiences import definitions, snapshot, statements
from audiences.models import Snapshot
from audiences.rules.compile import predicate
from audiences.rules.parse import parse
from audiences.rules.vocabulary import load
from benchmarks._audience import MOST, SIX, fill
from benchmarks._scope import new_scope
from benchmarks.result import Result, peak_mb
from benchmarks.stage import step
from projects.scoping import SYSTEM, Scope

SIZE = ("people", 1_000_000)
RULES = {"six": SIX, "most": MOST}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rule", choices=sorted(RULES), default="most", help="six: a fifth match; most: all but few")


def measure(size: int, options: argparse.Namespace) -> Result:
    scope, now = new_scope(f"snapshot-{size}"), timezone.now()
    with step(f"{size:,} people"):
        fill(scope, size, now)
    audience = definitions.create(scope=scope, actor=SYSTEM, name="Six", rule=RULES[options.rule], now=now)
    before = peak_mb()["self"]
    with step("ids into a heap"):
        floor = _floor(scope, RULES[options.rule], now)
    with step("take()"):
        began = time.perf_counter()
        taken = snapshot.take(
            scope=scope, version=definitions.latest(audience), channel="email", fields=[], purpose="benchmark", now=now
        )
        seconds = time.perf_counter() - began
    with step("rows of members into a heap"):
        bare = _bare(scope, RULES[options.rule], now)
    with step("checks"):
        checks = _checks(scope, taken, RULES[options.rule], now)
    extra = {"seconds": round(seconds, 2), "matched": taken.planned, "included": taken.included}
    return Result(
        unit="people/s",
        size=size,
        ours=taken.planned / seconds,
        floor=taken.planned / floor,
        peers={"members in a heap": taken.planned / bare},
        extra=extra | {"memory_grew_mb": peak_mb()["self"] - before},
        checks=checks,
    )


def _floor(scope: Scope, rule: Any, now: datetime) -> float:
    return _timed(scope, rule, now, "floor_ids", "(id bigint)", sql.SQL("p.id"))


def _bare(scope: Scope, rule: Any, now: datetime) -> float:
    columns = sql.SQL("1::bigint, p.environment_id, p.id, 1::bigint, now()::date, 1::int, 0::smallint, p.email")
    shape = (
        "(snapshot_id bigint, environment_id bigint, person_id bigint, truth bigint, taken_month date,"
        " position integer, reason smallint, address text)"
    )
    return _timed(scope, rule, now, "floor_members", shape, columns)


def _timed(scope: Scope, rule: Any, now: datetime, table: str, shape: str, columns: sql.Composable) -> float:
    where, params = predicate(parse(rule, load(scope)), scope=scope, now=now)
    people = statements.composed("preview_people").format(sample=sql.SQL(""))
    name = sql.Identifier(table)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
        cursor.execute(sql.SQL("CREATE TABLE {} {}").format(name, sql.SQL(shape)))
        began = time.perf_counter()
        cursor.execute(
            sql.SQL("INSERT INTO {} SELECT {} FROM {} AND {}").format(name, columns, people, where),
            {**params, "environment": scope.environment_id},
        )
        return time.perf_counter() - began


def _checks(scope: Scope, taken: Snapshot, rule: Any, now: datetime) -> dict[str, bool]:
    where, params = predicate(parse(rule, load(scope)), scope=scope, now=now)
    people = statements.composed("preview_people").format(sample=sql.SQL(""))
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT count(*) FROM {} AND {}").format(people, where),
            {**params, "environment": scope.environment_id},
        )
        ((matched,),) = cursor.fetchall()
        cursor.execute(
            "SELECT count(*), count(DISTINCT lower(address)) FROM audiences_snapshotmember"
            " WHERE snapshot_id = %s AND reason = 0",
            [taken.pk],
        )
        ((included, addresses),) = cursor.fetchall()
    return {
        "everyone the rule matched is in, once": matched == taken.planned,
        "no mailbox twice": included == addresses == taken.included,
        "everyone left out has one reason": taken.planned - taken.included == sum(taken.excluded_counts.values()),
        "the digest is of what is stored": not snapshot.verify(scope=scope, snapshot=taken).problems,
    }
