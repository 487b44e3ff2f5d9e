"""`make run` as a person uses it: a process of its own, started, disturbed and stopped by signals."""

import os
import re
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
from typing import Any

import pytest
import requests

from lamba_campaigns.embedded import client, process, running
from lamba_campaigns.embedded.client import Instance
from lamba_campaigns.embedded.folder import PROJECT, Folder

pytestmark = pytest.mark.slow

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
    """One running instance with the demo, shared by the tests that leave it running. Port 8000 may be taken."""
    with client.own_instance(folder, environment=environment) as found:
        yield found


def test_every_part_runs_and_the_console_answers(instance: Instance) -> None:
    assert set(running.read(instance.folder).children) == PARTS
    assert all(process.command_of(instance.pid_of(name)) for name in PARTS)
    assert _status(instance, "/sign-in") == 200


def test_demo_shows_campaigns_in_every_stage_and_its_key_opens_them(instance: Instance) -> None:
    campaigns = _rest(instance, "GET", "/campaigns?limit=100")["items"]
    states = {campaign["name"]: campaign["state"] for campaign in campaigns}
    assert states.pop("Tips for the first week") in ("sending", "completed")
    assert states == {
        "The new editor is here": "completed",
        "Trial reminder, November": "completed_with_exceptions",
        "Renewal, wrong date": "cancelled",
        "Renewal reminder": "paused",
        "Autumn release": "scheduled",
        "Season's greetings": "draft",
        "Win back": "draft",
    }
    books = _rest(instance, "GET", "/reconciliation?limit=100")["items"]
    assert len(books) == 5
    verified = _rest(instance, "POST", "/audit/verification", {"ledger": True})
    assert verified["ok"]
    assert verified["ledger"]["ok"]


def test_demo_signs_in_and_the_other_workspace_stays_unseen(instance: Instance) -> None:
    found = instance.credentials
    assert found is not None
    with requests.Session() as browser:
        page = browser.get(f"{instance.console_url}/sign-in", timeout=30)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token is not None
        form = {"csrfmiddlewaretoken": token[1], "username": found["email"], "password": found["password"]}
        assert browser.post(page.url, data=form, timeout=30).status_code == 200
        assert browser.get(f"{instance.console_url}/acme/app/production/campaigns/", timeout=30).status_code == 200
        assert browser.get(f"{instance.console_url}/globex/app/production/campaigns/", timeout=30).status_code == 404


def test_demo_is_made_once(instance: Instance, environment: dict[str, str]) -> None:
    before = instance.folder.credentials.read_text()
    prepared = subprocess.run(
        [sys.executable, "-m", "lamba_campaigns.embedded.prepare"],
        cwd=PROJECT,
        env=environment
        | {"LAMBA_VAR_DIR": str(instance.folder.root), "DJANGO_SETTINGS_MODULE": "lamba_campaigns.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"end": "Demo workspace", "detail": "kept"' in prepared.stdout
    assert instance.folder.credentials.read_text() == before
    assert len(_rest(instance, "GET", "/campaigns?limit=100")["items"]) == 8


def test_parts_that_are_killed_come_back_and_answer(instance: Instance, environment: dict[str, str]) -> None:
    before = {name: instance.pid_of(name) for name in ("web", "delivery", "postgres", "valkey")}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    for name, pid in before.items():
        _wait(lambda name=name, pid=pid: _pid(instance, name) not in (0, pid))  # type: ignore[misc]
    _wait(lambda: _status(instance, "/healthz") == 200)
    # A kept connection may still reach a backend of the killed server; a fresh one reaches the new server only.
    _wait(lambda: "[X]" in _applied_migrations(instance.folder, environment))


def test_manage_py_speaks_to_the_running_instance(instance: Instance, environment: dict[str, str]) -> None:
    assert "[X]  projects.0001_initial" in _applied_migrations(instance.folder, environment)
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


def test_killed_instance_starts_again_with_its_data_and_an_interrupt_leaves_nothing_behind(
    folder: Folder, environment: dict[str, str]
) -> None:
    own = Folder(folder.root.with_name("own"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ours = environment | {"PORT": str(port)}
    with client.own_instance(own, environment=ours, options=("--no-demo",)) as found:
        assert found.console_url == f"http://localhost:{port}"
        secrets, applied = own.secrets.read_text(), _applied_migrations(own, environment)
        os.kill(running.read(own).pid, signal.SIGKILL)
        _wait(lambda: not running.is_locked(own))
    with client.own_instance(own, environment=ours, options=("--no-demo",)) as found:
        assert _status(found, "/sign-in") == 200
        assert own.secrets.read_text() == secrets
        assert _applied_migrations(own, environment) == applied
        leaders = [child["pid"] for child in running.read(own).children.values()]
        members = [pid for leader in leaders for pid in _group(leader)]
        assert len(members) > len(leaders) == len(PARTS)
        os.kill(running.read(own).pid, signal.SIGINT)
        _wait(lambda: not running.is_locked(own))
        assert not [process.command_of(pid) for pid in members if process.command_of(pid)]
        assert not own.environment.exists()
        assert not own.state.exists()
    assert _embedded(own, environment, "status").returncode == 3


def test_port_that_is_fixed_and_taken_is_explained(folder: Folder, environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        refused = _embedded(Folder(folder.root.with_name("other")), environment | {"PORT": str(taken)}, "run")
    assert refused.returncode == 1
    assert f"Port {taken} is taken by another program, and PORT fixes it" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr


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


def _applied_migrations(folder: Folder, environment: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "manage.py", "showmigrations", "--plan"],
        cwd=PROJECT,
        env=environment | {"LAMBA_VAR_DIR": str(folder.root)},
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def _status(instance: Instance, path: str) -> int:
    address = HTTPConnection("127.0.0.1", int(instance.console_url.rpartition(":")[2]), timeout=10)
    try:
        address.request("GET", path, headers={"Host": "localhost"})
        return address.getresponse().status
    except OSError:
        return 0
    finally:
        address.close()


def _rest(instance: Instance, method: str, path: str, body: Any = None) -> Any:
    """What REST answers to the demo's key of production."""
    assert instance.credentials is not None
    key = instance.credentials["environments"]["production"]["api_key"]
    answer = requests.request(
        method,
        f"{instance.console_url}/api/v1{path}",
        headers={"Authorization": f"Bearer {key}"},
        json=body,
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


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
