"""Lamba's event envelope: how ours are written, and the strict way to read one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lamba_campaigns.lib.canonical import canonical_bytes, strict_loads
from projects.scoping import Scope, normalise_environment
from webhooks.catalog import API_VERSION, parse_moment
from webhooks.models import EVENT_ID_LENGTH_MAX, EVENT_TYPE_LENGTH_MAX

EVENT_ID = re.compile(rf"[A-Za-z0-9._:~-]{{1,{EVENT_ID_LENGTH_MAX}}}", re.ASCII)
EVENT_TYPE = re.compile(rf"[A-Za-z0-9_.-]{{1,{EVENT_TYPE_LENGTH_MAX}}}", re.ASCII)
LAMBA_ENVIRONMENT = {"production": "prod", "sandbox": "test"}  # the words that Lamba writes


class Malformed(ValueError):
    """A signed body that is no envelope. Its text says which part is wrong."""


@dataclass(frozen=True, slots=True)
class Envelope:
    id: str
    type: str
    occurred_at: datetime
    workspace: str
    project: str
    environment: str
    data: Mapping[str, Any]

    def mismatch(self, scope: Scope) -> str:
        """What of the scope is another one than `scope`; empty when it is the same."""
        if (self.workspace, self.project) == (scope.workspace, scope.project) and (
            LAMBA_ENVIRONMENT[scope.environment] == self.environment
        ):
            return ""
        pairs = (
            ("workspaceId", self.workspace, scope.workspace),
            ("projectId", self.project, scope.project),
            ("environment", normalise_environment(self.environment) or self.environment, scope.environment),
        )
        return "; ".join(
            f"{name} is {given!r}, this endpoint is bound to {own!r}" for name, given, own in pairs if given != own
        )


def write(
    *, scope: Scope, event_id: str, event_type: str, occurred_at: datetime, data: Mapping[str, Any], **extra: Any
) -> bytes:
    """The canonical bytes of one envelope. `extra` adds members, such as `sequence`."""
    return canonical_bytes(
        {
            "id": event_id,
            "type": event_type,
            "occurredAt": moment(occurred_at),
            "workspaceId": scope.workspace,
            "projectId": scope.project,
            "environment": LAMBA_ENVIRONMENT[scope.environment],
            "apiVersion": API_VERSION,
            "data": dict(data),
            **extra,
        }
    )


def read(raw: bytes) -> Envelope:
    """The envelope in `raw`. Malformed names the first thing that is wrong; unknown members are allowed."""
    try:
        body = strict_loads(raw)
    except ValueError as problem:
        raise Malformed(f"The body can't be read: {problem}.") from None
    if not isinstance(body, dict):
        raise Malformed("The body is not a JSON object.")
    occurred_at = parse_moment(_text(body, "occurredAt", 64))
    if occurred_at is None:
        raise Malformed("occurredAt is not an ISO-8601 time with a zone.")
    data = body.get("data", {})
    if not isinstance(data, dict):
        raise Malformed("data is not an object.")
    return Envelope(
        id=_matching(body, "id", EVENT_ID),
        type=_matching(body, "type", EVENT_TYPE),
        occurred_at=occurred_at,
        workspace=_text(body, "workspaceId", 64),
        project=_text(body, "projectId", 64),
        environment=_text(body, "environment", 20),
        data=data,
    )


def moment(value: datetime) -> str:
    """ISO-8601 in UTC with a Z, milliseconds where there are any."""
    text = value.astimezone(UTC).isoformat(timespec="milliseconds" if value.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z"


def _text(body: Mapping[str, Any], name: str, length_max: int) -> str:
    value = body.get(name)
    if value is None:
        raise Malformed(f"{name} is missing.")
    if not isinstance(value, str) or not 0 < len(value) <= length_max:
        raise Malformed(f"{name} is not a text of 1 to {length_max} characters.")
    return value


def _matching(body: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = _text(body, name, 1_000)
    if pattern.fullmatch(value) is None:
        raise Malformed(f"{name} may only have the characters {pattern.pattern}.")
    return value
