"""An import is checked whole and applied whole; what it tells lands where an event would have put it."""

from datetime import datetime, timedelta

import pytest
from django.db import transaction

from audiences import facts, imports, statements, vocabulary
from audiences.importing import work
from audiences.models import FactRecord, ImportRun, Person, PersonFacts, Segment
from audiences.tests.conftest import Import, MakePerson, narrow, problems_of
from audit.models import AuditEntry
from conftest import World
from lamba_campaigns.lib.errors import Conflict
from projects.scoping import Actor, Scope

FULL = """User ID;E-Mail;given name;Country;membership;roles;lifecycle;plan;consent;segment;%s
u1;ada@example.com;Ada;de;Active;member; billing;trial;green;yes;vip; beta-users;7.5;true;hello
"""
FULL = (
    (FULL % "trait.size:number;trait.vip:boolean;trait.note")
    .replace("member; billing", '"member; billing"')
    .replace("vip; beta-users", '"vip; beta-users"')
)


def test_every_column_lands_where_an_event_would_have_put_it(scope: Scope, now: datetime, load: Import) -> None:
    run = load(FULL)
    assert (run.state, run.row_count, run.created_count, run.updated_count) == ("done", 1, 1, 0)
    person = Person.objects.within(scope).get()
    assert (person.external_id, person.email, person.given_name, person.country) == (
        "u1",
        "ada@example.com",
        "Ada",
        "DE",
    )
    assert person.traits == {"size": 7.5, "vip": True, "note": "hello"}
    row, numbers = narrow(person), vocabulary.numbers(scope=scope)
    assert (row.membership, row.consent_mask, row.address_state, row.lifecycle_at) == (2, 1, 1, now)
    assert (row.lifecycle, row.plan) == (numbers["lifecycle"]["trial"], numbers["plan"]["green"])
    assert row.roles_mask == 1 << numbers["role"]["member"] | 1 << numbers["role"]["billing"]
    assert row.segments_mask == 1 << numbers["segment"]["vip"] | 1 << numbers["segment"]["beta-users"]
    assert {segment.origin for segment in Segment.objects.within(scope)} == {"list"}
    known = {each.field: (each.value, each.source) for each in facts.of_person(scope=scope, person_id=person.pk)}
    assert known["email"] == ("ada@example.com", f"import:{run.public_id}")
    assert known["segment.vip"] == (True, f"import:{run.public_id}")


def test_new_people_look_the_same_as_a_projection_of_their_records(scope: Scope, load: Import) -> None:
    load(FULL)
    person = Person.objects.within(scope).get()
    before = PersonFacts.objects.within(scope).values().get(), Person.objects.within(scope).values().get()
    params = {"environment": scope.environment_id, "people": [person.pk], "outlives_deletion": facts.OUTLIVES_DELETION}
    with transaction.atomic():
        Person.objects.within(scope).update(email="", given_name="", country="", traits={})
        PersonFacts.objects.within(scope).update(
            membership=0, consent_mask=0, address_state=0, lifecycle=0, lifecycle_at=None, plan=0, segments_mask=0,
            roles_mask=0,
        )  # fmt: skip
        statements.count("won_of_stored", "projection", params=params)
        statements.count("project_roles", params={"environment": scope.environment_id, "people": [person.pk]})
    after = PersonFacts.objects.within(scope).values().get(), Person.objects.within(scope).values().get()
    assert after == before


def test_newer_facts_of_known_people_stand(scope: Scope, now: datetime, load: Import, make_person: MakePerson) -> None:
    person = make_person("u1", at=now + timedelta(hours=1), email="event@example.com")
    make_person("u1", at=now - timedelta(hours=1), given_name="Old", plan="free")
    run = load("external_id,email,given_name,plan\nu1,file@example.com,New,green\nu2,,,\n")
    person.refresh_from_db()
    assert (person.email, person.given_name) == ("event@example.com", "New")
    assert narrow(person).plan == vocabulary.numbers(scope=scope)["plan"]["green"]
    assert (run.created_count, run.updated_count) == (1, 1)


def test_an_event_older_than_the_import_does_not_overrule_it(
    scope: Scope, now: datetime, load: Import, make_person: MakePerson
) -> None:
    load("external_id,email,consent\nu1,file@example.com,no\n")
    person = make_person("u1", at=now - timedelta(days=1), email="old@example.com", **{"consent.email": True})
    assert (person.email, narrow(person).consent_mask) == ("file@example.com", 0)


def test_a_second_run_of_the_same_file_changes_nothing(scope: Scope, load: Import) -> None:
    run = load(FULL)
    before = list(FactRecord.objects.within(scope).values()), list(PersonFacts.objects.within(scope).values())
    ImportRun.objects.within(scope).update(state="queued", attempt_count=0)
    imports.run(run_id=run.pk, now=run.created_at)
    assert (list(FactRecord.objects.within(scope).values()), list(PersonFacts.objects.within(scope).values())) == before


def test_a_finished_import_is_not_run_again(scope: Scope, now: datetime, load: Import) -> None:
    run = load("external_id\nu1\n")
    imports.run(run_id=run.pk, now=now)
    assert AuditEntry.objects.filter(action="people.imported").count() == 1


def test_a_byte_order_mark_semicolons_and_crlf_are_fine(scope: Scope, load: Import) -> None:
    run = load("\ufeffexternal_id;name\r\nu1;Jörg\r\n\r\nu2;\r\n".encode())
    assert (run.state, run.row_count) == ("done", 2)
    assert {person.name for person in Person.objects.within(scope)} == {"Jörg", ""}


def test_right_rows_alone_are_imported_when_asked(scope: Scope, load: Import) -> None:
    run = load("external_id,email\nu1,a@b.example\nu2,bad\nu1,c@d.example\n", skip_invalid=True)
    assert (run.state, run.problem_count, run.created_count) == ("done", 2, 1)
    assert [person.email for person in Person.objects.within(scope)] == ["a@b.example"]


def test_a_dry_run_counts_and_changes_nothing_then_can_be_applied(
    scope: Scope, actor: Actor, now: datetime, load: Import, make_person: MakePerson
) -> None:
    make_person("u1")
    run = load("external_id,segment\nu1,vip\nu2,vip\nu3,\n", dry_run=True)
    assert (run.state, run.created_count, run.updated_count) == ("checked", 2, 1)
    assert Person.objects.within(scope).count() == 1 and not Segment.objects.within(scope).exists()

    imports.start(scope=scope, actor=actor, public_id=run.public_id, skip_invalid=False)
    imports.run(run_id=run.pk, now=now)
    run = imports.get(scope=scope, public_id=run.public_id)
    assert (run.state, run.created_count, run.updated_count) == ("done", 2, 1)
    assert (run.progress_percent, run.progress_rows) == (100, run.row_count)
    with pytest.raises(Conflict):
        imports.start(scope=scope, actor=actor, public_id=run.public_id, skip_invalid=False)


def test_an_erased_person_is_not_brought_back(scope: Scope, load: Import, make_person: MakePerson) -> None:
    person = make_person("u1", deleted=True)
    run = load("external_id,email\nu1,a@b.example\n")
    assert problems_of(scope, run) == [(2, "external_id", "erased_person")]
    person.refresh_from_db()
    assert person.email == ""


def test_known_and_erased_people_after_batches_of_new_ones_are_found(
    scope: Scope, load: Import, make_person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "ROWS_PER_BATCH", 2)
    make_person("u4", name="Before")
    make_person("u7", deleted=True)
    told = ["u1,New", "u2,New", "u3,New", "u4,After", "u5,New", "u6,New", "u7,Back", "u8,New", "u81,New", "u82,New"]
    run = load("external_id,name\n" + "\n".join([*told, "u9,New", "u9,Twice"]), skip_invalid=True)
    assert (run.state, run.created_count, run.updated_count) == ("done", 9, 1)
    wrong = [(line, code) for line, _, code in problems_of(scope, run)]
    assert wrong == [(8, "erased_person"), (13, "repeated_person")]
    names = dict(Person.objects.within(scope).values_list("external_id", "name"))
    new = ["u1", "u2", "u3", "u5", "u6", "u8", "u81", "u82", "u9"]
    assert names == dict.fromkeys(new, "New") | {"u4": "After", "u7": ""}


def test_a_file_for_one_environment_leaves_the_others_alone(
    world: World, scope: Scope, load: Import, make_person: MakePerson
) -> None:
    make_person("u1", within=world.sandbox, name="Sandbox")
    load("external_id,name\nu1,Production\n")
    assert [person.name for person in Person.objects.within(world.sandbox)] == ["Sandbox"]
    assert [person.name for person in Person.objects.within(scope)] == ["Production"]


def test_a_file_of_many_slices_arrives_whole(scope: Scope, load: Import) -> None:
    rows = "".join(f"user-{number},{'n' * 150}\n" for number in range(30_000))
    run = load(f"external_id,name\n{rows}")
    assert (run.state, run.created_count) == ("done", 30_000)
    ids = Person.objects.within(scope).values_list("public_id", flat=True)
    assert len(set(ids)) == 30_000 and all(len(each) == 30 for each in ids)


def test_the_audit_trail_says_who_started_the_import_and_from_where(
    scope: Scope, actor: Actor, now: datetime, load: Import
) -> None:
    starter = Actor("api_key", "key_1", "Nightly", "api", ip="203.0.113.9", trace_id="trace-1")
    run = load("external_id\nu1\n", dry_run=True)
    imports.start(scope=scope, actor=starter, public_id=run.public_id, skip_invalid=False)
    imports.run(run_id=run.pk, now=now)
    entry = AuditEntry.objects.select_related("label").get(action="people.imported")
    assert (entry.actor_kind, entry.actor_id, entry.origin) == ("api_key", "key_1", "api")
    assert (entry.label.actor_label, entry.label.actor_ip) == ("Nightly", "203.0.113.9")
