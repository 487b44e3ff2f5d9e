"""The embedded Postgres and Valkey: started for real, killed for real, started again with their data."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
import redis

from lamba_campaigns.embedded import folder as folders
from lamba_campaigns.embedded import postgres, process
from lamba_campaigns.embedded.folder import Folder
from lamba_campaigns.embedded.problems import CannotStart
from lamba_campaigns.embedded.services import Services, services
from lamba_campaigns.embedded.supervisor import Supervisor
from lamba_campaigns.embedded.terminal import Terminal

pytestmark = pytest.mark.slow

INSTALLATION = f"ins_test{os.getpid()}"


@dataclass
class Up:
    """Running services and what keeps them so."""

    services: Services
    supervisor: Supervisor

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.services.database_url, autocommit=True)

    def pid(self, name: str) -> int:
        return self.supervisor.pids()[name][0]


@pytest.fixture(autouse=True)
def _no_real_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)


@pytest.fixture
def folder() -> Iterator[Folder]:
    """A short path that every user can pass through; pytest's own folders are closed to others."""
    root = Path(tempfile.mkdtemp(prefix="lamba-test-", dir="/tmp"))
    root.chmod(0o711)
    yield Folder(root / "var")
    shutil.rmtree(root)
    shutil.rmtree(folders.SHARED_DATA / INSTALLATION, ignore_errors=True)


class Start(Protocol):
    """start() or, for what must survive a crash, start(durable=True)."""

    def __call__(self, *, durable: bool = False) -> AbstractContextManager[Up]: ...


@pytest.fixture
def start(folder: Folder) -> Start:
    @contextmanager
    def start_services(*, durable: bool = False) -> Iterator[Up]:
        folder.create()
        supervisor = Supervisor(Terminal(), folder.logs)
        try:
            with services(
                folder=folder,
                supervisor=supervisor,
                terminal=Terminal(),
                installation=INSTALLATION,
                durable=durable,
            ) as found:
                yield Up(found, supervisor)
        finally:
            supervisor.stop()

    return start_services


def test_data_is_kept_between_two_starts(start: Start) -> None:
    with start() as up, up.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with start() as up, up.connect() as connection:
        assert connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]


def test_after_stopping_no_process_and_no_socket_is_left(start: Start, folder: Folder) -> None:
    with start() as up:
        pids = [up.pid("postgres"), up.pid("valkey")]
        assert all(process.command_of(pid) for pid in pids)
    assert not any(process.command_of(pid) for pid in pids)
    assert not list(folder.sockets.glob(".s.PGSQL*"))


def test_killed_postmaster_is_started_again_with_its_data(start: Start) -> None:
    with start(durable=True) as up:
        with up.connect() as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        killed = up.pid("postgres")
        os.kill(killed, signal.SIGKILL)
        _turn_until(up.supervisor, lambda: up.supervisor.pids().get("postgres", (killed, ""))[0] != killed)
        _turn_until(up.supervisor, lambda: _accepts(up))
        with up.connect() as connection:
            assert connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]


def test_postmaster_that_outlived_its_supervisor_is_replaced(start: Start, folder: Folder) -> None:
    with start() as up:
        data = Path(up.services.data)
        left_over = up.pid("postgres")
        server = postgres.prepare(
            home=data.parent,
            sockets=folder.sockets,
            account=postgres.account(data.parent),
            durable=False,
            notice=pytest.fail,
        )
        server.before_start()
        assert not process.command_of(left_over)
        assert not (data / "postmaster.pid").exists()


def test_pid_file_whose_number_belongs_to_another_program_is_removed(start: Start) -> None:
    with start() as up:
        data = Path(up.services.data)
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n1700000000\n5432\n\n\n\n")
    with start() as up:
        assert _accepts(up)
    assert process.command_of(os.getpid())


def test_initialisation_that_was_cut_off_is_begun_again(start: Start, folder: Folder) -> None:
    folder.create()
    half = folder.postgres / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with start() as up:
        assert _accepts(up)
        assert not half.exists()


def test_data_folder_without_a_database_is_moved_aside_and_said(
    start: Start, folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.create()
    (folder.postgres / "data" / "base").mkdir(parents=True)
    with start() as up:
        assert _accepts(up)
    (aside,) = folder.postgres.glob("data.broken-*")
    assert (aside / "base").exists()
    assert str(aside) in capsys.readouterr().out


def test_data_of_another_postgres_version_is_explained_and_left_alone(start: Start) -> None:
    with start() as up:
        data = Path(up.services.data)
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(CannotStart, match=r"made by PostgreSQL 17; this release brings 18"), start():
        pass
    assert (data / "PG_VERSION").read_text() == "17\n"


def test_damaged_data_folder_is_explained_with_the_last_lines_of_the_log(start: Start) -> None:
    with start() as up:
        data = Path(up.services.data)
    (data / "global" / "pg_control").write_bytes(b"\0" * 8192)
    with pytest.raises(CannotStart, match="stopped again and again") as refusal, start():
        pass
    assert any("PANIC" in line or "FATAL" in line for line in refusal.value.lines)


def test_killed_valkey_is_started_again(start: Start) -> None:
    with start() as up:
        os.kill(up.pid("valkey"), signal.SIGKILL)
        _turn_until(up.supervisor, lambda: _answers_ping(up))


def test_long_path_moves_the_sockets_to_a_short_one(folder: Folder, start: Start) -> None:
    object.__setattr__(folder, "root", folder.root / ("long" * 12) / ("longer" * 8))
    with start() as up:
        assert str(folder.root) not in up.services.database_url
        assert _accepts(up)
        assert _answers_ping(up)


def test_path_with_spaces_commas_and_percent_signs_works(folder: Folder, start: Start) -> None:
    object.__setattr__(folder, "root", folder.root / "a b,c%20d")
    with start() as up:
        assert _accepts(up)
        assert _answers_ping(up)


@pytest.mark.skipif(os.getuid() != 0, reason="only root needs another user's folder")
def test_root_in_a_closed_folder_keeps_the_data_where_postgres_can_reach_it(folder: Folder, start: Start) -> None:
    folder.root.parent.chmod(0o700)
    with start() as up:
        assert up.services.data == str(folders.SHARED_DATA / INSTALLATION / "data")
        assert _accepts(up)
    with start() as up:
        assert _accepts(up)


def test_real_servers_named_by_the_environment_are_left_alone(
    start: Start, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://somewhere/else")
    monkeypatch.setenv("REDIS_URL", "redis://somewhere")
    with start() as up:
        assert up.services == Services("postgres://somewhere/else", "redis://somewhere", "")
        assert up.supervisor.pids() == {}
    assert not folder.postgres.exists()


def _accepts(up: Up) -> bool:
    try:
        with up.connect() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def _answers_ping(up: Up) -> bool:
    try:
        with redis.Redis.from_url(up.services.redis_url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _turn_until(supervisor: Supervisor, ready: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        supervisor.turn(0.05)
