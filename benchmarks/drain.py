"""Stored events until their effects and the word `processed` are committed, by one worker. Floor: reading and parsing.

The events are Lamba's, stored as the receiver stores them; their handlers are the product's own, so an event becomes
people, facts and history. The floor reads the same rows in batches and parses each body as JSON, nothing more.
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from audiences.models import Person
from benchmarks._scope import new_scope
from benchmarks.result import Result
from benchmarks.stage import step
from projects.scoping import SYSTEM, Scope
from webhooks import directory, endpoints, envelope, ingest, process
from webhooks.models import InboundEvent

SIZE = ("events", 200_000)
SEED = 20261123
EVENTS_PER_PERSON = 8  # the first one creates the person
STORED_AT_ONCE = 1_000
FLOOR_AT_ONCE = process.BATCH_EVENTS_MAX
BEGAN, RECEIVED = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
_LATER: tuple[tuple[str, dict[str, Any]], ...] = (
    ("membership.created", {"state": "active", "roles": ["member"]}),
    ("session.created", {"sessionId": "ses_1"}),
    ("session.created", {"sessionId": "ses_2"}),
    ("session.created", {"sessionId": "ses_3"}),
    ("consent.changed", {"channel": "email", "granted": True}),
    ("lifecycle.changed", {"stage": "activated"}),
    ("segment.entered", {"segment": "vip"}),
)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", action="store_true", help="print where the time goes")


def measure(size: int, options: argparse.Namespace) -> Result:
    scope = new_scope(f"drain-{size}")
    people = max(1, size // EVENTS_PER_PERSON)
    with step(f"{size:,} stored events"):
        _store(scope, size, people)
    with step("floor: reading and parsing them"):
        floor, parsed = _floor(scope)
    with step("drained by one worker"):
        seconds, claimed = _profiled() if options.profile else _drained()
    with step("checks"):
        states = Counter(InboundEvent.objects.within(scope).values_list("state", flat=True))
        again, _ = _drained()
    return Result(
        unit="events/s",
        size=size,
        ours=size / seconds,
        floor=size / floor,
        checks={
            "the floor read every event": parsed == size,
            "every event was claimed once": claimed == size,
            "every event is processed": states == {"processed": size},
            "every person is there once": Person.objects.within(scope).count() == people,
            "nothing is left": again < 1.0,
        },
        extra={"us/event": round(1e6 * seconds / size, 1), "people": people},
    )


def _store(scope: Scope, size: int, people: int) -> None:
    endpoint, _ = endpoints.create_inbound(scope=scope, actor=SYSTEM, name="Lamba", kind="lamba", now=BEGAN)
    known = directory.find(endpoint.public_id)
    assert known is not None
    bodies = _bodies(scope, size, people)
    for start in range(0, size, STORED_AT_ONCE):
        count = min(STORED_AT_ONCE, size - start)
        ingest.record(
            [ingest.arrival(endpoint=known, raw=next(bodies), headers={}, now=RECEIVED) for _ in range(count)]
        )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE webhooks_inboundevent")


def _bodies(scope: Scope, size: int, people: int) -> Iterator[bytes]:
    chance = random.Random(SEED)
    for number in range(size):
        if number < people:
            kind, person = "user.created", number
            data: dict[str, Any] = {"email": f"u{number}@example.com", "name": f"Person {number}", "locale": "en-GB"}
        else:
            (kind, data), person = chance.choice(_LATER), chance.randrange(people)
        yield envelope.write(
            scope=scope,
            event_id=f"evt_{number:012d}",
            event_type=kind,
            occurred_at=BEGAN + timedelta(seconds=number),
            data={"userId": f"usr_{person}", **data},
        )


def _floor(scope: Scope) -> tuple[float, int]:
    """Seconds to read and parse the rows that will be drained, and how many they are."""
    began, last, parsed = time.perf_counter(), 0, 0
    statement = "SELECT id, raw FROM webhooks_inboundevent WHERE environment_id = %s AND id > %s ORDER BY id LIMIT %s"
    while True:
        with connection.cursor() as cursor:
            cursor.execute(statement, [scope.environment_id, last, FLOOR_AT_ONCE])
            rows = cursor.fetchall()
        if not rows:
            return time.perf_counter() - began, parsed
        parsed += sum(isinstance(json.loads(bytes(raw)), dict) for _, raw in rows)
        last = rows[-1][0]


def _drained() -> tuple[float, int]:
    """Seconds until nothing is due, and how many events were claimed."""
    began, claimed, now = time.perf_counter(), 0, datetime.now(UTC)
    while count := process.run(now=now):
        claimed += count
    return time.perf_counter() - began, claimed


def _profiled() -> tuple[float, int]:
    import cProfile
    import pstats

    with cProfile.Profile() as profile:
        found = _drained()
    pstats.Stats(profile).sort_stats("tottime").print_stats(40)
    return found
