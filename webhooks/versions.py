"""Payload versions of published events. Inside a version changes only add; a change that takes away makes a new one.

An event is frozen in the newest version. An endpoint that is pinned to an older one gets the frozen payload taken back
step by step, which gives the same bytes at every attempt.
"""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lamba_campaigns.lib.canonical import canonical_bytes, strict_loads
from webhooks.catalog import API_VERSION, EventType

Step = Callable[[dict[str, Any]], dict[str, Any]]

VERSIONS: tuple[str, ...] = ("2026-11-01",)  # oldest first; the last one is written
STEPS_BACK: Mapping[str, Step] = {}  # version -> an envelope of that version in the one before it
assert VERSIONS[-1] == API_VERSION and set(STEPS_BACK) == set(VERSIONS[1:])


@dataclass(frozen=True, slots=True)
class Difference:
    """What changes in one type of event: (mark, line) of its sample, where the mark is "-", "+" or " "."""

    type: str
    lines: Sequence[tuple[str, str]]


def differences(*, types: Sequence[EventType], old: str, new: str) -> Iterator[Difference]:
    """The samples of these types that are written otherwise in `new` than in `old`."""
    for each in types:
        left, right = _sample(each, old), _sample(each, new)
        if left != right:
            lines = tuple((line[0], line[2:]) for line in difflib.ndiff(left, right) if line[0] != "?")
            yield Difference(each.name, lines)


def _sample(kind: EventType, version: str) -> list[str]:
    """The lines of its sample in this version, without the version's own name, which differs in all of them."""
    newest = canonical_bytes({"type": kind.name, "apiVersion": VERSIONS[-1], "data": dict(kind.sample)})
    body = strict_loads(written_for(newest, version=version))
    del body["apiVersion"]
    return json.dumps(body, indent=2, ensure_ascii=False).split("\n")


def written_for(payload: bytes, *, version: str) -> bytes:
    """The frozen payload as an endpoint pinned to `version` gets it."""
    if version == VERSIONS[-1]:
        return payload
    body = strict_loads(payload)
    older = [each for each in VERSIONS if version < each <= body["apiVersion"]]
    for each in reversed(older):
        body = STEPS_BACK[each](body)
    return canonical_bytes({**body, "apiVersion": min(version, body["apiVersion"])})
