"""Workers as real processes, killed in the middle: at most one micro-batch is uncertain, nobody is mailed twice."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction

from audit import ledger
from delivery import capture, evidence, jobs, leases, windows
from delivery import deliver as engine
from delivery.channels import smtp
from delivery.models import CapturedMail, Chunk, SendJob
from delivery.tests.conftest import counters, free_port, state
from projects.scoping import Scope

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = Path(__file__).parents[2]
WORKER = """
import django, sys
django.setup()
from delivery import deliver
deliver.deliver(job_id=int(sys.argv[1]), seconds=60)
"""


@pytest.fixture
def capture_server(settings: Any) -> Iterator[int]:
    """The capture server, storing into this test's database; returns its port."""
    port = free_port()
    server, handler = capture.controller(host="127.0.0.1", port=port)
    server.start()
    settings.EMAIL_URL = settings.CAPTURE_URL = f"smtp://127.0.0.1:{port}?connections=4"
    yield port
    smtp.channel(settings.EMAIL_URL).close()
    server.stop()
    handler.close()


@pytest.fixture
def worker(capture_server: int, database_url: str) -> Iterator[Callable[[SendJob], "subprocess.Popen[bytes]"]]:
    """worker(job) -> a process that works on it."""
    running: list[subprocess.Popen[bytes]] = []
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "lamba_campaigns.settings",
        "EMAIL_URL": f"smtp://127.0.0.1:{capture_server}?connections=4",
        "LAMBA_CAPTURE_URL": f"smtp://127.0.0.1:{capture_server}?connections=4",
    }

    def start(job: SendJob) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen([sys.executable, "-c", WORKER, str(job.pk)], env=environment, cwd=ROOT)
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.01)


def received(job: SendJob) -> list[int]:
    return list(
        CapturedMail.objects.across_environments("the test's own")
        .filter(job_id=job.pk)
        .values_list("position", flat=True)
    )


def test_a_killed_worker_leaves_one_micro_batch_uncertain_and_the_rest_goes_on(
    scope: Scope, make_job: Callable[..., SendJob], worker: Callable[..., Any]
) -> None:
    job = make_job(3000)
    process = worker(job)
    until(lambda: len(received(job)) > 600)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    in_flight = counters(job).get("in_flight", 0)
    assert in_flight <= windows.MICRO_BATCH_MESSAGES

    with connection.cursor() as cursor:  # the lease ends, by the database's clock
        cursor.execute("UPDATE delivery_chunk SET lease_until = now() - interval '1 second' WHERE state = 1")
    assert leases.expire(now=datetime.now(UTC)) == in_flight
    engine.deliver(job_id=job.pk, seconds=60)

    assert state(job) == "finished"
    balance = counters(job)
    assert balance.get("uncertain", 0) == in_flight
    assert balance["accepted"] == 3000 - in_flight
    got = Counter(received(job))
    assert max(got.values()) == 1, "captured once each"
    assert 3000 - in_flight <= len(got) <= 3000
    assert ledger.balance(scope=scope, job_id=job.pk).residual == 0
    assert evidence.messages(scope=scope, job=job)["uncertain"] == in_flight
    assert evidence.captured_twice(scope=scope, job=job) == 0


def test_two_workers_share_a_job_and_a_task_delivered_twice_repeats_nobody(
    scope: Scope, make_job: Callable[..., SendJob], worker: Callable[..., Any]
) -> None:
    job = make_job(3000)
    for process in [worker(job), worker(job), worker(job)]:
        assert process.wait(timeout=60) == 0
    engine.deliver(job_id=job.pk, seconds=5)
    assert state(job) == "finished"
    assert counters(job) == {"accepted": 3000}
    assert sorted(received(job)) == list(range(1, 3001))
    assert Chunk.objects.within(scope).filter(job=job, state=Chunk.State.DONE).count() == 3
    assert ledger.balance(scope=scope, job_id=job.pk).residual == 0


def test_a_pause_holds_within_two_seconds_at_full_speed(
    scope: Scope, make_job: Callable[..., SendJob], worker: Callable[..., Any]
) -> None:
    job = make_job(6000)
    process = worker(job)
    until(lambda: len(received(job)) > 500)
    asked = time.monotonic()
    with transaction.atomic():
        jobs.pause(scope=scope, job=job, now=datetime.now(UTC))
    until(lambda: state(job) == "paused")
    assert time.monotonic() - asked < 2
    process.wait(timeout=10)
    stopped = len(received(job))
    assert stopped == counters(job)["accepted"] < 6000
    time.sleep(0.3)
    assert len(received(job)) == stopped


def test_one_chunk_is_leased_to_one_worker_only(scope: Scope, make_job: Callable[..., SendJob]) -> None:
    job = make_job(10)
    gate = threading.Barrier(8)
    claimed: list[object] = []

    def claim() -> None:
        try:
            gate.wait()
            with transaction.atomic():
                lease = windows.claim_chunk(job=job, owner=threading.current_thread().name, now=datetime.now(UTC))
                time.sleep(0.05)
            claimed.append(lease)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(lease is not None for lease in claimed) == 1


def test_a_lost_fence_refuses_the_old_owner(scope: Scope, make_job: Callable[..., SendJob]) -> None:
    job = make_job(10)
    with transaction.atomic():
        old = windows.claim_chunk(job=job, owner="one", now=datetime.now(UTC))
    assert old is not None
    with connection.cursor() as cursor:
        cursor.execute("UPDATE delivery_chunk SET lease_until = now() - interval '1 second'")
    leases.expire(now=datetime.now(UTC))
    with transaction.atomic():
        new = windows.claim_chunk(job=job, owner="one", now=datetime.now(UTC) + timedelta(seconds=1))
    assert new is not None
    assert new.fence > old.fence
    with pytest.raises(windows.LeaseLost), transaction.atomic():
        windows.renew(lease=old)
    with transaction.atomic():
        windows.renew(lease=new)
