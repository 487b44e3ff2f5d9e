"""What every part gets in its environment. The same lines, in `embedded.env`, let `manage.py` speak to the instance."""

import os
from collections.abc import Mapping
from pathlib import Path

from lamba_campaigns.embedded.folder import PROJECT, Folder, write_private
from lamba_campaigns.embedded.installation import render

_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NO_COLOR")
_SETTING_PREFIXES = ("LAMBA_", "LOG_", "ALLOWED_HOSTS", "COVERAGE_")


def of_parts(*, folder: Folder, values: Mapping[str, str]) -> dict[str, str]:
    """The user's own settings, then `values`. PGHOST, PYTHONPATH and the like stay outside."""
    users = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_SETTING_PREFIXES)}
    return {
        "LANG": "C.UTF-8",
        "LOG_LEVEL": "WARNING",
        **users,
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        "DJANGO_SETTINGS_MODULE": "lamba_campaigns.settings",
        "LAMBA_MODE": "embedded",
        "LAMBA_VAR_DIR": str(folder.root),
        **values,
    }


def write(folder: Folder, values: Mapping[str, str]) -> None:
    """What settings.py needs to speak to this instance from another terminal."""
    write_private(folder.environment, render({"LAMBA_MODE": "embedded", **values}))


def forget(folder: Folder) -> None:
    folder.environment.unlink(missing_ok=True)


def read_dot_env(path: Path = PROJECT / ".env") -> None:
    """The settings that the user keeps in `.env`, as settings.py reads them; what is set already wins."""
    if path.exists():
        import environ

        environ.Env.read_env(path)
