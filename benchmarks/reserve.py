"""Launches that hold capacity at once: everything a launch asks of its plan, and its audit entry, in one transaction.

Sixteen processes ask one workspace for the same limits, so every ask meets the same counters and the same chain. The
floor is one guarded UPDATE of one counter per ask, by the same processes in the same run. The limit lets most of the
asks pass and refuses the rest, on both sides.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from django.db import connection, connections, transaction
from django.db.models import Sum
from django.urls import get_resolver

from audit import chain
from audit.verify import verify_chain
from benchmarks import stage
from benchmarks._scope import new_scope
from benchmarks.result import Result
from lamba_campaigns.lib.sql import durable
from limits import reservations, subscriptions, upkeep
from limits.models import Reservation, UsageCounter
from limits.reservations import Ask, PlanLimitExceeded
from projects.scoping import SYSTEM, Scope

SIZE = ("asks", 20_000)
VOLUME: Final = "included_email_volume"
MESSAGES: Final = 25  # of one ask
PASSING_PERCENT: Final = 95
FLOOR_TABLE: Final = "CREATE TABLE floor_counter (key text PRIMARY KEY, taken bigint NOT NULL, allowed bigint NOT NULL)"
FLOOR: Final = "UPDATE floor_counter SET taken = taken + %s WHERE key = 'volume' AND taken + %s <= allowed"
Ask1 = Callable[[int], bool]  # ask number -> was it held


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, default=16, help="processes that ask at once")


def measure(size: int, given: argparse.Namespace) -> Result:
    now = datetime.now(UTC)
    fitting = size * PASSING_PERCENT // 100
    scope = _workspace(fitting, now)
    _floor_table(fitting)
    with stage.step("floor: one guarded UPDATE per ask"):
        floor_held, floor_seconds = _clients(size, given.clients, lambda number: _update())
    with stage.step("ours: reserve and audit"):
        held, seconds = _clients(size, given.clients, lambda number: _launch(scope, number, now))
    return Result(
        unit="asks/s",
        size=size,
        ours=size / seconds,
        floor=size / floor_seconds,
        checks=_checks(scope, fitting, held, floor_held, now),
        extra={"clients": given.clients, "held": held, "counters_per_ask": 3},
    )


def _workspace(fitting: int, now: datetime) -> Scope:
    scope = new_scope("reserve")
    limits: dict[str, int | None] = {
        VOLUME: fitting * MESSAGES,
        "active_campaigns": None,
        "email_campaigns_per_month": None,
    }
    with transaction.atomic():
        subscriptions.start(workspace_id=scope.workspace_id, plan="growth", now=now, overrides=limits)
    return scope


def _floor_table(fitting: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS floor_counter")
        cursor.execute(FLOOR_TABLE)
        cursor.execute("INSERT INTO floor_counter VALUES ('volume', 0, %s)", [fitting * MESSAGES])


def _clients(size: int, clients: int, ask: Ask1) -> tuple[int, float]:
    """How many asks were held, and the seconds from the common start until all have ended."""
    connections.close_all()
    get_resolver().url_patterns  # noqa: B018  # read the addresses once, before there are sixteen of us
    context = multiprocessing.get_context("fork")
    gate, answers = context.Barrier(clients + 1), context.Queue()
    workers = [
        context.Process(target=_work, args=(range(n, size, clients), ask, gate, answers)) for n in range(clients)
    ]
    for worker in workers:
        worker.start()
    gate.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - began
    assert all(worker.exitcode == 0 for worker in workers), "a client broke; its traceback is above"
    return sum(answers.get() for _ in workers), seconds


def _work(
    numbers: range, ask: Ask1, gate: "multiprocessing.synchronize.Barrier", answers: "multiprocessing.Queue[int]"
) -> None:
    connection.ensure_connection()
    gate.wait()
    answers.put(sum(ask(number) for number in numbers))
    connections.close_all()


def _update() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(FLOOR, [MESSAGES, MESSAGES])
        return bool(cursor.rowcount)


def _launch(scope: Scope, number: int, now: datetime) -> bool:
    """What launch.request_launch and the worker ask together, and the entry that the launch leaves."""
    asks = [
        Ask("channel.email", 1),
        Ask("active_campaigns", 1),
        Ask("email_campaigns_per_month", 1),
        Ask("audience_per_campaign", MESSAGES),
        Ask(VOLUME, MESSAGES),
    ]
    campaign = f"cmp_{number}"
    try:
        with durable():
            reservations.reserve(scope=scope, actor=SYSTEM, purpose=f"launch:{campaign}:1", asks=asks, at=now, now=now)
            chain.record(
                scope=scope,
                actor=SYSTEM,
                action="campaign.launched",
                subject=chain.Subject("campaign", campaign, f"Campaign {number}"),
                now=now,
                before={"state": "draft"},
                after={"state": "launching", "audience": MESSAGES},
            )
    except PlanLimitExceeded:
        return False
    return True


def _checks(scope: Scope, fitting: int, held: int, floor_held: int, now: datetime) -> dict[str, bool]:
    counters = dict(UsageCounter.objects.values_list("limit_key", "reserved"))
    lines = Reservation.objects.within(scope).values("lines__limit_key").annotate(held=Sum("lines__held"))
    return {
        "exactly_what_fits_is_held": held == fitting == floor_held,
        "never_over": counters[VOLUME] == fitting * MESSAGES,
        "counters_equal_the_sum_of_reservations": {row["lines__limit_key"]: row["held"] for row in lines} == counters,
        "counters_equal_the_sum_of_entries": upkeep.prove(now=now) == [],
        "one_audit_entry_each_and_the_chain_verifies": _verifies(scope, held),
    }


def _verifies(scope: Scope, held: int) -> bool:
    found = verify_chain(key=chain.chain_key(scope=scope))
    return found.ok and found.entries == held
