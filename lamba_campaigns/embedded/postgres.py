"""The private PostgreSQL: a data folder that is complete or absent, and a server that starts after any crash.

A new data folder is made beside its place and renamed when it is finished, so one that exists is whole.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from lamba_campaigns.embedded import binaries, process
from lamba_campaigns.embedded.folder import make_private
from lamba_campaigns.embedded.problems import CannotStart
from lamba_campaigns.embedded.process import Account, account_of

USER = "lamba"
DATABASE = "lamba"
PORT = 5432  # only part of the socket's name: no TCP port is opened
LEFTOVER_SECONDS_MAX = 30
START_SECONDS_MAX = 60  # recovery after a crash is part of it

_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",  # fewer checkpoints while a big audience is frozen
    "random_page_cost": "1.1",
    "work_mem": "32MB",
    "jit": "off",  # compiling costs more than these statements take
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
_THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server: its programs, its data, its socket, and the account it runs as (None: ourselves)."""

    bin: Path
    data: Path
    sockets: Path
    account: Account | None
    durable: bool

    @property
    def url(self) -> str:
        """For Django and for libpq alike."""
        return f"postgres://{USER}@/{DATABASE}?host={quote(str(self.sockets), safe='')}&port={PORT}"

    @property
    def command(self) -> tuple[str, ...]:
        settings = _SETTINGS | ({} if self.durable else _THROWAWAY) | {"unix_socket_directories": _listed(self.sockets)}
        options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
        return (str(self.bin / "postgres"), "-D", str(self.data), "-p", str(PORT), *options)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the user's: PGDATA and its kin would change what the server does."""
        locale = "C" if sys.platform == "darwin" else "C.UTF-8"
        return {"PATH": "/usr/bin:/bin", "LC_ALL": locale, "TZ": "UTC"}

    def accepts(self) -> bool:
        """It answers a query right now."""
        try:
            with self._connect("postgres") as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def ensure_database(self) -> None:
        with self._connect("postgres") as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def before_start(self) -> None:
        """Clear what a killed server left: the server itself if it still runs, else its stale pid file.

        The caller holds the instance's lock, so a live server on this folder is nobody else's. Postgres reads the pid
        file too, but believes any live process of that number, and numbers come again, in containers at once.
        """
        file = self.data / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, IndexError):
            pid = int(file.read_text().splitlines()[0])
            process.end(pid, str(self.data), number=signal.SIGINT, seconds=LEFTOVER_SECONDS_MAX)
        file.unlink(missing_ok=True)

    def _connect(self, database: str) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host=str(self.sockets), port=PORT, user=USER, dbname=database, connect_timeout=2, autocommit=True
        )


def account(home: Path) -> Account | None:
    """Whom the server runs as: ourselves (None). Postgres refuses root, so root runs it as the owner of the data
    folder, or as `nobody` when there is none yet."""
    if os.getuid() != 0:
        return None
    if (home / "data").exists() and (owner := account_of((home / "data").stat().st_uid)) and owner.uid != 0:
        return owner
    for name in ("nobody", "postgres", "daemon"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid, name)
    raise CannotStart(
        "PostgreSQL refuses to run as root, and this system has no user `nobody` to run it as. Run `make run` as an "
        "ordinary user, or set DATABASE_URL to a server of your own."
    )


def prepare(
    *, home: Path, sockets: Path, account: Account | None, durable: bool, notice: Callable[[str], None]
) -> Postgres:
    """A server that can be started: its programs found, its data folder whole. `notice` gets what was repaired."""
    _require_own(home / "data")
    make_private(home, account)
    server = Postgres(binaries.postgres_bin(home, account), home / "data", sockets, account, durable)
    shutil.rmtree(home / "data.new", ignore_errors=True)  # an initialisation that was cut off
    if server.data.exists() and not _is_whole(server.data):
        aside = server.data.with_name(f"data.broken-{time.strftime('%Y%m%d-%H%M%S')}")
        server.data.rename(aside)
        notice(f"The database folder was not complete, so a new database was made. What was there is kept in {aside}.")
    if not server.data.exists():
        _initialise(server)
    _require_version(server)
    return server


def _is_whole(data: Path) -> bool:
    """Both files stand in every data folder that ever held a database."""
    return (data / "PG_VERSION").exists() and (data / "global" / "pg_control").exists()


def _require_own(data: Path) -> None:
    """Files of another user can't be read; the way out is to be that user again."""
    try:
        owner = data.stat().st_uid
    except FileNotFoundError:
        return
    if os.getuid() not in (0, owner):
        found = account_of(owner)
        raise CannotStart(
            f"{data} belongs to {found.name if found else owner}: it was made by `make run` as root. Run it as root "
            f"again, or remove it as root (`make clean`) and start from nothing."
        )


def _initialise(server: Postgres) -> None:
    new = server.data.with_name("data.new")
    locale = ["--locale=C"] if sys.platform == "darwin" else ["--locale=C.UTF-8"]
    command = [
        str(server.bin / "initdb"),
        *("-D", str(new), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-instructions"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", *locale),
        *([] if server.durable else ["--no-sync"]),
    ]
    log = server.data.with_name("initdb.log")
    with log.open("wb") as output:
        running = process.start(
            command,
            environment=server.environment,
            output=output,
            folder=Path("/"),
            account=server.account,
            death_signal=signal.SIGKILL,
        )
        code = _wait(running)
    if code != 0:
        raise CannotStart("initdb could not make the database folder.", tuple(log.read_text().splitlines()[-12:]))
    new.rename(server.data)


def _wait(running: "subprocess.Popen[bytes]") -> int:
    try:
        return running.wait()
    except BaseException:  # Ctrl-C: what it has made is removed at the next start
        running.kill()
        running.wait()
        raise


def _require_version(server: Postgres) -> None:
    found = (server.data / "PG_VERSION").read_text().strip()
    ours = version(server).split(".")[0]
    if found != ours:
        raise CannotStart(
            f"{server.data} was made by PostgreSQL {found}; this release brings {ours}, which can't read it.\n"
            f"Go back to the release that made it and dump it (pg_dump), or move the folder away to start from nothing."
        )


def version(server: Postgres) -> str:
    """As in "18.6"."""
    found = subprocess.run([server.bin / "postgres", "--version"], capture_output=True, text=True, check=True)
    return found.stdout.split()[-1]


def _listed(path: Path) -> str:
    """As an item of a comma-separated setting: quoted, so that commas and spaces stay part of the path."""
    return '"' + str(path).replace('"', '""') + '"'
