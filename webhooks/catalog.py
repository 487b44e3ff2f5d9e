"""Every event type that is understood or emitted here, with a sentence, a JSON Schema and a sample.

The data stands in `catalog.yaml`. Schemas describe `data` of the envelope and tolerate unknown fields.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml
from jsonschema_rs import Draft202012Validator

from lamba_campaigns.lib.errors import FieldProblem

API_VERSION = "2026-11-01"  # of the payloads; changes inside a version only add
PROBLEMS_MAX = 20

Direction = Literal["in", "out", "both"]
Audience = Literal["public", "internal"]


@dataclass(frozen=True, slots=True)
class EventType:
    """`in` types come from Lamba or a mail provider, `out` types are published by this console, `both` do either."""

    name: str
    direction: Direction
    audience: Audience
    sentence: str
    schema: Mapping[str, Any]
    accepts: Mapping[str, Any]  # the schema of what comes in: that of what goes out, unless the sender is freer
    sample: Mapping[str, Any]

    @property
    def group(self) -> str:
        return self.name.split(".")[0]


class UnknownEventType(KeyError):
    """`publish` was called with a type that is not in catalog.yaml. A bug."""


def find(name: str) -> EventType | None:
    return _types().get(name)


def get(name: str) -> EventType:
    try:
        return _types()[name]
    except KeyError:
        raise UnknownEventType(f"{name!r} is not in webhooks/catalog.yaml; add it with a schema and a sample") from None


def every() -> Sequence[EventType]:
    """All types, in the order of the file."""
    return tuple(_types().values())


def public() -> Sequence[EventType]:
    """The types that customers' endpoints may subscribe to."""
    return tuple(each for each in every() if each.direction != "in" and each.audience == "public")


def received() -> Sequence[str]:
    """The names of the types that the inbox may hold: Lamba's, the providers', and this console's own news."""
    return tuple(each.name for each in every() if each.direction != "out" or each.audience == "internal")


def problems(name: str, data: Any, *, published: bool = False) -> tuple[FieldProblem, ...]:
    """Where `data` breaks its type's schema, of what comes in or is `published`; empty for types that are unknown."""
    validator = _validators(published).get(name)
    if validator is None or validator.is_valid(data):
        return ()
    found = []
    for error in validator.iter_errors(data):
        pointer = "#/data" + "".join(f"/{part}" for part in error.instance_path)
        found.append(FieldProblem(pointer, error.kind.name, error.message[:300]))
        if len(found) == PROBLEMS_MAX:
            break
    return tuple(found)


def validator(name: str) -> Draft202012Validator:
    """The compiled schema of what comes in under a known type."""
    return _validators(False)[get(name).name]


@cache
def _types() -> dict[str, EventType]:
    text = resources.files("webhooks").joinpath("catalog.yaml").read_text()
    found: dict[str, EventType] = {}
    for name, entry in yaml.safe_load(text)["types"].items():
        assert name not in found, f"{name} stands twice in catalog.yaml"
        schema = {"type": "object", **entry["schema"]}
        found[name] = EventType(
            name=name,
            direction=entry["direction"],
            audience=entry.get("audience", "public"),
            sentence=entry["sentence"],
            schema=schema,
            accepts=entry.get("accepts", schema),
            sample=entry["sample"],
        )
    return found


@cache
def _validators(published: bool) -> dict[str, Draft202012Validator]:
    """Compiled once: 0.8 us a payload, where a schema that is walked in Python took 40 to 90."""
    formats = {"date-time": lambda text: parse_moment(text) is not None}
    return {
        each.name: Draft202012Validator(
            dict(each.schema if published else each.accepts), validate_formats=True, formats=formats
        )
        for each in _types().values()
    }


def parse_moment(text: str) -> datetime | None:
    """An ISO-8601 time with an offset, in UTC. None for anything else, a time without a zone included."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return None
