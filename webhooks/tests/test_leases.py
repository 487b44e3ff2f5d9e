"""Who holds a batch holds it alone, for its time; a worker that died or was overtaken commits nothing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from projects.scoping import Scope
from webhooks import leases, process
from webhooks.models import InboundEvent, InboundLease
from webhooks.registry import Event
from webhooks.tests.conftest import Sender
from webhooks.tests.inbox_rows import hold, one, soon, states

pytestmark = pytest.mark.django_db
Handler = Callable[..., list[Event]]


def test_an_abandoned_event_is_taken_over_after_its_lease_and_a_killer_is_parked(
    lamba: Sender, scope: Scope, handler: Handler
) -> None:
    seen = handler("user.created")
    lamba.post(lamba.envelope(id="evt_1"))
    lamba.post(lamba.envelope(id="evt_2"))
    moment = soon()
    hold(scope, moment)  # and the worker dies

    assert process.run(now=moment + timedelta(minutes=4)) == 0
    assert process.run(now=moment + timedelta(minutes=6)) == 1
    assert [event.id for event in seen] == ["evt_1"]
    for minutes in (12, 18):
        leases.take_abandoned(environment_id=scope.environment_id, now=moment + timedelta(minutes=minutes))
    process.run(now=moment + timedelta(minutes=24))

    assert states(scope) == {"evt_1": "processed", "evt_2": "parked"}
    assert "died" in one(scope, "evt_2").error


def test_a_worker_that_lost_its_lease_commits_nothing(lamba: Sender, scope: Scope, handler: Handler) -> None:
    moment = soon()

    def overtaken(scope: Scope, events: Any) -> None:
        User.objects.create_user("effect")
        leases.expire(now=moment + timedelta(minutes=6))

    handler("user.created", do=overtaken)
    lamba.post(lamba.envelope(id="evt_1"))

    process.run(now=moment)

    assert User.objects.filter(username="effect").count() == 0
    assert (one(scope).state, one(scope).attempts) == ("received", 0)
    assert [row.event_ids for row in InboundLease.objects.within(scope)] == [[one(scope).pk]]


def test_a_worker_that_was_overtaken_over_an_abandoned_event_commits_nothing(
    lamba: Sender, scope: Scope, handler: Handler
) -> None:
    moment = soon()

    def overtaken(scope: Scope, events: Any) -> None:
        User.objects.create_user("effect")
        InboundEvent.objects.within(scope).filter(event_id="evt_1").update(attempts=3)

    handler("user.created", do=overtaken)
    lamba.post(lamba.envelope(id="evt_1"))
    hold(scope, moment)

    process.run(now=moment + timedelta(minutes=6))

    assert User.objects.filter(username="effect").count() == 0
    assert (one(scope).state, one(scope).attempts) == ("processing", 2)


def test_what_one_worker_holds_no_other_gets(lamba: Sender, scope: Scope, handler: Handler) -> None:
    handler("user.created")
    for number in range(3):
        lamba.post(lamba.envelope(id=f"evt_{number}"))
    moment = soon()

    first = leases.take(environment_id=scope.environment_id, limit=2, bytes_max=1_000_000, now=moment)
    second = leases.take(environment_id=scope.environment_id, limit=2, bytes_max=1_000_000, now=moment)

    assert [row[1] for row in (*first, *second)] == ["evt_0", "evt_1", "evt_2"]
    assert hold(scope, moment) == 0
    assert set(states(scope).values()) == {"received"}, "no event was written"


def test_a_worker_that_works_as_of_the_past_is_not_taken_for_dead(lamba: Sender, scope: Scope) -> None:
    lamba.post(lamba.envelope(id="evt_1"))
    InboundEvent.objects.within(scope).update(next_attempt_at=soon() - timedelta(days=2))
    assert hold(scope, soon() - timedelta(days=1)) == 1

    assert process.run(now=soon()) == 0
    assert InboundLease.objects.within(scope).count() == 1


def test_a_batch_is_bounded_in_bytes_and_has_one_event_at_least(lamba: Sender, scope: Scope) -> None:
    for number in range(4):
        lamba.post(lamba.envelope(id=f"evt_{number}", data={"filling": "x" * 1_000}))
    moment = soon()

    def taken(most: int) -> int:
        return len(leases.take(environment_id=scope.environment_id, limit=9, bytes_max=most, now=moment))

    assert [taken(1), taken(2_000)] == [1, 2]


def test_what_is_settled_in_parts_leaves_no_lease(lamba: Sender, scope: Scope, handler: Handler) -> None:
    def break_one(scope: Scope, events: Any) -> None:
        if any(event.id == "evt_2" for event in events):
            raise RuntimeError("two")

    handler("user.created", do=break_one)
    for number in range(5):
        lamba.post(lamba.envelope(id=f"evt_{number}"))

    process.run(now=soon())

    assert states(scope) == {f"evt_{number}": "retry" if number == 2 else "processed" for number in range(5)}
    assert not InboundLease.objects.within(scope).exists()
