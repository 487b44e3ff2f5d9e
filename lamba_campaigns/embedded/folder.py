"""Where an instance keeps its files: one folder, `var/` unless LAMBA_VAR_DIR says otherwise.

Two things may have to lie elsewhere. The path of a Unix socket holds about a hundred characters and, for libpq, no
comma. And a Postgres that was started by root runs as another user, who must be able to reach its files.
"""

import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lamba_campaigns.embedded.process import Account

PROJECT = Path(__file__).resolve().parent.parent.parent
SOCKET_PATH_BYTES_MAX = 100  # Linux allows 107, macOS 103; Postgres adds a lock file's suffix
LONGEST_SOCKET_NAME = ".s.PGSQL.5432.lock"
SHARED_DATA = Path("/var/lib/lamba-campaigns")  # for root, when the checkout lies in a closed folder such as /root


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of one instance."""

    root: Path

    @property
    def lock(self) -> Path:
        return self.root / "run.lock"

    @property
    def state(self) -> Path:
        return self.root / "run.json"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.env"

    @property
    def environment(self) -> Path:
        """Read by settings.py while the instance is up, so that `manage.py` speaks to it."""
        return self.root / "embedded.env"

    @property
    def credentials(self) -> Path:
        return self.root / "demo-credentials.json"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def sockets(self) -> Path:
        return self.root / "run"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    def create(self) -> None:
        """The folder and its logs. Others may not look in; root's lets Postgres's user pass through."""
        if not self.root.exists():
            self.root.mkdir(parents=True)
            self.root.chmod(0o711 if os.getuid() == 0 else 0o700)
        self.logs.mkdir(mode=0o700, exist_ok=True)


def standard() -> Folder:
    """The folder that `make run` uses."""
    return Folder(Path(os.environ.get("LAMBA_VAR_DIR") or PROJECT / "var").absolute())


def reachable(path: Path, account: Account | None) -> bool:
    """Whether `account` (None: ourselves) may pass through every folder above `path`."""
    if account is None:
        return True
    return all(_may_enter(parent, account) for parent in path.absolute().parents)


def _may_enter(path: Path, account: Account) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return True  # made later, open to pass through
    if found.st_uid == account.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == account.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def postgres_home(folder: Folder, account: Account | None, installation: str) -> Path:
    """Where Postgres's data lies: in the folder, or under /var/lib when its user can't get there."""
    if reachable(folder.postgres, account):
        return folder.postgres
    return SHARED_DATA / installation


def socket_folder(folder: Folder, account: Account | None) -> tuple[Path, bool]:
    """An existing, private folder for sockets, and whether it is a temporary one to be removed afterwards."""
    path = folder.sockets
    fits = len(os.fsencode(path / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX and "," not in str(path)
    if fits and reachable(path, account):
        shutil.rmtree(path, ignore_errors=True)  # sockets of a run that was killed
        path.mkdir(parents=True)
        return _give(path, account), False
    return _give(Path(tempfile.mkdtemp(prefix="lamba-", dir="/tmp")), account), True


def _give(path: Path, account: Account | None) -> Path:
    path.chmod(0o700)
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path


def make_private(path: Path, account: Account | None) -> Path:
    """The folder exists, belongs to `account` and nobody else may look in."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o711)
    path.mkdir(exist_ok=True)
    return _give(path, account)


def write_private(path: Path, text: str) -> None:
    """The file holds `text` or, after a crash, what it held before; only its owner can read it."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
