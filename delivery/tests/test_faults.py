"""Everything around the engine breaks, for real: afterwards what arrived, the messages and the ledger agree.

Workers are processes, the server that counts what arrives is one too. LAMBA_FAULT_KILLS asks for more kills than the
few of every run; hundreds take minutes.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from audit import ledger
from benchmarks import _sink
from delivery import deliver as engine
from delivery import finishing, jobs, ringing, windows
from delivery.channels import smtp
from delivery.models import SendJob
from delivery.tests.conftest import Postbox, counters, state
from delivery.tests.workshop import agree, at_work, end_leases, finish, gone, open_windows, until
from projects.scoping import Actor, Scope

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
KILLS = int(os.environ.get("LAMBA_FAULT_KILLS", "5"))
SEED = int(os.environ.get("LAMBA_FAULT_SEED", "0")) or random.randrange(10**6)
MESSAGES = 1_500 * KILLS + 2_000


def test_workers_killed_at_random_moments_repeat_nobody_and_lose_nobody(
    scope: Scope,
    make_job: Callable[..., SendJob],
    start: Callable[[SendJob], int],
    sink: _sink.Handle,
) -> None:
    chance, killed = random.Random(SEED), 0
    while killed < KILLS:  # on a busy machine a job may be over before its workers were killed often enough
        job, uncertain = make_job(MESSAGES), 0
        crew = [start(job), start(job)]
        while killed < KILLS and state(job) == "sending":
            victim = crew.pop(chance.randrange(2))
            until(lambda: at_work(job, victim))  # noqa: B023
            time.sleep(chance.uniform(0, 0.1))
            if not gone(victim):
                os.kill(victim, signal.SIGKILL)
                until(lambda: gone(victim))  # noqa: B023
                killed += 1
            assert all(size <= windows.MICRO_BATCH_MESSAGES for size in open_windows(job))
            lost = end_leases(job, victim)
            assert lost <= windows.MICRO_BATCH_MESSAGES, f"seed {SEED}"
            uncertain += lost
            crew.append(start(job))
        until(lambda: all(map(gone, crew)), seconds=300)  # noqa: B023
        if state(job) == "sending":
            finish(job)

        balance = agree(scope, job, sink)
        assert balance.get("uncertain", 0) == uncertain, f"seed {SEED}"
        assert balance["accepted"] == MESSAGES - uncertain
        sys.stderr.write(f"{killed} kills, {uncertain} of {MESSAGES} uncertain, seed {SEED}\n")


def test_a_database_that_breaks_off_every_session_costs_nothing(
    scope: Scope, make_job: Callable[..., SendJob], start: Callable[[SendJob], int], sink: _sink.Handle
) -> None:
    """What a restart of Postgres is to a worker: its session ends, between two statements or inside one."""
    job = make_job(6000)
    worker = start(job)
    for _ in range(3):
        before = sink.count().messages
        until(lambda: sink.count().messages > before or gone(worker))  # noqa: B023
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        time.sleep(0.1)
    until(lambda: gone(worker), seconds=60)
    end_leases(job, worker)
    finish(job)
    balance = agree(scope, job, sink)
    assert balance.get("uncertain", 0) <= windows.MICRO_BATCH_MESSAGES, "only if it broke inside a commit"
    assert sum(balance.values()) == 6000


def test_a_task_that_is_delivered_twice_repeats_nobody(
    scope: Scope, make_job: Callable[..., SendJob], start: Callable[[SendJob], int], sink: _sink.Handle
) -> None:
    job = make_job(4000)
    crew = [start(job) for _ in range(4)]
    until(lambda: all(map(gone, crew)), seconds=60)
    assert state(job) == "finished"
    assert agree(scope, job, sink) == {"accepted": 4000}


def test_a_stopped_worker_that_wakes_up_after_its_lease_writes_nothing(
    scope: Scope, make_job: Callable[..., SendJob], start: Callable[[SendJob], int], sink: _sink.Handle
) -> None:
    """Two workers with the same chunk: one slept so long that the other went on behind its window."""
    job = make_job(5000)
    sleeper = start(job)
    until(lambda: sink.count().messages > 200)
    os.kill(sleeper, signal.SIGSTOP)
    lost = end_leases(job, sleeper)
    helper = start(job)
    until(lambda: gone(helper), seconds=60)
    os.kill(sleeper, signal.SIGCONT)
    until(lambda: gone(sleeper), seconds=60)
    finishing.settle(scope=scope, job_id=job.pk, now=datetime.now(UTC))
    balance = agree(scope, job, sink)
    assert balance == {key: count for key, count in {"accepted": 5000 - lost, "uncertain": lost}.items() if count}


def test_pause_resume_and_cancel_act_within_two_seconds_at_full_speed(
    scope: Scope, make_job: Callable[..., SendJob], start: Callable[[SendJob], int], sink: _sink.Handle
) -> None:
    job = make_job(20_000)
    asks: list[tuple[Any, str]] = [(jobs.pause, "paused"), (jobs.cancel, "cancelled")]
    for ask, reached in asks:
        before, worker = sink.count().messages, start(job)
        until(lambda: sink.count().messages > before + 300)  # noqa: B023
        asked = time.monotonic()
        with transaction.atomic():
            ask(scope=scope, job=job, now=datetime.now(UTC))
        until(lambda: state(job) == reached)  # noqa: B023
        assert time.monotonic() - asked < 2
        assert sink.count().last_at - asked < 2
        until(lambda: gone(worker))  # noqa: B023
        if reached == "paused":
            with transaction.atomic():
                jobs.resume(scope=scope, job=job, now=datetime.now(UTC))
    balance = agree(scope, job, sink)
    assert balance["accepted"] + balance["cancelled"] == 20_000


def test_a_ring_that_is_lost_with_the_broker_comes_again(make_job: Callable[..., SendJob], sink: _sink.Handle) -> None:
    job, moment = make_job(50), datetime.now(UTC)
    assert job.pk in ringing.due(now=moment)  # goes to a broker that forgets it
    assert ringing.due(now=moment + timedelta(seconds=1)) == []
    assert job.pk in ringing.due(now=moment + timedelta(seconds=3))
    engine.deliver(job_id=job.pk, seconds=5)
    assert sink.count().messages == 50


def test_a_clock_that_jumps_a_day_stops_nothing_and_repeats_nobody(
    scope: Scope, make_job: Callable[..., SendJob], sink: _sink.Handle
) -> None:
    job = make_job(900)
    jumps = iter([timedelta(), timedelta(days=1), timedelta(days=-1), timedelta(days=-400), timedelta(days=2)] * 200)
    engine.deliver(job_id=job.pk, seconds=30, clock=lambda: datetime.now(UTC) + next(jumps))
    assert agree(scope, job, sink) == {"accepted": 900}
    limited = make_job(40, rate_per_minute=60_000)
    ahead = datetime.now(UTC) + timedelta(days=1)
    with transaction.atomic():
        windows.paced(job_id=limited.pk, rate=60_000, size=10, now=ahead)
    engine.deliver(job_id=limited.pk, seconds=10)
    assert counters(limited) == {"accepted": 40}


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "greylist", "421", "stall", "die"])
def test_a_server_that_misbehaves_in_every_way_repeats_nobody(
    scope: Scope,
    actor: Actor,
    make_job: Callable[..., SendJob],
    postbox: Postbox,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    """Every seventh message goes wrong; retries come until all is settled."""
    monkeypatch.setattr(smtp, "BATCH_SECONDS_MAX", 0.6)
    turn = iter(range(1, 10_000))
    _break(postbox, fault, lambda: next(turn) % 7 == 0)
    job, moment = make_job(60), datetime.now(UTC)
    for hour in range(8):
        engine.deliver(job_id=job.pk, seconds=10, clock=lambda: moment + timedelta(hours=12 * hour))  # noqa: B023
        if hour == 1:
            _break(postbox, "", lambda: False)
    balance = counters(job)
    assert state(job) == "finished"
    assert len(set(postbox.addresses())) == len(postbox.received), "somebody got it twice"
    assert balance["accepted"] + balance.get("uncertain", 0) == 60
    assert balance["accepted"] <= len(postbox.received) <= 60
    assert ("uncertain" in balance) == (fault in ("drop_after", "stall", "die"))
    assert ledger.balance(scope=scope, job_id=job.pk).residual == 0


def _break(box: Postbox, fault: str, now: Callable[[], bool]) -> None:
    async def stall(server: Any, envelope: Any) -> None:
        import asyncio

        if now():
            await asyncio.sleep(2)

    box.rcpt = lambda address: None
    box.data = lambda server, envelope: None
    if fault == "drop_before":
        box.rcpt = lambda address: "close" if now() else None
    elif fault == "greylist":
        box.rcpt = lambda address: "451 4.7.1 Come back later" if now() else None
    elif fault == "421":
        box.data = lambda server, envelope: "421 4.3.2 Enough" if now() else None
    elif fault in ("drop_after", "die"):
        box.data = lambda server, envelope: "drop" if now() else None
    elif fault == "stall":
        box.data = stall
