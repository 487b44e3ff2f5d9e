"""The projection of facts, rebuilt from what is kept: inbox, history and import records. It must come out the same.

The history is evidence and stays (a snapshot's watermark points into it); it is compared with the inbox, event by
event. Everything else about a person is erased and projected again, a few thousand people at a time, so memory stays
flat. A check runs the same statements on temporary twins and writes nothing.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audiences import facts, handlers, statements
from lamba_campaigns.lib import sql
from projects.scoping import Scope
from webhooks import envelope, projections
from webhooks.models import InboundEvent
from webhooks.projections import Outcome, Projection
from webhooks.registry import Event

PEOPLE_PER_STEP = 2_000
EVENTS_PER_STEP = 500
DIFFERENCES_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what the evidence says. None is "nothing"."""

    person: str  # per_…, or Lamba's user id of somebody who is missing
    what: str
    stored: str | None
    rebuilt: str | None

    def __str__(self) -> str:
        return f"{self.person} {self.what}: stored {self.stored or 'nothing'}, rebuilt {self.rebuilt or 'nothing'}"


@dataclass(slots=True)
class Rebuilt:
    """How much was read, and the first differences."""

    events: int = 0
    people: int = 0
    difference_count: int = 0
    differences: tuple[Difference, ...] = ()

    def note(self, found: Sequence[Difference]) -> None:
        self.difference_count += len(found)
        self.differences = (*self.differences, *found)[:DIFFERENCES_SHOWN_MAX]


def register() -> None:
    """Called once, when the app is ready."""
    sentence = "people with their memberships, roles, consents, segments and traits"
    projections.register(
        "facts",
        Projection(
            sentence,
            lambda scope, now: _outcome(check(scope=scope)),
            lambda scope, now: _outcome(rebuild(scope=scope, now=now)),
        ),
    )


def _outcome(seen: Rebuilt) -> Outcome:
    return Outcome(seen.events, seen.people, seen.difference_count, tuple(map(str, seen.differences)))


def check(*, scope: Scope) -> Rebuilt:
    """Compare history with inbox, and every person's rows with their rebuilt twins. Nothing is written."""
    seen = Rebuilt()
    for events in _inbox(scope):
        seen.events += len(events)
        seen.note([_as_difference(row) for row in _disagreements(scope, events)])
    for people in _people(scope):
        seen.people += len(people)
        with sql.durable():
            seen.note(_compare(scope, people))
    return seen


def rebuild(*, scope: Scope, now: datetime) -> Rebuilt:
    """Afterwards every row says what inbox, history and records say. `differences` is what was put right."""
    seen = Rebuilt()
    for events in _inbox(scope):
        seen.events += len(events)
        with sql.durable():
            wrong = _disagreements(scope, events)
            seen.note([_as_difference(row) for row in wrong])
            if wrong:
                _tell_again(scope, events, wrong, now)
    for people in _people(scope):
        seen.people += len(people)
        with sql.durable():
            seen.note(_compare(scope, people))
            _project(scope, people)
    return seen


def _inbox(scope: Scope) -> Iterator[list[Event]]:
    """Handled events that speak of people, in the order of their arrival, a batch at a time."""
    after = 0
    rows = InboundEvent.objects.within(scope).filter(state=InboundEvent.State.PROCESSED, type__in=handlers.TYPES)
    while found := list(rows.filter(pk__gt=after).order_by("pk")[:EVENTS_PER_STEP]):
        after = found[-1].pk
        yield [_event(row) for row in found]


def _event(row: InboundEvent) -> Event:
    read = envelope.read(bytes(row.raw))
    return Event(row.event_id, read.type, read.occurred_at, row.received_at, read.data, row.source)


def _disagreements(scope: Scope, events: Sequence[Event]) -> list[sql.Row]:
    told = [(user, field, value, event) for user, event, values in handlers.tell(events) for field, value in values]
    params = {
        "environment": scope.environment_id,
        "users": [user for user, _, _, _ in told],
        "fields": [field for _, field, _, _ in told],
        "values": [json.dumps(value) for _, _, value, _ in told],
        "times": [event.occurred_at for _, _, _, event in told],
        "sources": [event.id for _, _, _, event in told],
        "outlives_deletion": facts.OUTLIVES_DELETION,
    }
    return statements.rows("told_and_remembered", params=params)


def _as_difference(row: sql.Row) -> Difference:
    public_id, user, field, source, stored, told, stored_at, told_at, _ = row
    return Difference(
        public_id or user,
        f"history {field} of {source}",
        None if stored is None else f"{stored} at {stored_at}",
        None if told is None else f"{told} at {told_at}",
    )


def _tell_again(scope: Scope, events: Sequence[Event], wrong: Sequence[sql.Row], now: datetime) -> None:
    mistold = [row for row in wrong if row[4] is not None]
    if mistold:
        params = {
            "environment": scope.environment_id,
            "people": [row[8] for row in mistold],
            "fields": [row[2] for row in mistold],
            "sources": [row[3] for row in mistold],
        }
        statements.count("forget_mistold", params=params)
    handlers.apply_facts(scope, events, now)


def _people(scope: Scope) -> Iterator[list[int]]:
    after = 0
    while True:
        params = {"environment": scope.environment_id, "after": after, "limit": PEOPLE_PER_STEP}
        ((found,),) = statements.rows("next_people", params=params)
        if not found:
            return
        after = found[-1]
        yield found


def _compare(scope: Scope, people: list[int]) -> list[Difference]:
    """The stored rows of these people beside rebuilt twins. Their locks keep new facts out meanwhile."""
    params: dict[str, Any] = {"environment": scope.environment_id, "people": people}
    statements.rows("lock_people", params=params)
    for statement in sql.statement("audiences", "shadow_people").split(";"):
        with statements.cursor() as cursor:
            cursor.execute(statement.encode())
    try:
        statements.count("fill_shadows", params=params)
        _project(scope, people)
        found = statements.rows("differences", params=params | {"limit": DIFFERENCES_SHOWN_MAX})
    finally:
        statements.count("drop_shadows", params={})
    return [Difference(*row) for row in found]


def _project(scope: Scope, people: list[int]) -> None:
    params = {"environment": scope.environment_id, "people": people}
    for name in ("clear_facts", "restore_facts", "clear_people"):
        statements.count(name, params=params)
    facts.project_stored(scope=scope, people=people)
