"""Effects and `processed` commit together; a bad event waits or parks alone, in any order and number of deliveries."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, transaction

from audit.models import AuditEntry
from conftest import World
from lamba_campaigns.lib.errors import Invalid, NotFound
from projects.scoping import Actor, Scope
from webhooks import endpoints, leases, outbox, process, redrive, registry
from webhooks.dead_letters import Selection
from webhooks.models import InboundEvent, InboundLease
from webhooks.registry import Event, NotYet
from webhooks.tests.conftest import Sender

pytestmark = pytest.mark.django_db
Handler = Callable[..., list[Event]]


def states(scope: Scope) -> dict[str, str]:
    return dict(InboundEvent.objects.within(scope).order_by("id").values_list("event_id", "state"))


def one(scope: Scope, event_id: str = "evt_1") -> InboundEvent:
    found: InboundEvent = InboundEvent.objects.within(scope).get(event_id=event_id)
    return found


def soon() -> datetime:
    """A moment after every arrival of the test: arrivals carry the real clock."""
    return datetime.now(UTC) + timedelta(seconds=1)


def hold(scope: Scope, moment: datetime) -> int:
    """How many events a worker took, that does nothing more."""
    return len(leases.take(environment_id=scope.environment_id, limit=500, bytes_max=1_000_000, now=moment))


def entries(scope: Scope, action: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(environment_id=scope.environment_id, action=action).order_by("sequence"))


def test_an_event_reaches_its_handler_parsed_and_is_processed(lamba: Sender, scope: Scope, handler: Handler) -> None:
    seen = handler("user.created")
    lamba.post(lamba.envelope(id="evt_1", data={"userId": "usr_1", "unknown": [1]}, more="is allowed"))

    assert process.run(now=soon()) == 1

    [event] = seen
    assert (event.id, event.type, event.source) == ("evt_1", "user.created", "lamba")
    assert event.occurred_at == datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert event.data == {"userId": "usr_1", "unknown": [1]}
    row = one(scope)
    assert (row.state, row.type, row.attempts, row.occurred_at) == ("processed", "user.created", 1, event.occurred_at)
    assert process.run(now=soon()) == 0


def test_a_batch_keeps_the_order_of_arrival(lamba: Sender, handler: Handler) -> None:
    seen = handler("user.created", "user.updated")
    ids = [f"evt_{number}" for number in (5, 3, 9, 1)]
    for number, event_id in enumerate(ids):
        lamba.post(lamba.envelope(("user.created", "user.updated")[number % 2], id=event_id))

    process.run(now=soon())

    assert [event.id for event in seen] == ids


def test_a_type_that_nobody_handles_is_kept_and_ignored(lamba: Sender, scope: Scope) -> None:
    lamba.post(lamba.envelope("application.rotated_keys", id="evt_1"))

    process.run(now=soon())

    row = one(scope)
    assert (row.state, row.type, row.error) == ("ignored", "application.rotated_keys", "")


@pytest.mark.parametrize(
    "change",
    [
        {"workspaceId": "wrk_other"},
        {"projectId": "prj_other"},
        {"environment": "test"},
        {"environment": "staging"},
    ],
)
def test_an_event_of_another_scope_is_quarantined_and_audited(
    lamba: Sender, scope: Scope, handler: Handler, change: dict[str, str]
) -> None:
    seen = handler("user.created")
    lamba.post(lamba.envelope(id="evt_1", **change))

    process.run(now=soon())

    row = one(scope)
    assert (row.state, seen) == ("quarantined", [])
    assert next(iter(change)) in row.error
    [entry] = entries(scope, "webhook.quarantined")
    assert entry.subject_id == "evt_1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[1, 2]",
        b'"text"',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"id":"evt_1","id":"evt_2"}',
        b'{"id":"evt_1","type":"user.created"}',
        b'{"id":"evt_1","n":NaN}',
        b'{"id":"evt_1","n":1e999}',
        b'{"id":"evt_1","text":"\\u0000"}',
        b'{"id":"evt_1","text":"\\ud800"}',
    ],
)
def test_a_signed_body_that_is_no_envelope_is_kept_and_quarantined(
    lamba: Sender, scope: Scope, handler: Handler, body: bytes
) -> None:
    seen = handler("user.created")

    assert lamba.post(body).status_code == 202
    process.run(now=soon())

    [row] = InboundEvent.objects.within(scope)
    assert (row.state, bytes(row.raw), seen) == ("quarantined", body, [])
    assert row.error


def test_data_that_breaks_its_schema_parks_at_once_with_the_place(
    lamba: Sender, scope: Scope, handler: Handler
) -> None:
    handler("membership.created")
    lamba.post(lamba.envelope("membership.created", {"userId": "usr_1", "state": "sleeping"}, id="evt_1"))

    process.run(now=soon())

    row = one(scope)
    assert row.state == "parked"
    assert "#/data/state" in row.error


def test_a_poisonous_event_parks_alone_with_its_traceback(
    lamba: Sender, scope: Scope, world: World, handler: Handler
) -> None:
    def write(scope: Scope, events: Any) -> None:
        for event in events:
            User.objects.create_user(event.data["userId"])
            if event.id == "evt_7":
                raise ZeroDivisionError("seven")

    handler("user.created", do=write)
    for number in range(20):
        lamba.post(lamba.envelope(id=f"evt_{number}", data={"userId": f"usr_{number}"}))

    for minutes in (0, 1, 2, 3):
        process.run(now=soon() + timedelta(minutes=minutes))

    assert {state for event_id, state in states(scope).items() if event_id != "evt_7"} == {"processed"}
    row = one(scope, "evt_7")
    assert (row.state, row.attempts) == ("parked", 3)
    assert "ZeroDivisionError: seven" in row.error
    assert "in write" in row.error
    assert User.objects.filter(username__startswith="usr_").count() == 19


def test_a_failed_handler_leaves_no_effect_and_is_tried_again(lamba: Sender, scope: Scope, handler: Handler) -> None:
    failures = iter([True, False])

    def write(scope: Scope, events: Any) -> None:
        User.objects.create_user("effect")
        if next(failures):
            raise RuntimeError("once")

    handler("user.created", do=write)
    lamba.post(lamba.envelope(id="evt_1"))

    process.run(now=soon())
    assert (one(scope).state, User.objects.filter(username="effect").count()) == ("retry", 0)
    assert process.run(now=soon()) == 0, "it waits before the next try"
    process.run(now=soon() + timedelta(minutes=1))

    assert (one(scope).state, User.objects.filter(username="effect").count()) == ("processed", 1)


def test_an_event_ahead_of_its_row_waits_and_is_bounded(lamba: Sender, scope: Scope, handler: Handler) -> None:
    def wait(scope: Scope, events: Any) -> None:
        raise NotYet("message <1@x> is not here")

    handler("user.created", do=wait)
    lamba.post(lamba.envelope(id="evt_1"))

    moment = soon()
    process.run(now=moment)
    assert (one(scope).state, one(scope).error) == ("retry", "Waiting: message <1@x> is not here")
    while one(scope).state == "retry":
        moment += timedelta(seconds=75)
        process.run(now=moment)

    assert (one(scope).state, one(scope).attempts) == ("parked", 20)
    assert 900 <= sum(process.NOT_YET_SECONDS) <= 1000


def test_a_database_that_refuses_is_tried_longer_than_a_bug(lamba: Sender, scope: Scope, handler: Handler) -> None:
    def refuse(scope: Scope, events: Any) -> None:
        raise OperationalError("deadlock detected")

    handler("user.created", do=refuse)
    lamba.post(lamba.envelope(id="evt_1"))

    for round_ in range(6):
        process.run(now=soon() + timedelta(hours=round_))

    assert (one(scope).state, one(scope).attempts) == ("retry", 6)


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


def test_a_conflict_is_audited_once(lamba: Sender, scope: Scope) -> None:
    lamba.post(lamba.envelope(id="evt_1"))
    for user in ("usr_2", "usr_2", "usr_3"):
        lamba.post(lamba.envelope(id="evt_1", data={"userId": user}))

    process.run(now=soon())
    process.run(now=soon())

    assert [entry.subject_id for entry in entries(scope, "webhook.conflict")] == ["evt_1", "evt_1"]


def test_internal_news_travel_the_same_queue(scope: Scope, now: datetime, handler: Handler) -> None:
    seen = handler("delivery.job_finished")
    with transaction.atomic():
        event_id = outbox.publish(
            scope=scope,
            type="delivery.job_finished",
            data={"job": "job_1", "subject": "cmp_1", "ledgerJob": 7},
            now=now,
        )
    process.run(now=now)

    [event] = seen
    assert (event.id, event.source, event.data["ledgerJob"], event.occurred_at) == (event_id, "internal", 7, now)
    assert states(scope) == {event_id: "processed"}


def test_one_environments_flood_does_not_hold_up_another(
    lamba: Sender, world: World, actor: Actor, now: datetime, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "BATCH_EVENTS_MAX", 3)
    handler("user.created")
    endpoint, secret = endpoints.create_inbound(scope=world.sandbox, actor=actor, name="Test", kind="lamba", now=now)
    other = Sender(world.sandbox, endpoint, secret)
    for number in range(10):
        lamba.post(lamba.envelope(id=f"evt_{number}"))
    other.post(other.envelope(id="evt_late"))

    assert process.run(now=soon()) == 4

    assert states(world.sandbox) == {"evt_late": "processed"}


def test_every_order_and_duplication_of_events_gives_the_same_state(
    lamba: Sender, scope: Scope, handler: Handler
) -> None:
    """A newest-wins handler over a plain row, fed through the whole path, whatever order Lamba delivers in."""
    names: dict[str, tuple[str, str]] = {}

    def newest_wins(scope: Scope, events: Any) -> None:
        for event in events:
            moment = event.occurred_at.isoformat()
            names["usr_1"] = max(names.get("usr_1", ("", "")), (moment, event.data["name"]))

    handler("user.updated", do=newest_wins)
    for turn, order in enumerate(itertools.permutations(range(3))):
        names.clear()
        for number in (*order, order[0]):
            body = lamba.envelope(
                "user.updated",
                {"userId": "usr_1", "name": f"name {number}"},
                id=f"evt_{turn}_{number}",
                occurredAt=f"2026-11-23T09:00:0{number}Z",
            )
            lamba.post(body)
            process.run(now=soon())
        assert names["usr_1"][1] == "name 2"
    assert set(states(scope).values()) == {"processed"}


def test_a_redrive_needs_a_reason_is_audited_and_runs_again(
    lamba: Sender, scope: Scope, actor: Actor, now: datetime, handler: Handler
) -> None:
    broken = [True]

    def write(scope: Scope, events: Any) -> None:
        if broken:
            raise RuntimeError("bug")

    handler("user.created", do=write)
    lamba.post(lamba.envelope(id="evt_1"))
    for minutes in (0, 1, 2):
        process.run(now=soon() + timedelta(minutes=minutes))
    assert one(scope).state == "parked"

    with pytest.raises(Invalid):
        redrive.redrive(scope=scope, actor=actor, event_ids=["evt_1"], reason="  ", now=now)
    assert redrive.select(scope=scope, selection=Selection()) == ["evt_1"]
    assert [each.outcome for each in entries(scope, "webhook.redriven")] == ["refused"]
    broken.clear()
    assert redrive.redrive(scope=scope, actor=actor, event_ids=["evt_1"], reason="Fixed in 1.2", now=now) == ["evt_1"]
    process.run(now=soon())

    assert (one(scope).state, one(scope).attempts) == ("processed", 1)
    [_, entry] = entries(scope, "webhook.redriven")
    assert (entry.reason, (entry.before or {})["state"]) == ("Fixed in 1.2", "parked")


def test_a_redrive_reaches_only_its_own_environment_and_unsettled_events(
    lamba: Sender, world: World, actor: Actor, now: datetime, handler: Handler
) -> None:
    handler("user.created")
    lamba.post(lamba.envelope(id="evt_1"))
    process.run(now=soon())

    with pytest.raises(NotFound):
        redrive.redrive(scope=world.sandbox, actor=actor, event_ids=["evt_1"], reason="x", now=now)
    with pytest.raises(redrive.NothingToRedrive):
        redrive.redrive(scope=world.production, actor=actor, event_ids=["evt_1"], reason="x", now=now)


def test_provider_receipts_come_through_an_endpoint_of_their_own(
    scope: Scope, actor: Actor, now: datetime, handler: Handler
) -> None:
    seen = handler("message.delivered")
    endpoint, secret = endpoints.create_inbound(scope=scope, actor=actor, name="SES", kind="provider", now=now)
    provider = Sender(scope, endpoint, secret)
    provider.post(provider.envelope("message.delivered", {"messageId": "<a@b>", "recipient": "a@b.example"}))

    process.run(now=soon())

    assert [event.source for event in seen] == ["provider"]


def test_a_handler_registers_once_and_gets_its_types_in_one_call() -> None:
    calls: list[list[str]] = []

    def take(scope: Scope, events: Any, now: datetime) -> None:
        calls.append([event.id for event in events])

    for _ in range(2):
        registry.handles("test.a", "test.b")(take)
    try:
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        events = [Event(str(n), kind, moment, moment, {}, "lamba") for n, kind in enumerate(["test.a", "x", "test.b"])]
        for function, batch in registry.calls(events):
            function(None, batch, moment)  # type: ignore[arg-type]
    finally:
        del registry._handlers["test.a"], registry._handlers["test.b"]

    assert calls == [["0", "2"]]
