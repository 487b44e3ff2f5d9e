"""A database of the benchmark's own on the embedded services: made before, removed after, never anybody else's."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from lamba_campaigns.embedded import running, runtime
from lamba_campaigns.embedded.folder import Folder, standard
from lamba_campaigns.embedded.terminal import Terminal

RUNS_MAX = 8  # side by side, each on services of its own
ON_STAGE = "LAMBA_BENCHMARK_DATABASE"  # set in the process that runs beside the services


def on_stage() -> bool:
    return bool(os.environ.get(ON_STAGE))


def raise_curtain(arguments: list[str]) -> int:
    """The same command again, beside a durable Postgres and a Valkey of its own. Returns its exit code."""
    command = (sys.executable, "-m", "benchmarks", *arguments)
    for number in range(1, RUNS_MAX + 1):
        folder = Folder(standard().root / f"benchmark-{number}")
        folder.root.mkdir(parents=True, exist_ok=True)
        extra = {"LAMBA_MODE": "embedded", "LAMBA_VAR_DIR": str(folder.root), ON_STAGE: f"benchmark_{os.getpid()}"}
        with suppress(running.AlreadyRunning):
            return runtime.serve(
                folder=folder, terminal=Terminal(sys.stderr), command=command, durable=True, extra=extra
            )
    sys.stderr.write(f"{RUNS_MAX} benchmarks are running already; wait for one of them to end.\n")
    return 1


@contextmanager
def database() -> Iterator[None]:
    """Django is set up on a new, migrated database, which child processes find in DATABASE_URL too."""
    server, name = os.environ["DATABASE_URL"], os.environ[ON_STAGE]
    _run(server, "CREATE DATABASE {}", name)
    os.environ["DATABASE_URL"] = urlsplit(server)._replace(path=f"/{name}").geturl()
    try:
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        yield
    finally:
        from django.db import connections

        connections.close_all()
        _run(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _run(url: str, statement: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))  # type: ignore[arg-type, unused-ignore]


@contextmanager
def step(label: str) -> Iterator[None]:
    """A line on stderr with the seconds that the block took."""
    began = time.perf_counter()
    yield
    sys.stderr.write(f"  {label:<44} {time.perf_counter() - began:8.2f} s\n")
    sys.stderr.flush()
