"""What processes beside the measuring one have used: their processor time and their memory, from /proc (else zero)."""

import os
import shlex
from pathlib import Path

from django.db import connection


def children(pid: int) -> list[int]:
    """The pool processes of a Celery worker; the worker itself only waits."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else [pid]


def postgres() -> list[int]:
    """The server and its processes, of this database or not: nobody else uses it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ours = cursor.fetchone()[0]
    status = Path(f"/proc/{ours}/stat")
    if not status.exists():
        return []
    server = int(status.read_text().rpartition(")")[2].split()[1])
    return [server, *children(server)]


def used(pids: list[int]) -> float:
    """Seconds of processor that these processes, and those children of theirs that have ended, have used so far."""
    ticks = 0
    for pid in pids:
        path = Path(f"/proc/{pid}/stat")
        if path.exists():
            ticks += sum(map(int, path.read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> int:
    path = Path(f"/proc/{pid}/status")
    if not path.exists():
        return 0
    found = [line for line in path.read_text().splitlines() if line.startswith("VmHWM")]
    return int(shlex.split(found[0])[1]) * 1024 // 1_000_000 if found else 0
