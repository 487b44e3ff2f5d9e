"""One byte form for one value, and the strict way to read JSON from outside."""

import hashlib
import json
import math
from functools import cache
from typing import Any

import rfc8785

DEPTH_MAX = 32
INTEGER_MAX = 2**53 - 1
_ENCODE = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def canonical_bytes(value: Any) -> bytes:
    """RFC 8785 (JCS) bytes. Integers beyond 2^53 and non-finite floats raise ValueError: store them as strings."""
    if _is_plain(value):
        return _ENCODE(value).encode()
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as problem:
        raise ValueError(str(problem)) from problem


def digest(value: Any) -> bytes:
    """SHA-256 (32 bytes) of the canonical bytes."""
    return hashlib.sha256(canonical_bytes(value)).digest()


def strict_loads(raw: bytes) -> Any:
    """Parse JSON from outside. ValueError on duplicate keys, NaN, infinities, NUL, lone surrogates or depth over 32.

    NUL and surrogates only come in as escapes, and depth needs brackets: a body without either is not walked.
    """
    try:
        value = _decoder().decode(raw.decode("utf-8"))
    except RecursionError:
        raise ValueError(f"nested deeper than {DEPTH_MAX}") from None
    if b"\\u" in raw or raw.count(b"{") + raw.count(b"[") > DEPTH_MAX:
        _check_tree(value)
    return value


def _is_plain(value: Any) -> bool:
    """Whether Python's own encoder writes the very bytes of RFC 8785, ten times as fast: no floats, ASCII keys."""
    kind = type(value)
    if kind is dict:
        return all(type(key) is str and key.isascii() and _is_plain(each) for key, each in value.items())
    if kind is list or kind is tuple:
        return all(map(_is_plain, value))
    return kind is str or value is None or kind is bool or (kind is int and -INTEGER_MAX <= value <= INTEGER_MAX)


@cache
def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant, parse_float=_finite)


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"duplicate key {twice!r}")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _check_tree(root: Any) -> None:
    stack = [(root, 1)]
    while stack:
        value, depth = stack.pop()
        if depth > DEPTH_MAX:
            raise ValueError(f"nested deeper than {DEPTH_MAX}")
        if isinstance(value, dict):
            stack.extend((part, depth + 1) for pair in value.items() for part in pair)
        elif isinstance(value, list):
            stack.extend((part, depth + 1) for part in value)
        elif isinstance(value, str):
            if "\x00" in value:
                raise ValueError("a string holds NUL")
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                raise ValueError("a string holds a lone surrogate") from None
