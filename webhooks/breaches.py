"""A stored payload against the schema of its type: each field that fails, what it holds, and what the schema wants."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webhooks import catalog, envelope, process, registry
from webhooks.envelope import Malformed
from webhooks.models import InboundEvent

TEXT_LENGTH_MAX = 400
BREACHES_MAX = 20


@dataclass(frozen=True, slots=True)
class Breach:
    """`field` is its path, such as `data.roles[0]`. `wanted` is the part of the schema that speaks of it."""

    field: str
    found: str
    wanted: str
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """`fits` is None where no schema speaks, or where the body can't be read."""

    fits: bool | None
    breaches: Sequence[Breach] = ()


def check(event: InboundEvent) -> Check:
    """The data of this event against the schema that its type has now, which may be another than when it came."""
    known = [(name, data) for name, data in _told(event) if catalog.find(name)]
    if not known:
        return Check(None)
    found = tuple(each for name, data in known for each in breaches(name, data))[:BREACHES_MAX]
    return Check(not found, found)


def breaches(name: str, data: Any) -> Iterator[Breach]:
    """Every way in which `data` breaks the schema of this type, alternatives one by one."""
    schema = catalog.get(name).accepts
    for error in catalog.validator(name).iter_errors(data):
        yield from _breaches(schema, data, error)


def _breaches(schema: Mapping[str, Any], data: Any, error: Any) -> Iterator[Breach]:
    if error.kind.name in ("anyOf", "oneOfNotValid"):
        for number, alternative in enumerate(error.kind.context, start=1):
            for each in alternative:
                yield _breach(schema, data, each, f"Alternative {number}: ")
    else:
        yield _breach(schema, data, error, "")


def _breach(schema: Mapping[str, Any], data: Any, error: Any, before: str) -> Breach:
    path, keyword = list(error.instance_path), list(error.schema_path)
    parent = _at(schema, keyword[:-1])
    if error.kind.name == "required":
        missing = error.kind.property
        wanted = _text(parent.get("properties", {}).get(missing, {}))
        return Breach(_pointer([*path, missing]), "nothing", wanted, f"{before}It is missing.")
    return Breach(_pointer(path), _text(_at(data, path)), _text(parent), before + error.message[:TEXT_LENGTH_MAX])


def _told(event: InboundEvent) -> list[tuple[str, Mapping[str, Any]]]:
    """(type, data) of what is in the body: one envelope, or what a provider's reader finds."""
    [claim] = process.claims_of([event])
    try:
        if claim.scheme:
            return [(each.type, each.data) for each in registry.read(claim.scheme, claim.headers, claim.raw)]
        found = envelope.read(claim.raw)
    except (Malformed, ValueError):
        return []
    return [(found.type, found.data)]


def _at(value: Any, path: Sequence[Any]) -> Any:
    for step in path:
        value = value[step]
    return value


def _pointer(path: Sequence[Any]) -> str:
    return "data" + "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in path)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:TEXT_LENGTH_MAX]
