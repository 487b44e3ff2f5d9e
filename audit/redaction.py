"""Before and after as the chain may keep them: plain JSON, no secrets, no addresses, no surprises of size."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

CHANGE_BYTES_MAX = 16_384  # a longer before or after is replaced by its digest
INTEGER_MAX = 2**53  # RFC 8785 has no larger numbers; they are kept as text

_SECRET_NAME = re.compile(r"secret|passw|token|authori[sz]ation|api_?key|signature|cookie|credential|salt", re.I)
_SECRET_TEXT = re.compile(r"\b(?:lmb_(?:live|test)_|whs[ek]c?_|Bearer\s+|Basic\s+)\S{6,}", re.I)
_ADDRESS = re.compile(r"[^\s@<>\"',;]+@[^\s@<>\"',;]+\.[^\s@<>\"',;]+")


def plain(value: Any) -> Any:
    """`value` as canonical JSON can carry it, with secrets and mail addresses masked."""
    if isinstance(value, Mapping):
        return {str(name): "[secret]" if _is_secret(str(name), each) else plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(each) for each in value), key=str)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) <= INTEGER_MAX else str(value)
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return scrub(str(value))


def scrub(text: str) -> str:
    """Free text without keys, bearer tokens, mail addresses or NUL."""
    return _ADDRESS.sub("[address]", _SECRET_TEXT.sub("[secret]", text.replace("\x00", "")))


def change(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A before or after, at most CHANGE_BYTES_MAX long."""
    if value is None:
        return None
    found: dict[str, Any] = plain(value)
    raw = json.dumps(found, sort_keys=True).encode()
    if len(raw) <= CHANGE_BYTES_MAX:
        return found
    return {"shortened": True, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def timestamp(moment: datetime) -> str:
    """ISO 8601, UTC, microseconds always written: what Postgres stores, frozen as text."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _is_secret(name: str, value: Any) -> bool:
    return bool(_SECRET_NAME.search(name)) and not isinstance(value, bool | int | float | None)
