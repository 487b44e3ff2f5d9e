"""Lamba's events into facts through the handler: order kept, every value with its source. Floor: one bare UPDATE each.

The floor is `UPDATE .. FROM unnest` of the same rows on a table like `audiences_personfacts`: no history, no order, no
source. `people` is how many people the events speak of; `batch` is what one worker takes at once.
"""

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.db import connection, transaction

from audiences import facts, statements
from audiences.handlers import apply_facts
from benchmarks._scope import new_scope
from benchmarks.result import Result
from benchmarks.stage import step
from projects.scoping import Scope
from webhooks.registry import Event

SIZE = ("events", 100_000)
SEED = 20261123
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_KINDS: Sequence[tuple[str, dict[str, Any]]] = (
    ("session.created", {"sessionId": "ses_{n}"}),
    ("session.created", {"sessionId": "ses_{n}"}),
    ("session.created", {"sessionId": "ses_{n}"}),
    ("membership.updated", {"state": "active"}),
    ("membership.updated", {"state": "suspended"}),
    ("consent.changed", {"channel": "email", "granted": True}),
    ("segment.entered", {"segment": "vip"}),
    ("segment.left", {"segment": "vip"}),
    ("plan.changed", {"plan": "green"}),
    ("lifecycle.changed", {"stage": "trial"}),
    ("role.assigned", {"role": "member"}),
    ("user.updated", {"email": "u{n}@example.com", "traits": {"size": 7}}),
)
FACTS_PER_CYCLE = 13  # of the kinds above


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--people", type=int, default=0, help="people the events speak of; 0 is a fifth of the events")
    parser.add_argument("--batch", type=int, default=500, help="events that one worker takes at once")


def measure(size: int, options: argparse.Namespace) -> Result:
    scope = new_scope(f"facts-{size}")
    people = options.people or max(1, size // 5)
    with step(f"{people:,} people"):
        _make_people(scope, people)
    with step(f"{size:,} events to facts"):
        told, seconds = _ours(scope, size, people, options.batch)
    with step(f"{told:,} values by UPDATE .. FROM unnest"):
        floor = _floor(scope, told, people, options.batch)
    with step("checks"):
        checks = _checks(scope, size, people)
    return Result(
        unit="facts/s", size=size, ours=told / seconds, floor=told / floor, checks=checks,
        peers={"events/s": size / seconds},
    )  # fmt: skip


def events(size: int, people: int) -> Iterator[Event]:
    """The same events for the same size: shuffled in time, so that a third arrive late."""
    chance = random.Random(SEED)
    for number in range(size):
        kind, data = _KINDS[number % len(_KINDS)]
        filled = {key: value.format(n=number) if isinstance(value, str) else value for key, value in data.items()}
        late = timedelta(seconds=chance.randrange(7_200) if number % 3 == 0 else 0)
        when = BEGAN + timedelta(seconds=number) - late
        user = f"usr_{chance.randrange(people):08d}"
        yield Event(f"evt_{number:010d}", kind, when, when, {"userId": user} | filled, "lamba")


def _make_people(scope: Scope, people: int) -> None:
    for start in range(0, people, 10_000):
        wanted = [facts.Identity(f"usr_{n:08d}") for n in range(start, min(start + 10_000, people))]
        with transaction.atomic():
            facts.ensure_people(scope=scope, people=wanted, now=BEGAN)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE audiences_person, audiences_personfacts")


def _ours(scope: Scope, size: int, people: int, batch: int) -> tuple[int, float]:
    """Facts told, and the seconds it took. Making the events is not measured."""
    told, seconds, source = 0, 0.0, events(size, people)
    while part := list(islice(source, batch)):
        began = time.perf_counter()
        with transaction.atomic():
            apply_facts(scope, part, part[-1].received_at)
        seconds += time.perf_counter() - began
        told += sum(2 if event.type == "user.updated" else 1 for event in part)
    return told, seconds


def _floor(scope: Scope, told: int, people: int, batch: int) -> float:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_floor (LIKE audiences_personfacts INCLUDING ALL) WITH (fillfactor = 80)")
        cursor.execute("INSERT INTO bench_floor SELECT * FROM audiences_personfacts")
        cursor.execute("VACUUM ANALYZE bench_floor")
        cursor.execute("SELECT min(person_id) FROM bench_floor")
        (first,) = cursor.fetchone()
    chance, seconds = random.Random(SEED), 0.0
    for start in range(0, told, batch):
        count = min(batch, told - start)
        params = {
            "people": [first + chance.randrange(people) for _ in range(count)],
            "times": [BEGAN + timedelta(seconds=start + n) for n in range(count)],
        }
        began = time.perf_counter()
        with transaction.atomic(), statements.cursor() as cursor:
            cursor.execute(
                "UPDATE bench_floor AS f SET last_session_at = g.at, session_count = f.session_count + 1"
                " FROM unnest(%(people)b::bigint[], %(times)b::timestamptz[]) AS g (person_id, at)"
                " WHERE f.person_id = g.person_id",
                params,
            )
        seconds += time.perf_counter() - began
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_floor")
    return seconds


def _checks(scope: Scope, size: int, people: int) -> dict[str, bool]:
    """Every value is remembered with its source, and the newest by (time, source) is what stands."""
    newest: dict[tuple[str, str], tuple[datetime, str]] = {}
    told = sessions = 0
    for event in events(size, people):
        for field in _fields(event):
            told += 1
            sessions += field == "session"
            key = (event.data["userId"], field)
            newest[key] = max(newest.get(key, (event.occurred_at, "")), (event.occurred_at, event.id))
    env = scope.environment_id
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audiences_facthistory WHERE environment_id = %s", [env])
        (remembered,) = cursor.fetchone()
        cursor.execute(
            "SELECT p.external_id, f.field, f.occurred_at, f.source FROM audiences_fact f"
            " JOIN audiences_person p ON p.id = f.person_id WHERE f.environment_id = %s",
            [env],
        )
        standing = {(user, field): (at, source) for user, field, at, source in cursor}
        cursor.execute("SELECT sum(session_count) FROM audiences_personfacts WHERE environment_id = %s", [env])
        (counted,) = cursor.fetchone()
    return {
        "every value is in the history with its source": remembered == told,
        "the newest value of every field stands, with its source": standing == newest,
        "sessions are counted once each": counted == sessions,
    }


def _fields(event: Event) -> tuple[str, ...]:
    name = event.data.get("segment") or event.data.get("channel") or event.data.get("role") or ""
    known = {
        "session.created": ("session",),
        "membership.updated": ("membership",),
        "consent.changed": (f"consent.{name}",),
        "segment.entered": (f"segment.{name}",),
        "segment.left": (f"segment.{name}",),
        "plan.changed": ("plan",),
        "lifecycle.changed": ("lifecycle",),
        "role.assigned": (f"role.{name}",),
        "user.updated": ("email", "trait.size"),
    }
    return known[event.type]
