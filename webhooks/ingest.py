"""record(): an event that was believed becomes one durable row, and only then it is acknowledged.

The unique key (environment, event id) decides what is a duplicate, never a look-up before. The statement takes any
number of events, so that the group commit of `asgi` and the single one of `receiver` are the same code.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Literal

from lamba_campaigns.lib import sql
from webhooks.directory import KnownEndpoint
from webhooks.envelope import EVENT_ID
from webhooks.models import EVENT_ID_LENGTH_MAX

HEADERS_KEPT = {
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
}
HEADER_LENGTH_MAX = 256

Outcome = Literal["accepted", "duplicate", "conflict"]

# Lamba writes the id first; finding it there costs a tenth of parsing. Whether the rest is JSON at all, and whether it
# says the same id, is decided in `process`, which reads the whole body strictly.
_LEADING_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"([A-Za-z0-9._:~-]{1,%d})"' % EVENT_ID_LENGTH_MAX)


_EMPTY = hashlib.sha256()  # a copy costs less than a new one


@dataclass(slots=True)  # not frozen: that alone would cost two microseconds an event
class Arrival:
    """One believed request. `headers` is the JSON text of the kept ones."""

    key: tuple[int, str]  # (environment, event id): what makes it a duplicate
    endpoint_id: int
    source: str
    received_at: datetime
    raw: bytes
    sha256: bytes
    headers: str


def arrival(*, endpoint: KnownEndpoint, raw: bytes, headers: Mapping[str, str], now: datetime) -> Arrival:
    """What will be stored of a request that was believed. Never fails: a body without an id gets one from its hash.

    `headers` are all of the request's, with names in lower case.
    """
    hashed = _EMPTY.copy()
    hashed.update(raw)
    digest = hashed.digest()
    event_id = (endpoint.has_envelopes and event_id_of(raw)) or f"sha256:{digest.hex()}"
    kept = _kept_text(tuple([item for item in headers.items() if item[0] in HEADERS_KEPT]))
    return Arrival((endpoint.environment_id, event_id), endpoint.id, endpoint.source, now, raw, digest, kept)


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


@lru_cache(1_024)  # a busy sender's headers are the same for a second
def _kept_text(headers: tuple[tuple[str, str], ...]) -> str:
    """The kept headers as JSON, each printable and short."""
    return json.dumps({name: _printable(value[:HEADER_LENGTH_MAX]) for name, value in headers})


def _printable(value: str) -> str:
    return value if value.isprintable() else "".join(each for each in value if each.isprintable())


def record(arrivals: Sequence[Arrival]) -> list[Outcome]:
    """Store all of them in one durable transaction and say of each what it was."""
    batch = Batch(arrivals)
    with sql.durable():
        batch.settle(sql.rows("webhooks", "record_events", batch.params()))
        if batch.conflicts:
            sql.execute("webhooks", "keep_conflicts", batch.conflict_params())
    return batch.outcomes


_KEY = attrgetter("key")


class Batch:
    """Arrivals of one commit. The statements run blocking here and async in `asgi`; this keeps the accounts."""

    def __init__(self, arrivals: Sequence[Arrival]) -> None:
        self.arrivals = arrivals
        self.outcomes: list[Outcome] = []
        self.conflicts: list[Arrival] = []
        self._first: dict[tuple[int, str], Arrival] = {}
        for each in arrivals:
            self._first.setdefault(each.key, each)

    def params(self) -> dict[str, Any]:
        """Parameters of `record_events`: each key once, with how often it came.

        What many rows share, their endpoint and mostly their headers, comes once; `places` count through it from 1.
        """
        rows = sorted(self._first.values(), key=_KEY)
        count = Counter(map(_KEY, self.arrivals)) if len(rows) < len(self.arrivals) else {}
        doors: dict[tuple[int, str], int] = {}
        places = [doors.setdefault((each.endpoint_id, each.headers), len(doors) + 1) for each in rows]
        samples = dict(zip(places, rows, strict=True)).values()
        return {
            "places": places,
            "environment_ids": [each.key[0] for each in samples],
            "endpoint_ids": [each.endpoint_id for each in samples],
            "sources": [each.source for each in samples],
            "headers": [each.headers for each in samples],
            "now": self.arrivals[0].received_at,
            "event_ids": [each.key[1] for each in rows],
            "raws": [each.raw for each in rows],
            "digests": [each.sha256 for each in rows],
            "counts": [count[each.key] for each in rows] if count else [1],
        }

    def settle(self, known: Sequence[Sequence[Any]]) -> None:
        """Take the answer of `record_events`: the keys known before, with the hash of the body that counts."""
        if not known and len(self._first) == len(self.arrivals):
            self.outcomes = ["accepted"] * len(self.arrivals)
            return
        before = {(row[0], row[1]): bytes(row[2]) for row in known}
        for each in self.arrivals:
            first = self._first[each.key]
            if each.sha256 != before.get(each.key, first.sha256):
                self.conflicts.append(each)
                self.outcomes.append("conflict")
            else:
                self.outcomes.append("accepted" if each is first and each.key not in before else "duplicate")

    def conflict_params(self) -> dict[str, Any]:
        """Parameters of `keep_conflicts`."""
        rows = self.conflicts
        return {
            "environment_ids": [each.key[0] for each in rows],
            "event_ids": [each.key[1] for each in rows],
            "received_ats": [each.received_at for each in rows],
            "raws": [each.raw for each in rows],
            "digests": [each.sha256 for each in rows],
        }
