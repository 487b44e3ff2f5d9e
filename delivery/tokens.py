"""Opaque, hard-to-forge references in mail: one AES block, 26 letters, nothing stored, nothing that expires.

A block holds environment (24 bits), job (32), a reference (40) and a 32-bit mark of its purpose. Without LINK_KEY a
guess decrypts to the right mark once in four thousand million tries, so a token that reads back is ours.
"""

import base64
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django.conf import settings

TOKEN_LENGTH = 26
Purpose = Literal["message", "unsubscribe", "open", "click"]
_MARKS: dict[Purpose, bytes] = {"message": b"Msg1", "unsubscribe": b"Uns1", "open": b"Opn1", "click": b"Clk1"}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Reference:
    """What a token says. `number` is the position of a message, or the person who may unsubscribe."""

    environment_id: int
    job_id: int
    number: int


def token(*, environment_id: int, job_id: int, position: int) -> str:
    """The token in the Message-ID of one message."""
    return tokens("message", environment_id=environment_id, job_id=job_id, numbers=[position])[0]


def unsubscribe_token(*, environment_id: int, job_id: int, person_id: int) -> str:
    """The token in the unsubscribe link of one person. Other than the Message-ID's: that one travels in public."""
    return tokens("unsubscribe", environment_id=environment_id, job_id=job_id, numbers=[person_id])[0]


def tokens(purpose: Purpose, *, environment_id: int, job_id: int, numbers: Sequence[int]) -> list[str]:
    """One token for each number, in order: a whole micro-batch in one call to the cipher."""
    head, mark = environment_id.to_bytes(3) + job_id.to_bytes(4), _MARKS[purpose]
    plain = b"".join(head + number.to_bytes(5) + mark for number in numbers)
    with _lock:
        sealed = _cipher(settings.LINK_KEY)[0].update(plain)
    return _texts(sealed)


def read(purpose: Purpose, text: str) -> Reference | None:
    """What the token says, or None for anything that is not ours and of this purpose."""
    if len(text) != TOKEN_LENGTH or not text.isascii():
        return None
    try:
        sealed = base64.b32decode(text.upper() + "======")
    except ValueError:
        return None
    if _text(sealed) != text.lower():
        return None  # the last letter has spare bits: one token, one spelling
    with _lock:
        plain = _cipher(settings.LINK_KEY)[1].update(sealed)
    if plain[12:] != _MARKS[purpose]:
        return None
    return Reference(int.from_bytes(plain[:3]), int.from_bytes(plain[3:7]), int.from_bytes(plain[7:12]))


def read_message_id(message_id: str) -> Reference | None:
    """The message behind `<token@domain>`, or None."""
    return read("message", message_id.strip().strip("<>").partition("@")[0].lower())


def _text(block: bytes) -> str:
    return _texts(block)[0]


def _texts(blocks: bytes) -> list[str]:
    """Each block in base32. All at once: 20 bytes are 32 letters, of which those of the padding are cut off."""
    padded = b"".join(blocks[start : start + 16] + b"\0\0\0\0" for start in range(0, len(blocks), 16))
    letters = base64.b32encode(padded).decode().lower()
    return [letters[start : start + TOKEN_LENGTH] for start in range(0, len(letters), 32)]


@cache
def _cipher(key: str):  # type: ignore[no-untyped-def]  # the contexts' types are private to the library
    """Encryptor and decryptor. One block at a time under ECB is a plain permutation: equal inputs never occur."""
    aes = Cipher(algorithms.AES(hashlib.sha256(b"link:" + key.encode()).digest()), modes.ECB())  # noqa: S305
    return aes.encryptor(), aes.decryptor()
