"""Postgres and Valkey of the test's own restart, crash and lose everything while mail is being sent.

Afterwards what arrived, the messages and the ledger agree. LAMBA_FAULT_RESTARTS asks for more of each than every run.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import redis
from django.db import connection

from benchmarks import _sink
from delivery import windows
from delivery.models import SendJob
from delivery.tests import nursery
from delivery.tests.conftest import state
from delivery.tests.workshop import agree, end_leases, finish, gone, open_windows, until
from lamba_campaigns.embedded import binaries, postgres
from lamba_campaigns.embedded.folder import Folder, postgres_home
from lamba_campaigns.embedded.services import services
from lamba_campaigns.embedded.supervisor import Supervisor
from lamba_campaigns.embedded.terminal import Terminal
from projects.scoping import Scope

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
RESTARTS = int(os.environ.get("LAMBA_FAULT_RESTARTS", "1"))
INSTALLATION = f"ins_restarts{os.getpid()}"
MESSAGES = 4_000  # for each fault
WORKER = ("-m", "celery", "--quiet", "-A", "lamba_campaigns", "worker", "-Q", "delivery,sweeps", "-c", "2", "-B")


@dataclass
class Own:
    """Services that nobody else uses. The supervisor starts again what ended, while somebody turns it."""

    database_url: str
    redis_url: str
    supervisor: Supervisor
    home: Path

    def pid(self, name: str) -> int:
        return self.supervisor.pids()[name][0]

    def restart(self, name: str, number: int) -> None:
        """End the server by a signal; returns when another one answers."""
        before = self.pid(name)
        os.kill(before, number)
        self.until(lambda: self.supervisor.pids().get(name, (before, ""))[0] != before)
        self.until(self._database_answers if name == "postgres" else self._broker_answers)

    def until(self, condition: Callable[[], bool]) -> None:
        def holds() -> bool:
            self.supervisor.turn(0.02)
            return condition()

        until(holds, seconds=60)

    def broker(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=urlsplit(self.redis_url).path)

    def _database_answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(self.database_url):
            return True
        return False

    def _broker_answers(self) -> bool:
        with suppress(redis.RedisError), self.broker() as client:
            return bool(client.ping())
        return False


@pytest.fixture(scope="module")
def own() -> Iterator[Own]:
    """Services of this module's own: durable, so that a killed one may be asked for all that it promised."""
    root = Path(tempfile.mkdtemp(prefix="lamba-test-", dir="/tmp"))
    root.chmod(0o711)
    folder = Folder(root / "var")
    folder.create()
    supervisor = Supervisor(Terminal(), folder.logs)
    home = postgres_home(folder, postgres.account(folder.postgres), INSTALLATION)
    try:
        with (
            pytest.MonkeyPatch.context() as patch,
            services(
                folder=folder,
                supervisor=supervisor,
                terminal=Terminal(),
                installation=_without_others(patch),
                durable=True,
            ) as found,
        ):
            yield Own(found.database_url, found.redis_url, supervisor, home)
    finally:
        supervisor.stop()
        shutil.rmtree(root)
        shutil.rmtree(home, ignore_errors=True)


def _without_others(patch: pytest.MonkeyPatch) -> str:
    """Servers that the environment names would be used instead."""
    patch.delenv("DATABASE_URL", raising=False)
    patch.delenv("REDIS_URL", raising=False)
    return INSTALLATION


@pytest.fixture
def own_database(own: Own, transactional_db: None, database_url: str) -> Iterator[str]:
    """A copy of the test's database on the own server; this test's own connection leads there."""
    _copy(binaries.postgres_bin(own.home, postgres.account(own.home)), database_url, own.database_url)
    with _connected_to(own.database_url):
        yield own.database_url


def _copy(programs: Path, source: str, target: str) -> None:
    dump = subprocess.run(
        [programs / "pg_dump", "--no-owner", "--no-privileges", source], capture_output=True, check=True
    )
    load = [str(programs / "psql"), "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", target]
    subprocess.run(load, input=dump.stdout, stdout=subprocess.DEVNULL, check=True)


@contextmanager
def _connected_to(url: str) -> Iterator[None]:
    parts = urlsplit(url)
    where = {name.upper(): values[0] for name, values in parse_qs(parts.query).items()}
    changes = {"NAME": parts.path.lstrip("/"), "USER": parts.username, "PASSWORD": "", **where}
    before = {name: connection.settings_dict[name] for name in changes}
    connection.close()
    connection.settings_dict.update(changes)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


def test_a_postgres_that_restarts_in_the_middle_of_sending_repeats_nobody_and_loses_nobody(
    own: Own, own_database: str, scope: Scope, make_job: Callable[..., SendJob], sink: _sink.Handle
) -> None:
    """Stopped, which ends every session, and killed, which loses whatever was not durable."""
    faults = (signal.SIGINT, signal.SIGKILL) * RESTARTS
    job, crew = make_job(len(faults) * MESSAGES), list[int]()
    with nursery.running(database_url=own_database, mail_url=sink.url) as start:
        for number in faults:
            crew = [pid for pid in crew if not gone(pid)] or [start(job)]
            before = sink.count().messages
            until(lambda: sink.count().messages > before + 400)  # noqa: B023
            own.restart("postgres", number)
            connection.close()
        until(lambda: all(map(gone, crew)), seconds=120)
        for pid in crew:
            end_leases(job, pid)
        if state(job) == "sending":
            finish(job)
    balance = agree(scope, job, sink)
    assert sum(balance.values()) == len(faults) * MESSAGES
    most = len(faults) * windows.MICRO_BATCH_MESSAGES
    assert balance.get("uncertain", 0) <= most, "only what broke inside a commit"


def test_a_broker_that_is_emptied_killed_and_gone_repeats_nobody_and_loses_nobody(
    own: Own,
    scope: Scope,
    make_job: Callable[..., SendJob],
    sink: _sink.Handle,
    database_url: str,
    tmp_path: Path,
) -> None:
    """Worker and beat are the product's own; rings that the broker forgets come again by themselves."""
    job = make_job(3 * RESTARTS * MESSAGES)
    with _worker(database_url, own.redis_url, sink, tmp_path):
        for fault in ("emptied", "killed", "gone") * RESTARTS:
            before = sink.count().messages
            own.until(lambda: sink.count().messages > before + 400)  # noqa: B023
            if fault == "emptied":
                with own.broker() as client:
                    client.flushall()
            elif fault == "killed":
                own.restart("valkey", signal.SIGKILL)
            else:
                os.kill(own.pid("valkey"), signal.SIGKILL)
                until(lambda: sink.count().messages > before + 2_000 or not open_windows(job))  # noqa: B023
        own.until(lambda: state(job) == "finished")
    assert agree(scope, job, sink) == {"accepted": 3 * RESTARTS * MESSAGES}


@contextmanager
def _worker(database_url: str, redis_url: str, sink: _sink.Handle, folder: Path) -> Iterator[None]:
    environment = {
        **nursery.environment(database_url=database_url, mail_url=sink.url),
        "REDIS_URL": redis_url,
        "LAMBA_VAR_DIR": str(folder),
    }
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            (sys.executable, *WORKER, "-n", f"restarts{os.getpid()}@%h", "--loglevel", "WARNING"),
            env=environment,
            cwd=nursery.ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
