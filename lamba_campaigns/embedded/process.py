"""Starting a process so that it cannot outlive us, and telling a live one from a stale number."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system user that a process runs as."""

    uid: int
    gid: int
    name: str


def account_of(uid: int) -> Account | None:
    """The account of a user id; None when it has no entry, which Postgres refuses."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def start(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: IO[bytes] | int | None,
    folder: Path,
    account: Account | None = None,
    death_signal: int = signal.SIGTERM,
    own_group: bool = True,
) -> "subprocess.Popen[bytes]":
    """A running process, its output in `output`. On Linux it gets `death_signal` when this process dies.

    `own_group` keeps the terminal's Ctrl-C away from it: the supervisor stops the parts in order. The caller must stay
    on the main thread, because Linux sends the death signal when the *thread* that started the process ends.
    """
    extra: dict[str, Any] = {}
    if account is not None and os.getuid() == 0:
        extra = {"user": account.uid, "group": account.gid, "extra_groups": []}
    return subprocess.Popen(
        list(argv),
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL if own_group else None,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        start_new_session=own_group,
        preexec_fn=_dies_with(os.getpid(), death_signal),  # after setuid, which would clear the setting again
        **extra,
    )


def _dies_with(parent: int, number: int) -> Callable[[], None] | None:
    libc = _LIBC
    if libc is None:
        return None

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the setting took effect
            os.kill(os.getpid(), number)

    return arrange


def command_of(pid: int) -> str:
    """The command line of a live process, or "" when there is none. A zombie has none."""
    if pid <= 0:
        return ""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return ""
    except (PermissionError, ProcessLookupError):
        return ""
    found = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def is_alive(pid: int, part_of_command: str) -> bool:
    """`pid` lives and is the program that we mean, not another one that got its number."""
    return part_of_command in command_of(pid)


def signal_group(pid: int, number: int) -> None:
    """To the whole process group that `pid` leads; a group that has gone is fine."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def end(pid: int, part_of_command: str, *, number: int, seconds: float) -> None:
    """Stop a left-over process that is not our child: politely, then for good."""
    deadline = time.monotonic() + seconds
    if is_alive(pid, part_of_command):
        os.kill(pid, number)
    while is_alive(pid, part_of_command):
        if time.monotonic() > deadline:
            signal_group(pid, signal.SIGKILL)
            deadline += 5
        time.sleep(0.05)
