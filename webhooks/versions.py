"""Payload versions of published events. Inside a version changes only add; a change that takes away makes a new one.

An event is frozen in the newest version. An endpoint that is pinned to an older one gets the frozen payload taken back
step by step, which gives the same bytes at every attempt.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lamba_campaigns.lib.canonical import canonical_bytes, strict_loads
from webhooks.catalog import API_VERSION

Step = Callable[[dict[str, Any]], dict[str, Any]]

VERSIONS: tuple[str, ...] = ("2026-11-01",)  # oldest first; the last one is written
STEPS_BACK: Mapping[str, Step] = {}  # version -> an envelope of that version in the one before it
assert VERSIONS[-1] == API_VERSION and set(STEPS_BACK) == set(VERSIONS[1:])


def written_for(payload: bytes, *, version: str) -> bytes:
    """The frozen payload as an endpoint pinned to `version` gets it."""
    if version == VERSIONS[-1]:
        return payload
    body = strict_loads(payload)
    older = [each for each in VERSIONS if version < each <= body["apiVersion"]]
    for each in reversed(older):
        body = STEPS_BACK[each](body)
    return canonical_bytes({**body, "apiVersion": min(version, body["apiVersion"])})
