"""One instance a folder. The lock is the kernel's, so a killed instance never leaves it behind."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypedDict

from lamba_campaigns.embedded import process
from lamba_campaigns.embedded.folder import Folder, write_private
from lamba_campaigns.embedded.problems import CannotStart

STOP_SECONDS_MAX = 60
LEFTOVER_SECONDS_MAX = 15


class AlreadyRunning(CannotStart):
    """Another process holds the folder's lock; `state` is what it says about itself."""

    def __init__(self, message: str, state: "State") -> None:
        super().__init__(message)
        self.state = state


class ChildState(TypedDict):
    """A part that runs; `mark` is in its command line."""

    pid: int
    mark: str


@dataclass(slots=True)
class State:
    """What an instance says about itself in run.json, for `status`, `stop` and programs that use it."""

    pid: int = 0
    ready: bool = False
    console_url: str = ""
    ingest_url: str = ""
    capture_url: str = ""
    children: dict[str, ChildState] = field(default_factory=dict)  # by name


@contextmanager
def exclusive(folder: Folder) -> Iterator[None]:
    """Nobody else runs an instance in this folder meanwhile. AlreadyRunning says where the other one is."""
    handle = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _already(folder) from None
        write(folder, State(pid=os.getpid(), children=read(folder).children))  # a killed one's word is not ours
        yield
    finally:
        os.close(handle)


def _already(folder: Folder) -> AlreadyRunning:
    state = read(folder)
    where = f"at {state.console_url} " if state.console_url else ""
    stage = "already running" if state.ready else "just starting or stopping"
    return AlreadyRunning(
        f"Lamba Campaigns is {stage} {where}(process {state.pid}, folder {folder.root}).\n"
        f"Stop it with Ctrl-C in its terminal or with `.venv/bin/python -m lamba_campaigns.embedded stop`; "
        f"a second one needs its own LAMBA_VAR_DIR.",
        state,
    )


def is_locked(folder: Folder) -> bool:
    """An instance runs in this folder right now."""
    try:
        handle = os.open(folder.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def read(folder: Folder) -> State:
    """The last written state; an empty one if there is none or it can't be read."""
    try:
        found: dict[str, Any] = json.loads(folder.state.read_text())
        return State(**found)
    except (OSError, ValueError, TypeError):
        return State()


def write(folder: Folder, state: State) -> None:
    names = State.__dataclass_fields__
    write_private(folder.state, json.dumps({name: getattr(state, name) for name in names}, indent=1) + "\n")


def end_leftovers(folder: Folder) -> tuple[str, ...]:
    """Stop children that a killed supervisor left behind; their names. The caller holds the lock.

    On Linux they are on their way out already (their death signal), elsewhere they would live on. Each is recognised
    by its command line, so that a reused number hits nobody else. Postgres has its own way (postgres.py).
    """
    ended = []
    for name, child in read(folder).children.items():
        if name != "postgres" and process.is_alive(child["pid"], child["mark"]):
            process.end(child["pid"], child["mark"], number=signal.SIGTERM, seconds=LEFTOVER_SECONDS_MAX)
            ended.append(name)
    return tuple(ended)


def stop(folder: Folder) -> bool:
    """Ask the running instance to stop and wait until it has. False when none runs."""
    if not is_locked(folder):
        return False
    with suppress(ProcessLookupError):
        os.kill(read(folder).pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while is_locked(folder):
        if time.monotonic() > deadline:
            raise CannotStart(f"Process {read(folder).pid} has not stopped within {STOP_SECONDS_MAX} seconds.")
        time.sleep(0.1)
    return True
