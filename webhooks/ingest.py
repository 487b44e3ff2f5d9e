"""record(): an event that was believed becomes one durable row, and only then it is acknowledged.

The unique key (environment, event id) decides what is a duplicate, never a look-up before. The statement takes any
number of events, so that the group commit of `asgi` and the single one of `receiver` are the same code.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from lamba_campaigns.lib import sql
from webhooks.directory import KnownEndpoint
from webhooks.envelope import EVENT_ID
from webhooks.models import EVENT_ID_LENGTH_MAX

HEADERS_KEPT = (
    "content-type",
    "user-agent",
    "traceparent",
    "x-correlation-id",
    "x-lamba-event",
    "x-lamba-tenant",
    "x-lamba-timestamp",
    "webhook-id",
    "svix-id",
    "x-amz-sns-message-type",
    "x-amz-sns-message-id",
)
HEADER_LENGTH_MAX = 256

Outcome = Literal["accepted", "duplicate", "conflict"]

# Lamba writes the id first; finding it there costs a tenth of parsing. Whether the rest is JSON at all, and whether it
# says the same id, is decided in `process`, which reads the whole body strictly.
_LEADING_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"([A-Za-z0-9._:~-]{1,%d})"' % EVENT_ID_LENGTH_MAX)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One believed request. `headers` is the JSON text of the kept ones."""

    environment_id: int
    endpoint_id: int
    event_id: str
    source: str
    received_at: datetime
    raw: bytes
    sha256: bytes
    headers: str

    @property
    def key(self) -> tuple[int, str]:
        return self.environment_id, self.event_id


def arrival(*, endpoint: KnownEndpoint, raw: bytes, headers: Mapping[str, str], now: datetime) -> Arrival:
    """What will be stored of a request that was believed. Never fails: a body without an id gets one from its hash."""
    digest = hashlib.sha256(raw).digest()
    return Arrival(
        environment_id=endpoint.environment_id,
        endpoint_id=endpoint.id,
        event_id=(endpoint.has_envelopes and event_id_of(raw)) or f"sha256:{digest.hex()}",
        source=endpoint.source,
        received_at=now,
        raw=raw,
        sha256=digest,
        headers=json.dumps(headers),
    )


def event_id_of(raw: bytes) -> str | None:
    """The id that this body carries, if it carries a usable one."""
    found = _LEADING_ID.match(raw)
    if found is not None:
        return found[1].decode("ascii")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    value = body.get("id") if isinstance(body, dict) else None
    return value if isinstance(value, str) and EVENT_ID.fullmatch(value) else None


def kept_header(value: str) -> str:
    """A header as it may be stored: printable and short."""
    value = value[:HEADER_LENGTH_MAX]
    return value if value.isprintable() else "".join(each for each in value if each.isprintable())


def record(arrivals: Sequence[Arrival]) -> list[Outcome]:
    """Store all of them in one durable transaction and say of each what it was."""
    batch = Batch(arrivals)
    with sql.durable():
        batch.settle(sql.rows("webhooks", "record_events", batch.params()))
        if batch.conflicts:
            sql.execute("webhooks", "keep_conflicts", batch.conflict_params())
    return batch.outcomes


class Batch:
    """Arrivals of one commit. The statements run blocking here and async in `asgi`; this keeps the accounts."""

    def __init__(self, arrivals: Sequence[Arrival]) -> None:
        self.arrivals = arrivals
        self.outcomes: list[Outcome] = []
        self.conflicts: list[Arrival] = []
        self._first: dict[tuple[int, str], Arrival] = {}
        self._count: dict[tuple[int, str], int] = {}
        for each in arrivals:
            self._first.setdefault(each.key, each)
            self._count[each.key] = self._count.get(each.key, 0) + 1

    def params(self) -> dict[str, Any]:
        """Parameters of `record_events`: each key once, with how often it came."""
        rows = self._first.values()
        return {
            "environment_ids": [each.environment_id for each in rows],
            "endpoint_ids": [each.endpoint_id for each in rows],
            "event_ids": [each.event_id for each in rows],
            "sources": [each.source for each in rows],
            "received_ats": [each.received_at for each in rows],
            "raws": [each.raw for each in rows],
            "digests": [each.sha256 for each in rows],
            "headers": [each.headers for each in rows],
            "counts": [self._count[each.key] for each in rows],
        }

    def settle(self, rows: Sequence[Sequence[Any]]) -> None:
        """Take the answer of `record_events`: which keys are new, and the hash of the body that counts."""
        stored = {(row[0], row[1]): (bytes(row[2]), row[3]) for row in rows}
        assert len(stored) == len(self._first), "record_events answers every key once"
        for each in self.arrivals:
            digest, inserted = stored[each.key]
            if digest != each.sha256:
                self.conflicts.append(each)
                self.outcomes.append("conflict")
            else:
                self.outcomes.append("accepted" if inserted and self._first[each.key] is each else "duplicate")

    def conflict_params(self) -> dict[str, Any]:
        """Parameters of `keep_conflicts`."""
        rows = self.conflicts
        return {
            "environment_ids": [each.environment_id for each in rows],
            "event_ids": [each.event_id for each in rows],
            "received_ats": [each.received_at for each in rows],
            "raws": [each.raw for each in rows],
            "digests": [each.sha256 for each in rows],
        }
