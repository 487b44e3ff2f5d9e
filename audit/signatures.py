"""The Ed25519 keys that sign evidence. They live outside the database, so its owner can't rewrite what was signed.

`LAMBA_AUDIT_SIGNING_KEY` holds one seed, or several separated by commas: the first one signs, the others are retired
and only endorse the one that took over. A retired seed may be dropped once every chain has a checkpoint of the new key.
"""

import base64
import hashlib
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from audit.offline_verifier import ENDORSEMENT


def sign(message: bytes) -> bytes:
    """64 bytes, by the key in use."""
    return _keys(settings.AUDIT_SIGNING_KEY)[0].sign(message)


def public_key() -> bytes:
    """32 bytes, for those who check a signature elsewhere."""
    return _keys(settings.AUDIT_SIGNING_KEY)[0].public_key().public_bytes_raw()


def public_keys() -> list[bytes]:
    """The key in use, then the retired ones that are still known."""
    return [key.public_key().public_bytes_raw() for key in _keys(settings.AUDIT_SIGNING_KEY)]


def key_id(public: bytes | None = None) -> str:
    """16 hex digits of the public key's SHA-256; of the one in use when none is given."""
    return hashlib.sha256(public_key() if public is None else public).hexdigest()[:16]


def endorsement(*, by: str) -> tuple[str, str]:
    """The retired key called `by`, in hex, and its signature over the key in use; empty when its seed is gone."""
    for key in _keys(settings.AUDIT_SIGNING_KEY)[1:]:
        public = key.public_key().public_bytes_raw()
        if key_id(public) == by:
            return public.hex(), key.sign(ENDORSEMENT + public_key()).hex()
    return "", ""


@cache
def _keys(seeds: str) -> tuple[Ed25519PrivateKey, ...]:
    return tuple(_key(seed.strip()) for seed in seeds.split(",") if seed.strip())


def _key(seed: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(seed + "=" * (-len(seed) % 4)))
