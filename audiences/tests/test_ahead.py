"""What claims to come from the future counts from its arrival: it wins over nothing that is told later."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiences import facts, rebuild
from audiences.models import Fact, FactHistory, Person, PersonFacts
from lamba_campaigns.lib.clocks import AHEAD_MAX
from projects.scoping import Actor, Scope
from webhooks import directory, endpoints, envelope, ingest, process
from webhooks.models import InboundEvent
from webhooks.registry import Event

FAR = timedelta(days=73 * 365)


@dataclass(frozen=True)
class Told:
    """One event: what it says, when it claims to have happened, and when it came; both from the test's `now`."""

    id: str
    type: str
    data: dict[str, Any]
    claimed: timedelta
    received: timedelta


Deliver = Callable[[Sequence[Told]], None]


@pytest.fixture
def deliver(scope: Scope, actor: Actor, now: datetime) -> Deliver:
    """deliver(events): they are received, each at its own time, and then processed in this order."""
    endpoint, _ = endpoints.create_inbound(scope=scope, actor=actor, name="Lamba", kind="lamba", now=now)
    known = directory.find(endpoint.public_id)
    assert known is not None

    def send(told: Sequence[Told]) -> None:
        for each in told:
            at = now + each.claimed
            raw = envelope.write(scope=scope, event_id=each.id, event_type=each.type, occurred_at=at, data=each.data)
            ingest.record([ingest.arrival(endpoint=known, raw=raw, headers={}, now=now + each.received)])
            process.run(now=now + timedelta(days=1))

    return send


def _consent(number: int, granted: bool, claimed: timedelta, received: timedelta) -> Told:
    data = {"userId": "u1", "channel": "email", "granted": granted}
    return Told(f"evt_{number}", "consent.changed", data, claimed, received)


def _standing(scope: Scope) -> list[tuple[Any, ...]]:
    rows = Fact.objects.within(scope).order_by("field")
    masks = PersonFacts.objects.within(scope).values_list("membership", "consent_mask", "last_session_at")
    return [*rows.values_list("field", "value", "occurred_at", "source"), *masks]


def _clear() -> None:
    with connection.cursor() as cursor:
        for model in (Fact, FactHistory, PersonFacts, Person, InboundEvent):
            cursor.execute(f"DELETE FROM {model._meta.db_table}")  # noqa: S608


@pytest.mark.django_db
def test_a_consent_of_the_far_future_is_overtaken_by_what_comes_next(
    scope: Scope, now: datetime, deliver: Deliver
) -> None:
    minute = timedelta(minutes=1)
    deliver([_consent(1, True, FAR, minute), _consent(2, False, 2 * minute, 2 * minute)])

    [fact] = Fact.objects.within(scope)
    assert (fact.value, fact.source, fact.occurred_at) == (False, "evt_2", now + 2 * minute)
    told = FactHistory.objects.within(scope).get(source="evt_1")
    assert told.occurred_at == now + minute, "it counts from its arrival"
    kept = InboundEvent.objects.within(scope).get(event_id="evt_1")
    assert (kept.occurred_at, kept.is_ahead, kept.state) == (now + FAR, True, "processed"), "and its claim is kept"


@pytest.mark.django_db
def test_a_deletion_of_the_far_future_locks_nobody_out(scope: Scope, deliver: Deliver) -> None:
    minute, back = timedelta(minutes=1), {"userId": "u1", "email": "back@example.com"}
    deliver(
        [
            Told("evt_1", "user.deleted", {"userId": "u1"}, FAR, minute),
            Told("evt_2", "user.created", back, 2 * minute, 2 * minute),
        ]
    )
    person = Person.objects.within(scope).get()
    assert (person.email, person.erased_at) == ("back@example.com", None)


@pytest.mark.django_db
def test_another_delivery_of_it_moves_nothing(scope: Scope, now: datetime, deliver: Deliver) -> None:
    hour = timedelta(hours=1)
    deliver([_consent(1, True, FAR, hour), _consent(2, False, 2 * hour, 2 * hour), _consent(1, True, FAR, 3 * hour)])
    assert Fact.objects.within(scope).get().source == "evt_2"
    assert InboundEvent.objects.within(scope).get(event_id="evt_1").received_at == now + hour


def test_a_clock_that_is_a_little_ahead_is_believed(now: datetime) -> None:
    for claimed, counted in ((AHEAD_MAX, AHEAD_MAX), (AHEAD_MAX + timedelta(microseconds=1), timedelta())):
        event = Event("evt_1", "user.created", now + claimed, now, {}, "lamba")
        assert event.occurred_at == now + counted


_MINUTES = st.integers(0, 30).map(lambda minutes: timedelta(minutes=minutes))
_CLAIMS = st.one_of(_MINUTES, st.sampled_from([FAR, FAR - timedelta(days=1)]))
_WORDS: st.SearchStrategy[tuple[str, dict[str, Any]]] = st.one_of(
    st.booleans().map(lambda granted: ("consent.changed", {"channel": "email", "granted": granted})),
    st.sampled_from(["active", "suspended"]).map(lambda state: ("membership.updated", {"state": state})),
    st.sampled_from(["s1", "s2"]).map(lambda session: ("session.created", {"sessionId": session})),
    st.just(("user.deleted", {})),
)


@st.composite
def _histories(draw: st.DrawFn) -> list[Told]:
    parts = draw(st.lists(st.tuples(_WORDS, _CLAIMS, _MINUTES), min_size=2, max_size=5))
    return [
        Told(f"evt_{number}", kind, {"userId": "u1", **data}, claimed, received)
        for number, ((kind, data), claimed, received) in enumerate(parts)
    ]


@pytest.mark.django_db
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=_histories(), data=st.data())
def test_any_order_gives_the_same_rows_a_rebuild_too_and_the_next_word_wins(
    scope: Scope, now: datetime, deliver: Deliver, told: list[Told], data: st.DataObject
) -> None:
    _clear()
    deliver(told)
    expected = _standing(scope)
    assert all(row[2] <= now + timedelta(minutes=30) + AHEAD_MAX for row in expected[:-1])
    assert rebuild.check(scope=scope).difference_count == 0
    _clear()
    deliver(data.draw(st.permutations(told)))
    assert _standing(scope) == expected

    late = timedelta(hours=1)
    deliver([_consent(99, False, late, late)])
    assert Fact.objects.within(scope).get(field="consent.email").source == "evt_99"


@pytest.mark.django_db
def test_a_rebuild_puts_right_what_was_told_of_the_future_before_it_was_bounded(
    scope: Scope, now: datetime, deliver: Deliver
) -> None:
    minute = timedelta(minutes=1)
    deliver([_consent(1, True, FAR, minute), _consent(2, False, 2 * minute, 2 * minute)])
    expected = _standing(scope)
    for model in (Fact, FactHistory):
        model.objects.within(scope).delete()
    person = Person.objects.within(scope).get().pk
    with transaction.atomic():
        unbounded = [
            facts.Change(person, "consent.email", True, now + FAR, "evt_1"),
            facts.Change(person, "consent.email", False, now + 2 * minute, "evt_2"),
        ]
        facts.apply(scope=scope, changes=unbounded, now=now)
    assert Fact.objects.within(scope).get().source == "evt_1"

    rebuild.rebuild(scope=scope, now=now)

    assert _standing(scope) == expected
    assert rebuild.check(scope=scope).difference_count == 0
