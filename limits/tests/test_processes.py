"""Real processes, killed in the middle of launches: never over a limit, no deadlock, no hold that outlives its time."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.db.models import Sum

from conftest import World
from limits import reservations, subscriptions, upkeep
from limits.models import Reservation, ReservationLine, UsageCounter, UsageEntry
from limits.tests.launcher import ACTIVE, MONTHLY, VOLUME
from projects.scoping import Scope

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = Path(__file__).parents[2]
LAUNCHES = int(os.environ.get("LAMBA_TEST_LAUNCHES", "30"))  # of each process
PROCESSES, KILLED = 4, 2
LIMITS = {VOLUME: PROCESSES * LAUNCHES * 5, MONTHLY: PROCESSES * LAUNCHES * 2, ACTIVE: 3}
Worker = Callable[[str], "Launcher"]


class Launcher:
    """One process and the lines that it wrote."""

    def __init__(self, name: str, scope: Scope, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "limits.tests.launcher", name, str(scope.environment_id), str(LAUNCHES)]
        self.process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[tuple[str, str, int]] = []
        self.errors = ""
        self.moved = threading.Condition()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            what, _, rest = line.strip().partition(" ")
            purpose, _, quantity = rest.partition(" ")
            if quantity:  # the last line of a killed process may be cut
                with self.moved:
                    self.lines.append((what, purpose, int(quantity)))
                    self.moved.notify_all()

    def kill_after(self, lines: int) -> None:
        with self.moved:
            assert self.moved.wait_for(lambda: len(self.lines) >= lines, timeout=60), self.end()
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> str:
        """Wait for it and return what it wrote to stderr."""
        assert self.process.stdout and self.process.stderr
        if not self.process.stderr.closed:
            self.errors = self.process.stderr.read()
            self.process.wait(timeout=60)
            self.reader.join(timeout=60)
            self.process.stdout.close()
            self.process.stderr.close()
        return self.errors


@pytest.fixture
def scope(transactional_db: None, world: World, now: datetime) -> Scope:
    with transaction.atomic():
        subscriptions.start(
            workspace_id=world.workspace.pk, plan="growth", now=now - timedelta(days=1), overrides={**LIMITS}
        )
    return world.production


@pytest.fixture
def launcher(scope: Scope, database_url: str) -> Iterator[Worker]:
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "lamba_campaigns.settings",
    }
    running: list[Launcher] = []

    def start(name: str) -> Launcher:
        running.append(Launcher(name, scope, environment))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.process.kill()
        each.end()


def test_killed_launchers_overrun_nothing_and_leak_nothing(scope: Scope, launcher: Worker, now: datetime) -> None:
    workers = [launcher(f"p{number}") for number in range(PROCESSES)]
    for number, worker in enumerate(workers[:KILLED]):
        worker.kill_after(5 + 7 * number)
    errors = [worker.end() for worker in workers[KILLED:]]

    assert errors == ["", ""], "no deadlock, no error"
    for key, limit in LIMITS.items():
        counter = UsageCounter.objects.get(limit_key=key)
        assert counter.used + counter.reserved <= limit
    said = [line for worker in workers for line in worker.lines]
    assert {"held", "settled", "released"} <= {what for what, _, _ in said}
    _what_was_said_is_stored(scope, said)
    assert upkeep.prove(now=now) == [], "every counter is the sum of its entries at once, without a repair"

    left = Reservation.objects.within(scope).filter(state="held").count()
    assert left <= KILLED
    assert upkeep.expire(now=now + 2 * reservations.HOLD_TIME) == left
    assert set(UsageCounter.objects.values_list("reserved", flat=True)) == {0}
    used = UsageEntry.objects.filter(limit_key=VOLUME).aggregate(sum=Sum("delta_used"))["sum"]
    assert UsageCounter.objects.get(limit_key=VOLUME).used == used
    assert upkeep.prove(now=now) == []


def _what_was_said_is_stored(scope: Scope, said: list[tuple[str, str, int]]) -> None:
    lines = ReservationLine.objects.within(scope).filter(limit_key=VOLUME)  # one of each hold that the purpose had
    used = dict(lines.values_list("reservation__purpose").annotate(Sum("used")))
    for what, purpose, quantity in said:
        if what in ("settled", "released"):
            assert used[purpose] == quantity, "a commit that was reported is there after any kill"
