"""Secrets at rest: encrypted with rotating keys, never logged, never shown twice."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SecretUnreadable(RuntimeError):
    """No key in LAMBA_SECRETS_KEYS decrypts this value: a key was dropped too early."""


def encrypt(plain: str) -> bytes:
    """Ciphertext under the first key of LAMBA_SECRETS_KEYS."""
    return _box().encrypt(plain.encode())


def decrypt(cipher: bytes | memoryview) -> str:
    try:
        return _box().decrypt(bytes(cipher)).decode()
    except InvalidToken:
        raise SecretUnreadable(
            "A stored secret can't be decrypted. Put its key back into LAMBA_SECRETS_KEYS."
        ) from None


def _box() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.SECRETS_KEYS])
