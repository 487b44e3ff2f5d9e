"""The Ed25519 key that signs checkpoints. It lives outside the database, so its owner can't rewrite what was signed."""

import base64
import hashlib
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings


def sign(message: bytes) -> bytes:
    """64 bytes."""
    return _private_key(settings.AUDIT_SIGNING_KEY).sign(message)


def is_ours(message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key()).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def public_key() -> bytes:
    """32 bytes, for those who check a checkpoint elsewhere."""
    return _private_key(settings.AUDIT_SIGNING_KEY).public_key().public_bytes_raw()


def key_id() -> str:
    """16 hex digits of the public key's SHA-256."""
    return hashlib.sha256(public_key()).hexdigest()[:16]


@cache
def _private_key(seed: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(seed + "=" * (-len(seed) % 4)))
