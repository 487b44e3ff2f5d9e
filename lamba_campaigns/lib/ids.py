"""Public ids: a prefix and a ULID (48 bits of milliseconds, 80 random bits, base 32), so they sort by time."""

import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ID_LENGTH_MAX = 31  # "xxxx_" + 26


def new_id(prefix: str) -> str:
    """A fresh id such as `cmp_01J9ZC3V7Q8R2N4T6W8Y0A1B2C`."""
    return f"{prefix}_{ulid()}"


def ulid(milliseconds: int | None = None) -> str:
    """26 characters, sortable by creation time. Source: github.com/ulid/spec."""
    moment = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    number = (moment << 80) | secrets.randbits(80)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
