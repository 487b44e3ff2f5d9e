"""The shape of an API key, and the check of one: `lmb_{live|test}_{key id 12}_{secret 43}{crc 7}`.

`live` opens production, `test` a sandbox. The trailing CRC-32 lets scanners reject look-alikes without a look-up.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass

from django.conf import settings

from projects.scoping import EnvironmentName

_PATTERN = re.compile(r"lmb_(live|test)_([0-9a-z]{12})_([0-9A-Za-z]{43})([0-9a-z]{7})", re.ASCII)
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY_ID_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class KeyParts:
    """A well-formed key, taken apart; nothing is said about whether it exists."""

    environment: EnvironmentName
    key_id: str
    secret: str


def generate(*, environment: EnvironmentName) -> tuple[str, KeyParts]:
    """A new key as shown to its owner, and its parts to store."""
    kind = "live" if environment == "production" else "test"
    key_id = "".join(secrets.choice(_KEY_ID_ALPHABET) for _ in range(12))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(43))
    body = f"lmb_{kind}_{key_id}_{secret}"
    return body + _checksum(body), KeyParts(environment, key_id, secret)


def take_apart(text: str) -> KeyParts | None:
    """None for anything that is not a key of ours, its checksum included."""
    match = _PATTERN.fullmatch(text)
    if match is None or _checksum(text[:-7]) != match[4]:
        return None
    return KeyParts("production" if match[1] == "live" else "sandbox", match[2], match[3])


def hash_secret(secret: str) -> bytes:
    """HMAC-SHA256 under the pepper, 32 bytes. A slow hash adds nothing: the secret has 256 random bits."""
    return hmac.new(settings.KEY_PEPPER.encode(), secret.encode(), hashlib.sha256).digest()


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(7):
        number, rest = divmod(number, 36)
        digits = _KEY_ID_ALPHABET[rest] + digits
    return digits
