"""Brings up Postgres and Valkey, or leaves them off where DATABASE_URL or REDIS_URL names a real server."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lamba_campaigns.embedded import folder as folders
from lamba_campaigns.embedded import postgres, valkey
from lamba_campaigns.embedded.folder import Folder
from lamba_campaigns.embedded.postgres import Postgres
from lamba_campaigns.embedded.process import Account
from lamba_campaigns.embedded.supervisor import Part, Supervisor
from lamba_campaigns.embedded.terminal import Terminal
from lamba_campaigns.embedded.valkey import Valkey

RANK_CACHE, RANK_DATABASE = 80, 90  # what everything else needs stops last
_WORTH_SHOWING = ("FATAL:", "PANIC:")
_EXPECTED = ("the database system is", "terminating connection")  # said while starting and stopping


@dataclass(frozen=True, slots=True)
class Services:
    """Where the two are reached, and where Postgres keeps its data ("" if it is not ours)."""

    database_url: str
    redis_url: str
    data: str


@contextmanager
def socket_folder(folder: Folder, account: Account | None) -> Iterator[Path]:
    """A folder for sockets, gone afterwards."""
    path, temporary = folders.socket_folder(folder, account)
    try:
        yield path
    finally:
        if temporary:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def services(
    *, folder: Folder, supervisor: Supervisor, terminal: Terminal, installation: str, durable: bool
) -> Iterator[Services]:
    """Both accept connections, and the database exists. The supervisor keeps them up and stops them."""
    account = postgres.account(folder.postgres)
    home = folders.postgres_home(folder, account, installation)
    database_url, redis_url = os.environ.get("DATABASE_URL", ""), os.environ.get("REDIS_URL", "")
    with socket_folder(folder, account) as sockets:
        data = ""
        if database_url:
            terminal.warn(_instead("DATABASE_URL", database_url, "PostgreSQL"))
        else:
            database_url, data = _start_postgres(home, sockets, account, durable, supervisor, terminal)
        if redis_url:
            terminal.warn(_instead("REDIS_URL", redis_url, "Valkey"))
        else:
            redis_url = _start_valkey(sockets, supervisor, terminal)
        yield Services(database_url, redis_url, data)


def _instead(name: str, url: str, ours: str) -> str:
    """Which server is used, without its password: nobody means to fill a database that an old shell still names."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return f"{name} is set, so {place} is used and changed, not the embedded {ours}. To use that: unset {name}"


def _start_postgres(
    home: Path, sockets: Path, account: Account | None, durable: bool, supervisor: Supervisor, terminal: Terminal
) -> tuple[str, str]:
    with terminal.step("PostgreSQL") as step:
        new = not (home / "data").exists()
        server = postgres.prepare(home=home, sockets=sockets, account=account, durable=durable, notice=terminal.warn)
        supervisor.start(_postgres_part(server))
        supervisor.wait_until("postgres", server.accepts, seconds=postgres.START_SECONDS_MAX)
        server.ensure_database()
        step.detail = f"{postgres.version(server)}, {'new data' if new else 'data'} in {shown(home / 'data')}"
    return server.url, str(home / "data")


def _start_valkey(sockets: Path, supervisor: Supervisor, terminal: Terminal) -> str:
    with terminal.step("Valkey") as step:
        server = valkey.prepare(sockets=sockets)
        supervisor.start(_valkey_part(server))
        supervisor.wait_until("valkey", server.accepts, seconds=valkey.START_SECONDS_MAX)
        step.detail = "on a private socket"
    return server.url


def _postgres_part(server: Postgres) -> Part:
    return Part(
        name="postgres",
        command=server.command,
        environment=server.environment,
        mark=str(server.data),
        stop_rank=RANK_DATABASE,
        stop_signal=signal.SIGINT,  # fast: open transactions are rolled back, then a checkpoint
        stop_seconds=30,
        force_signal=signal.SIGQUIT,  # at once: the next start recovers from the log
        account=server.account,
        folder=server.data,
        before_start=server.before_start,
        shown=lambda line: any(word in line for word in _WORTH_SHOWING) and not any(word in line for word in _EXPECTED),
    )


def _valkey_part(server: Valkey) -> Part:
    return Part(
        name="valkey",
        command=server.command,
        environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        mark="valkey-server",
        stop_rank=RANK_CACHE,
        before_start=server.before_start,
        shown=lambda line: False,
    )


def shown(path: Path) -> str:
    """The path as a person would type it here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
