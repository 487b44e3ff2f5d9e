"""What changed, in words a person reads: times in their zone, objects by name, numbers with separators."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils import timezone

from audit.models import AuditEntry

VALUE_LENGTH_MAX: Final = 60
DIGEST_SHOWN: Final = 10
_ID: Final = re.compile(r"[a-z]{2,4}_[0-9A-HJKMNP-TV-Z]{26}")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")
_SHORT: Final = {"id": "ID", "ip": "IP", "url": "URL", "csv": "CSV"}
_NO_NAMES: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Change:
    """One value that changed, in words; an empty side did not exist."""

    name: str
    before: str
    after: str


def changes(entry: AuditEntry, names: Mapping[str, str] = _NO_NAMES) -> list[Change]:
    """What is in before or after and differs between them. `names` tells what the objects in them are called."""
    before, after = entry.before or {}, entry.after or {}
    order = [*after, *(name for name in before if name not in after)]
    found = [
        Change(words(name), value(before.get(name), names), value(after.get(name), names))
        for name in order
        if before.get(name) != after.get(name)
    ]
    return [change for change in found if change.before or change.after]


def as_text(found: Iterable[Change]) -> str:
    """Changes in one line: `State: draft → launching; Name: Spring`."""
    return "; ".join(_as_note(change) for change in found)


def ids(entry: AuditEntry) -> set[str]:
    """The objects that before and after speak of."""
    return {text for text in _texts([entry.before, entry.after]) if _ID.fullmatch(text)}


def words(name: str) -> str:
    """`scheduledAt` and `scheduled_at` are both Scheduled at."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).replace("_", " ")
    told = " ".join(_SHORT.get(word, word) for word in spaced.split(" "))
    return told[:1].upper() + told[1:]


def value(found: Any, names: Mapping[str, str] = _NO_NAMES) -> str:
    """One value; "" for none."""
    if found is None or found == "":
        return ""
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, int):
        return f"{found:,}"
    if isinstance(found, list):
        text = ", ".join(value(each, names) for each in found)
    elif isinstance(found, dict):
        # a part that says none of it, such as an empty account, is left out
        told = ((words(name.rpartition(".")[2]).lower(), value(each, names)) for name, each in found.items() if each)
        text = ", ".join(f"{name} {each}" for name, each in told)
    else:
        text = _text(str(found), names)
    return text if len(text) <= VALUE_LENGTH_MAX else text[: VALUE_LENGTH_MAX - 1] + "…"


def _text(found: str, names: Mapping[str, str]) -> str:
    if found in names:
        return names[found]
    if _DIGEST.fullmatch(found):
        return f"{found[:DIGEST_SHOWN]}…"
    if _MOMENT.fullmatch(found):
        local = timezone.localtime(datetime.fromisoformat(found))
        return f"{local.day} {local:%b %Y, %H:%M}"
    return found


def _as_note(change: Change) -> str:
    if change.before and change.after:
        return f"{change.name}: {change.before} → {change.after}"
    return f"{change.name}: {change.after or change.before}"


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, Mapping):
        for each in found.values():
            yield from _texts(each)
    elif isinstance(found, list):
        for each in found:
            yield from _texts(each)
