"""An import is checked whole and applied whole; what is wrong is told per row."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from audiences import facts, imports, statements, vocabulary
from audiences.importing import progress, work, write
from audiences.models import FactRecord, ImportFilePart, ImportRun, Person, PersonFacts, Segment, Vocabulary
from audiences.tests.conftest import MakePerson, narrow
from audit.models import AuditEntry
from conftest import World
from lamba_campaigns.lib.errors import Conflict, Invalid
from projects.scoping import Actor, Scope

Import = Callable[..., ImportRun]


@pytest.fixture
def load(scope: Scope, actor: Actor, now: datetime) -> Import:
    """load("external_id,email\\n…") -> the run at its end."""

    def run(text: str | bytes, within: Scope | None = None, at: datetime | None = None, **options: bool) -> ImportRun:
        raw = text.encode() if isinstance(text, str) else text
        where = within or scope
        chosen = {"dry_run": False, "skip_invalid": False, **options}
        made = imports.upload(scope=where, actor=actor, filename="people.csv", chunks=[raw], now=at or now, **chosen)
        imports.run(run_id=made.pk, now=at or now)
        return imports.get(scope=where, public_id=made.public_id)

    return run


def _problems(scope: Scope, run: ImportRun) -> list[tuple[int, str, str]]:
    return [(each.line, each.column, each.code) for each in imports.problems(scope=scope, run=run)]


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


ROWS: list[tuple[str, str, str]] = [
    ("external_id,email", ",a@b.example", "missing"),
    ("external_id,email", "u9,nonsense", "invalid_address"),
    ("external_id,name", "u9,=1+1", "formula"),
    ("external_id,name", 'u9,"@SUM(A1)"', "formula"),
    ("external_id,name", "u9,+cmd|x", "formula"),
    ("external_id,name", 'u9,"two\nlines"', "control_character"),
    ("external_id,name", f"u9,{'x' * 201}", "too_long"),
    ("external_id,country", "u9,Germany", "invalid_country"),
    ("external_id,country", "u9,1", "invalid_country"),
    ("external_id,time_zone", "u9,Mars/X", "unknown_time_zone"),
    ("external_id,locale", "u9,german!", "invalid_locale"),
    ("external_id,membership", "u9,maybe", "invalid_membership"),
    ("external_id,consent.email", "u9,perhaps", "invalid_boolean"),
    ("external_id,trait.n:number", "u9,twelve", "invalid_number"),
    ("external_id,segment", "u9,vip people", "invalid_segment"),
    ("external_id,roles", f"u9,{'r' * 61}", "invalid_words"),
    ("external_id,name", "u1,Again", "repeated_person"),
    ("external_id,name", "u9,Ada,too,many", "wrong_cell_count"),
]


@pytest.mark.parametrize(("header", "row", "code"), ROWS, ids=[f"{case[2]}-{index}" for index, case in enumerate(ROWS)])
def test_one_wrong_row_is_named_and_nothing_is_imported(
    scope: Scope, load: Import, header: str, row: str, code: str
) -> None:
    run = load(f"{header}\nu1,\n{row}\nu2,\n")
    assert (run.state, run.row_count, run.problem_count) == ("refused", 3, 1)
    lines = {(line, found) for line, _, found in _problems(scope, run)}
    assert lines == {(4 if "\n" in row else 3, code)}
    assert not Person.objects.within(scope).exists()
    assert not AuditEntry.objects.filter(action="people.imported").exists()


FILES: list[tuple[bytes, str]] = [
    (b"email\na@b.example\n", "missing_column"),
    (b"external_id,password\nu1,x\n", "unknown_column"),
    (b"external_id,user id\nu1,u1\n", "repeated_column"),
    (b"external_id,name\nu1,J\xf6rg\n", "not_utf8"),
    ("external_id,name\nu1,Jörg\n".encode("utf-16"), "not_utf8"),
    (b"external_id,name\nu1,a\x00b\n", "not_text"),
    (b'external_id,name\nu1,"open\n', "malformed_csv"),
    (b"external_id\n", "no_rows"),
    (b"\xef\xbb\xbf", "missing_column"),
    (",".join(["external_id", *(f"trait.t{n}" for n in range(100))]).encode() + b"\n", "too_many_columns"),
]


@pytest.mark.parametrize(("raw", "code"), FILES, ids=[f"{case[1]}-{index}" for index, case in enumerate(FILES)])
def test_an_unreadable_file_is_refused_with_its_reason(scope: Scope, load: Import, raw: bytes, code: str) -> None:
    run = load(raw)
    assert run.state == "refused" and run.problem
    assert [found for _, _, found in _problems(scope, run)] == [code]
    assert not Person.objects.within(scope).exists()


def test_the_line_that_is_not_utf8_is_named(scope: Scope, load: Import) -> None:
    run = load(
        b"external_id,name\n" + b"u%d,ok\n" * 0 + b"".join(b"u%d,ok\n" % n for n in range(5000)) + b"x,J\xf6rg\n"
    )
    assert _problems(scope, run) == [(5002, "", "not_utf8")]


def test_an_empty_upload_is_refused_at_once(scope: Scope, load: Import) -> None:
    with pytest.raises(Invalid, match="empty"):
        load(b"")
    assert not ImportRun.objects.within(scope).exists()


def test_a_byte_order_mark_semicolons_and_crlf_are_fine(scope: Scope, load: Import) -> None:
    run = load("\ufeffexternal_id;name\r\nu1;Jörg\r\n\r\nu2;\r\n".encode())
    assert (run.state, run.row_count) == ("done", 2)
    assert {person.name for person in Person.objects.within(scope)} == {"Jörg", ""}


def test_right_rows_alone_are_imported_when_asked(scope: Scope, load: Import) -> None:
    run = load("external_id,email\nu1,a@b.example\nu2,bad\nu1,c@d.example\n", skip_invalid=True)
    assert (run.state, run.problem_count, run.created_count) == ("done", 2, 1)
    assert [person.email for person in Person.objects.within(scope)] == ["a@b.example"]


def test_a_dry_run_counts_and_changes_nothing_then_can_be_applied(
    scope: Scope, now: datetime, load: Import, make_person: MakePerson
) -> None:
    make_person("u1")
    run = load("external_id,segment\nu1,vip\nu2,vip\nu3,\n", dry_run=True)
    assert (run.state, run.created_count, run.updated_count) == ("checked", 2, 1)
    assert Person.objects.within(scope).count() == 1 and not Segment.objects.within(scope).exists()

    imports.start(scope=scope, public_id=run.public_id, skip_invalid=False)
    imports.run(run_id=run.pk, now=now)
    run = imports.get(scope=scope, public_id=run.public_id)
    assert (run.state, run.created_count, run.updated_count) == ("done", 2, 1)
    with pytest.raises(Conflict):
        imports.start(scope=scope, public_id=run.public_id, skip_invalid=False)


def test_a_refused_file_can_be_imported_without_its_wrong_rows_only(scope: Scope, now: datetime, load: Import) -> None:
    run = load("external_id,email\nu1,a@b.example\nu2,bad\n")
    with pytest.raises(Conflict, match="1 rows with problems"):
        imports.start(scope=scope, public_id=run.public_id, skip_invalid=False)
    imports.start(scope=scope, public_id=run.public_id, skip_invalid=True)
    imports.run(run_id=run.pk, now=now)
    assert imports.get(scope=scope, public_id=run.public_id).state == "done"


def test_an_erased_person_is_not_brought_back(scope: Scope, load: Import, make_person: MakePerson) -> None:
    person = make_person("u1", deleted=True)
    run = load("external_id,email\nu1,a@b.example\n")
    assert _problems(scope, run) == [(2, "external_id", "erased_person")]
    person.refresh_from_db()
    assert person.email == ""


def test_a_file_for_one_environment_leaves_the_others_alone(
    world: World, scope: Scope, load: Import, make_person: MakePerson
) -> None:
    make_person("u1", within=world.sandbox, name="Sandbox")
    load("external_id,name\nu1,Production\n")
    assert [person.name for person in Person.objects.within(world.sandbox)] == ["Sandbox"]
    assert [person.name for person in Person.objects.within(scope)] == ["Production"]


def test_the_problems_can_be_downloaded_without_formulas(scope: Scope, load: Import) -> None:
    run = load("external_id,name\nu1,=HYPERLINK(1)\n")
    lines = list(imports.problems_csv(scope=scope, run=run))
    assert lines[0] == "line,column,problem,detail,value\r\n"
    assert lines[1].startswith("2,name,formula,") and lines[1].endswith(",'=HYPERLINK(1)\r\n")


def test_a_run_that_keeps_dying_ends_as_failed(scope: Scope, actor: Actor, now: datetime, monkeypatch: Any) -> None:
    made = imports.upload(
        scope=scope,
        actor=actor,
        filename="x.csv",
        chunks=[b"external_id\nu1\n"],
        dry_run=False,
        skip_invalid=False,
        now=now,
    )

    def die(**_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(work, "work", die)
    for _ in range(imports.ATTEMPTS_MAX):
        with pytest.raises(MemoryError):
            imports.run(run_id=made.pk, now=now)
    imports.run(run_id=made.pk, now=now)
    found = imports.get(scope=scope, public_id=made.public_id)
    assert (found.state, "died 3 times" in found.problem) == ("failed", True)


def test_files_are_forgotten_after_a_week(scope: Scope, now: datetime, load: Import) -> None:
    load("external_id\nu1\n")
    assert imports.forget_files(now=now + timedelta(days=6)) == 0
    assert imports.forget_files(now=now + timedelta(days=8)) == 1
    assert not ImportFilePart.objects.within(scope).exists()


def test_a_file_of_many_slices_arrives_whole(scope: Scope, load: Import) -> None:
    rows = "".join(f"user-{number},{'n' * 150}\n" for number in range(30_000))
    run = load(f"external_id,name\n{rows}")
    assert (run.state, run.created_count) == ("done", 30_000)
    ids = Person.objects.within(scope).values_list("public_id", flat=True)
    assert len(set(ids)) == 30_000 and all(len(each) == 30 for each in ids)


@pytest.mark.django_db(transaction=True)
def test_two_workers_on_one_import_apply_it_once(scope: Scope, actor: Actor, now: datetime) -> None:
    rows = "".join(f"u{number},u{number}@example.com\n" for number in range(2_000))
    made = imports.upload(
        scope=scope, actor=actor, filename="x.csv", chunks=[f"external_id,email\n{rows}".encode()], dry_run=False,
        skip_invalid=False, now=now,
    )  # fmt: skip

    def work(_: int) -> None:
        try:
            imports.run(run_id=made.pk, now=now)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert imports.get(scope=scope, public_id=made.public_id).state == "done"
    assert Person.objects.within(scope).count() == 2_000
    assert AuditEntry.objects.filter(action="people.imported").count() == 1


def _queued(scope: Scope, actor: Actor, now: datetime, text: str, **options: bool) -> ImportRun:
    chosen = {"dry_run": False, "skip_invalid": False, **options}
    return imports.upload(scope=scope, actor=actor, filename="p.csv", chunks=[text.encode()], now=now, **chosen)


def test_a_refused_report_says_that_nobody_was_created(scope: Scope, load: Import) -> None:
    run = load("external_id,name\nu1,Ada\nu1,Again\nu2,Bob\n")
    assert (run.state, run.problem_count, run.created_count, run.updated_count) == ("refused", 1, 0, 0)
    assert _problems(scope, run) == [(3, "external_id", "repeated_person")]


@pytest.mark.parametrize("text", [
    "external_id,name,segments\nu1,Ada,vip\nu2,=1,\nu1,Twice,\nu3,Bob,\n,Nobody,\nu9,Gone,\n",
    "external_id,roles\nu9,a\nu1,a;b\nu1,c\nu4,\n",
])  # fmt: skip
def test_a_dry_run_foretells_the_run(
    scope: Scope, now: datetime, load: Import, make_person: MakePerson, text: str
) -> None:
    make_person("u3", name="Bob")
    make_person("u9", deleted=True)
    dry = load(text, dry_run=True, skip_invalid=True)
    assert Person.objects.within(scope).count() == 2
    real = load(text, skip_invalid=True)
    assert (dry.state, real.state) == ("checked", "done")
    assert (dry.row_count, dry.problem_count, dry.created_count) == (
        real.row_count, real.problem_count, real.created_count,
    )  # fmt: skip
    assert _problems(scope, dry) == _problems(scope, real)
    assert Person.objects.within(scope).count() == 2 + real.created_count


def test_a_waiting_import_is_cancelled_at_once(scope: Scope, actor: Actor, now: datetime) -> None:
    made = _queued(scope, actor, now, "external_id\nu1\n")
    run = imports.cancel(scope=scope, actor=actor, public_id=made.public_id, now=now)
    imports.run(run_id=made.pk, now=now)
    assert run.state == "cancelled"
    assert not Person.objects.within(scope).exists()
    assert AuditEntry.objects.filter(action="people.import_cancelled").count() == 1
    with pytest.raises(Conflict, match="nothing left to stop"):
        imports.cancel(scope=scope, actor=actor, public_id=made.public_id, now=now)


@pytest.mark.django_db(transaction=True)
def test_a_working_import_tells_its_progress_and_stops_in_the_middle(
    scope: Scope, actor: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = "external_id,segments,plan\n" + "".join(f"u{n},vip,p\n" for n in range(60))
    made = _queued(scope, actor, now, make)
    monkeypatch.setattr(work, "ROWS_PER_BATCH", 10)
    monkeypatch.setattr(progress, "BEAT_SECONDS", 0.0)
    seen: list[tuple[str, int, int]] = []
    tell = progress.Progress.at

    def at(self: Any, **told: Any) -> None:
        tell(self, **told)
        row = _elsewhere(made.pk)
        seen.append(row)
        if row[1] > 50:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(_cancel, scope, actor, made.public_id, now).result()

    monkeypatch.setattr(progress.Progress, "at", at)
    imports.run(run_id=made.pk, now=now)
    run = imports.get(scope=scope, public_id=made.public_id)
    assert run.state == "cancelled"
    percents = [percent for _, percent, _ in seen]
    assert percents == sorted(percents)
    assert {state for state, _, _ in seen} == {"running"}
    assert 50 < percents[-1] < 99
    assert not Person.objects.within(scope).exists()
    assert not Segment.objects.within(scope).exists()
    assert not Vocabulary.objects.within(scope).exists()


def _elsewhere(run_id: int) -> tuple[str, int, int]:
    """What another connection sees of the run."""

    def read() -> tuple[str, int, int]:
        try:
            rows = ImportRun.objects.across_environments("a test").filter(pk=run_id)
            found: tuple[str, int, int] = rows.values_list("state", "progress_percent", "progress_rows").get()
            return found
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(read).result()


def _cancel(scope: Scope, actor: Actor, public_id: str, now: datetime) -> None:
    try:
        imports.cancel(scope=scope, actor=actor, public_id=public_id, now=now)
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_person_created_meanwhile_is_known_then(
    scope: Scope, actor: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event creates u1 after the import looked for it and before it wrote."""
    made = _queued(scope, actor, now, "external_id,name\nu1,Ada\nu2,Bob\n")
    raced: list[bool] = []
    look = write.look

    def racing(**asked: Any) -> Any:
        found = look(**asked)
        if not raced:
            raced.append(True)
            with ThreadPoolExecutor(1) as pool:
                pool.submit(_create, scope, now).result()
        return found

    monkeypatch.setattr(write, "look", racing)
    imports.run(run_id=made.pk, now=now)
    run = imports.get(scope=scope, public_id=made.public_id)
    assert (run.state, run.created_count, run.updated_count) == ("done", 1, 1)
    assert sorted(Person.objects.within(scope).values_list("external_id", "name")) == [("u1", "Ada"), ("u2", "Bob")]


def _create(scope: Scope, now: datetime) -> None:
    try:
        with transaction.atomic():
            facts.ensure_people(scope=scope, people=[facts.Identity("u1")], now=now)
    finally:
        connection.close()


def test_events_around_an_import_end_in_the_same_rows_in_any_order(scope: Scope, actor: Actor, now: datetime) -> None:
    """An import is one more source: whatever comes first, the newest value of each field stands."""
    text = "external_id,email,plan,roles,segments\nu1,file@example.com,green,member;billing,vip\n"
    told = [
        ("email", "old@example.com", -1, "evt_1"), ("plan", "free", 1, "evt_2"), ("segment.vip", False, 1, "evt_3"),
        ("role.billing", False, 1, "evt_4"), ("roles", ["old"], -1, "evt_5"),
    ]  # fmt: skip
    with transaction.atomic():
        names = [("plan", "free"), ("plan", "green"), ("role", "old"), ("role", "member"), ("role", "billing")]
        vocabulary.learn(scope=scope, names=[*names, ("segment", "vip")], now=now)
    expected = None
    for place in range(len(told) + 1):
        for table in ("fact", "facthistory", "factrecord", "personfacts", "person"):
            with connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM audiences_{table}")  # noqa: S608 - names of ours
        for part in (told[:place], None, told[place:]):
            if part is None:
                imports.run(run_id=_queued(scope, actor, now, text).pk, now=now)
                continue
            with transaction.atomic():
                person = facts.ensure_people(scope=scope, people=[facts.Identity("u1")], now=now)["u1"]
                changes = [facts.Change(person, f, v, now + timedelta(hours=h), source) for f, v, h, source in part]
                facts.apply(scope=scope, changes=changes, now=now)
        row = PersonFacts.objects.within(scope).values().get()
        person_row = Person.objects.within(scope).values("email", "traits", "erased_at").get()
        standing = [
            (known.field, known.value, known.occurred_at)
            for known in facts.of_person(scope=scope, person_id=row.pop("person_id"))
        ]
        expected = expected or (row, person_row, standing)
        assert (row, person_row, standing) == expected, place
