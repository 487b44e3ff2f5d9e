"""What is projected of people can be erased and comes out the same from inbox, history and imports."""

import hashlib
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction

from audiences import facts, handlers, imports, rebuild, segments
from audiences.models import Fact, FactHistory, Person, PersonFacts
from conftest import World
from projects.scoping import Actor, Scope
from webhooks import envelope
from webhooks.models import InboundEvent
from webhooks.registry import Event

Tell = Callable[..., None]
TABLES = (
    "audiences_person",
    "audiences_personfacts",
    "audiences_fact",
    "audiences_facthistory",
    "audiences_factrecord",
)


@pytest.fixture
def tell(scope: Scope, now: datetime) -> Tell:
    """tell("user.created", hour, userId="u1", …): the event stands processed in the inbox, its facts are told."""

    def send(type: str, hour: int = 0, within: Scope | None = None, **data: Any) -> None:
        where, at = within or scope, now + timedelta(hours=hour)
        event_id = f"evt_{type}_{hour}_{data['userId']}"
        raw = envelope.write(scope=where, event_id=event_id, event_type=type, occurred_at=at, data=data)
        InboundEvent.objects.create(
            environment_id=where.environment_id, event_id=event_id, source="lamba", type=type, occurred_at=at,
            received_at=at, last_seen_at=at, next_attempt_at=at, raw=raw, sha256=hashlib.sha256(raw).digest(),
            state="processed",
        )  # fmt: skip
        with transaction.atomic():
            handlers.apply_facts(where, [Event(event_id, type, at, at, data, "lamba")], at)

    return send


@pytest.fixture
def told(scope: Scope, actor: Actor, now: datetime, tell: Tell) -> None:
    """Three people: from events in any order, from a file, from a list, told by delivery, and one deleted."""
    tell("user.updated", 2, userId="u1", email="new@example.com", name="Ada", traits={"size": 7, "gone": None})
    tell("user.created", 1, userId="u1", email="old@example.com", country="DE", locale="de")
    tell("membership.created", 1, userId="u1", state="active", roles=["member", "billing"])
    tell("role.revoked", 3, userId="u1", role="billing")
    for hour in (5, 4, 6):
        tell("session.created", hour, userId="u1", sessionId=f"s{hour}")
    tell("lifecycle.changed", 2, userId="u1", stage="trial")
    tell("plan.changed", 2, userId="u1", plan="green")
    tell("consent.changed", 1, userId="u1", channel="email", granted=True)
    tell("segment.entered", 1, userId="u1", segment="beta")
    tell("user.created", 1, userId="u2", email="two@example.com", name="Bob")
    tell("user.deleted", 3, userId="u2")
    tell("user.updated", 2, userId="u2", name="Too late")
    header = "external_id,email,plan,roles,segments,consent"
    text = f"{header}\nu1,file@example.com,free,member,vip,yes\nu3,c@example.com,,,,no\n"
    run = imports.upload(
        scope=scope, actor=actor, filename="p.csv", chunks=[text.encode()], dry_run=False, skip_invalid=False,
        now=now + timedelta(hours=2, minutes=30),
    )  # fmt: skip
    imports.run(run_id=run.pk, now=now)
    early = segments.create(scope=scope, actor=actor, name="Early birds", now=now)
    segments.change_members(scope=scope, actor=actor, public_id=early.public_id, add=["u3", "u1"], now=now)
    segments.change_members(
        scope=scope, actor=actor, public_id=early.public_id, remove=["u1"], now=now + timedelta(hours=1)
    )
    people = dict(Person.objects.within(scope).values_list("external_id", "pk"))
    with transaction.atomic():
        facts.record_suppressed(
            scope=scope, person_ids=[people["u3"]], channel="email", reason="bounce", occurred_at=now, source="r1",
            now=now,
        )  # fmt: skip
        facts.record_contacted(scope=scope, person_ids=[people["u1"]], occurred_at=now)


def _rows() -> dict[str, Any]:
    found = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT to_jsonb(t) FROM {table} AS t ORDER BY to_jsonb(t)::text")  # noqa: S608
            found[table] = cursor.fetchall()
    return found


def _run(scope: Scope, *flags: str) -> str:
    out = io.StringIO()
    call_command("facts_rebuild", "--environment", scope.path, *flags, stdout=out)
    return out.getvalue()


@pytest.mark.usefixtures("told")
def test_a_check_of_untouched_rows_finds_them_identical_and_writes_nothing(scope: Scope) -> None:
    before = _rows()
    assert _run(scope, "--check") == f"{scope.path}: 14 events, 3 people\nIdentical.\n"
    assert _rows() == before


@pytest.mark.usefixtures("told")
def test_an_erased_projection_comes_out_the_same(scope: Scope) -> None:
    before = _rows()
    Fact.objects.within(scope).delete()
    Person.objects.within(scope).update(email="x@example.com", name="", traits={"a": 1}, country="", erased_at=None)
    PersonFacts.objects.within(scope).update(
        membership=4, roles_mask=7, segments_mask=0, session_count=9, consent_mask=0, plan=0, lifecycle=0,
        lifecycle_at=None, last_session_at=None, suppressed_mask=0, address_state=2,
    )  # fmt: skip
    rebuild.rebuild(scope=scope, now=datetime.now().astimezone())
    assert _rows() == before


@pytest.mark.usefixtures("told")
def test_lost_history_is_told_again_from_the_inbox(scope: Scope) -> None:
    FactHistory.objects.within(scope).filter(source__startswith="evt_session").delete()
    FactHistory.objects.within(scope).filter(field="lifecycle").delete()
    with pytest.raises(CommandError):
        _run(scope, "--check")
    assert "values put right" in _run(scope)
    assert _run(scope, "--check").endswith("Identical.\n")
    row = PersonFacts.objects.within(scope).get(person__external_id="u1")
    assert (row.session_count, row.lifecycle) == (3, 1)


@pytest.mark.usefixtures("told")
def test_a_check_names_the_first_differences_and_exits_1(scope: Scope, capsys: pytest.CaptureFixture[str]) -> None:
    person = Person.objects.within(scope).get(external_id="u1")
    Person.objects.within(scope).filter(pk=person.pk).update(name="Mallory")
    PersonFacts.objects.within(scope).filter(pk=person.pk).update(membership=3)
    Fact.objects.within(scope).filter(person=person, field="segment.vip").delete()
    before = _rows()
    with pytest.raises(CommandError) as refused:
        call_command("facts_rebuild", "--environment", scope.path, "--check")
    assert refused.value.returncode == 1
    said = capsys.readouterr().out
    assert f"{person.public_id} name: stored Mallory, rebuilt Ada" in said
    assert f"{person.public_id} membership: stored 3, rebuilt 2" in said
    assert f"{person.public_id} fact segment.vip: stored nothing, rebuilt true of import:" in said
    assert _rows() == before


@pytest.mark.usefixtures("told")
def test_history_that_no_event_told_is_named(scope: Scope, now: datetime) -> None:
    person = Person.objects.within(scope).get(external_id="u1")
    FactHistory.objects.create(
        environment_id=scope.environment_id, person_id=person.pk, field="plan", source="evt_session.created_5_u1",
        value="gold", occurred_at=now,
    )  # fmt: skip
    found = rebuild.check(scope=scope)
    assert next((each.person, each.what) for each in found.differences) == (
        person.public_id,
        "history plan of evt_session.created_5_u1",
    )
    rebuild.rebuild(scope=scope, now=now)
    assert rebuild.check(scope=scope).difference_count == 0


@pytest.mark.usefixtures("told")
def test_another_environment_is_left_alone(world: World, scope: Scope, tell: Tell) -> None:
    tell("user.created", 1, within=world.sandbox, userId="u1", name="Sandbox Ada")
    Person.objects.within(world.sandbox).update(name="Wrong")
    assert rebuild.check(scope=scope).difference_count == 0
    assert rebuild.check(scope=world.sandbox).difference_count == 1


def test_an_unknown_environment_is_refused(db: None) -> None:
    with pytest.raises(CommandError, match="no environment") as refused:
        call_command("facts_rebuild", "--environment", "acme/nowhere/production")
    assert refused.value.returncode == 2


@pytest.mark.usefixtures("told")
def test_people_and_events_are_read_in_steps(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "PEOPLE_PER_STEP", 2)
    monkeypatch.setattr(rebuild, "EVENTS_PER_STEP", 3)
    found = rebuild.check(scope=scope)
    assert (found.events, found.people, found.difference_count) == (14, 3, 0)
