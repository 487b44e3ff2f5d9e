"""`make run` as a person uses it: a process of its own, started, disturbed and stopped by signals."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from lamba_campaigns.embedded import client, process, running
from lamba_campaigns.embedded.client import Instance
from lamba_campaigns.embedded.folder import PROJECT, Folder

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("embedded_run")]

PARTS = {"postgres", "valkey", "capture", "web", "ingest", "delivery", "control", "beat"}
COMMAND = (sys.executable, "-m", "lamba_campaigns.embedded")


@pytest.fixture(scope="module")
def folder() -> Iterator[Folder]:
    root = Path(tempfile.mkdtemp(prefix="lamba-run-", dir="/tmp"))
    root.chmod(0o711)
    yield Folder(root / "var")
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """As in a person's shell, not as in a test's."""
    ours = ("DATABASE_URL", "REDIS_URL", "EMAIL_URL", "DJANGO_SETTINGS_MODULE")
    return {name: value for name, value in os.environ.items() if not name.startswith(("LAMBA_", "PYTEST_", *ours))}


@pytest.fixture(scope="module")
def instance(folder: Folder, environment: dict[str, str]) -> Iterator[Instance]:
    """One running instance without a demo, shared by the tests that leave it running. Port 8000 may be taken."""
    with client.own_instance(folder, environment=environment, options=("--no-demo",)) as found:
        yield found


def test_every_part_runs_and_the_console_answers(instance: Instance) -> None:
    assert set(running.read(instance.folder).children) == PARTS
    assert all(process.command_of(instance.pid_of(name)) for name in PARTS)
    assert _status(instance, "/sign-in") == 200


def test_parts_that_are_killed_come_back_and_answer(instance: Instance) -> None:
    before = {name: instance.pid_of(name) for name in ("web", "delivery", "postgres", "valkey")}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    for name, pid in before.items():
        _wait(lambda name=name, pid=pid: _pid(instance, name) not in (0, pid))  # type: ignore[misc]
    _wait(lambda: _status(instance, "/sign-in") == 200)


def test_manage_py_speaks_to_the_running_instance(instance: Instance, environment: dict[str, str]) -> None:
    shown = subprocess.run(
        [sys.executable, "manage.py", "showmigrations", "--plan", "projects"],
        cwd=PROJECT,
        env=environment | {"LAMBA_VAR_DIR": str(instance.folder.root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "[X]  projects.0001_initial" in shown.stdout
    assert (instance.folder.environment.stat().st_mode & 0o777) == 0o600


def test_second_start_says_where_the_first_one_runs(instance: Instance, environment: dict[str, str]) -> None:
    second = _embedded(instance.folder, environment, "run")
    assert second.returncode == 1
    assert f"already running at {instance.console_url} " in second.stdout
    assert "Traceback" not in second.stdout + second.stderr


def test_status_names_the_address(instance: Instance, environment: dict[str, str]) -> None:
    status = _embedded(instance.folder, environment, "status")
    assert status.returncode == 0
    assert instance.console_url in status.stdout


def test_clean_refuses_while_it_runs(instance: Instance, environment: dict[str, str]) -> None:
    assert _embedded(instance.folder, environment, "clean").returncode == 1
    assert instance.folder.environment.exists()


def test_interrupt_stops_every_part_and_a_second_start_keeps_the_data(
    folder: Folder, environment: dict[str, str]
) -> None:
    own = Folder(folder.root.with_name("own"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
    secrets = ""
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        with client.own_instance(own, environment=environment | {"PORT": str(taken)}, options=("--no-demo",)) as found:
            assert found.console_url == f"http://localhost:{taken}"
            pids = [child["pid"] for child in running.read(own).children.values()]
            members = [pid for leader in pids for pid in _group(leader)]
            assert len(members) > len(pids)
            os.kill(running.read(own).pid, signal_number)
            _wait(lambda: not running.is_locked(own))
        assert not [process.command_of(pid) for pid in members if process.command_of(pid)]
        assert not own.environment.exists()
        assert not own.state.exists()
        assert secrets in ("", own.secrets.read_text())
        secrets = own.secrets.read_text()
    assert _embedded(own, environment, "status").returncode == 3


def test_port_that_is_fixed_and_taken_is_explained(folder: Folder, environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        refused = _embedded(Folder(folder.root.with_name("other")), environment | {"PORT": str(taken)}, "run")
    assert refused.returncode == 1
    assert f"Port {taken} is taken by another program, and PORT fixes it" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr


def test_killed_instance_leaves_nothing_that_hinders_the_next_start(
    folder: Folder, environment: dict[str, str]
) -> None:
    own = Folder(folder.root.with_name("killed"))
    with client.own_instance(own, environment=environment, options=("--no-demo",)):
        os.kill(running.read(own).pid, signal.SIGKILL)
        _wait(lambda: not running.is_locked(own))
    with client.own_instance(own, environment=environment, options=("--no-demo",)) as found:
        assert _status(found, "/sign-in") == 200


def _embedded(folder: Folder, environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, "--var", str(folder.root), *arguments],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _status(instance: Instance, path: str) -> int:
    address = HTTPConnection("127.0.0.1", int(instance.console_url.rpartition(":")[2]), timeout=10)
    try:
        address.request("GET", path, headers={"Host": "localhost"})
        return address.getresponse().status
    except OSError:
        return 0
    finally:
        address.close()


def _pid(instance: Instance, name: str) -> int:
    try:
        return instance.pid_of(name)
    except KeyError:
        return 0


def _group(leader: int) -> list[int]:
    """Every process of the group that `leader` leads."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,pgid="], capture_output=True, text=True, check=True).stdout
    pairs = (line.split() for line in listed.splitlines())
    return [int(pid) for pid, group in pairs if int(group) == leader]


def _wait(ready: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)
