"""The secrets of one installation: random, made once, kept in `secrets.env` that only its owner can read."""

import base64
import os
import secrets
from pathlib import Path

from lamba_campaigns.embedded.folder import write_private
from lamba_campaigns.embedded.problems import CannotStart


def generate() -> dict[str, str]:
    """A full set of new secrets, as settings.py reads them. Also what a production installation needs."""
    return {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "LAMBA_SECRETS_KEYS": _key(),
        "LAMBA_KEY_PEPPER": _key(),
        "LAMBA_LINK_KEY": _key(),
        "LAMBA_AUDIT_SIGNING_KEY": _key(),
        "LAMBA_INSTALLATION_ID": f"ins_{secrets.token_hex(8)}",
    }


def load_or_create(path: Path) -> dict[str, str]:
    """The installation's secrets; ones set in the environment win. A name that a later release adds is filled in."""
    kept = parse(path.read_text()) if path.exists() else {}
    complete = generate() | kept
    if complete != kept:
        write_private(path, render(complete))
    return complete | {name: os.environ[name] for name in complete if os.environ.get(name)}


def render(values: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def parse(text: str) -> dict[str, str]:
    """NAME=value lines. CannotStart for anything else: half a file of secrets must not be filled up with new ones."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, separator, value = line.partition("=")
        if not separator or not value:
            raise CannotStart(
                f"secrets.env is damaged in line {number}. Restore it from a backup; without it the stored keys and "
                f"endpoints of this installation can't be read. `make clean` starts from nothing."
            )
        found[name.strip()] = value.strip()
    return found


def _key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
