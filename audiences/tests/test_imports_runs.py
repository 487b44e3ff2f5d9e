"""The run of an import: one worker at a time, its progress, its cancelling, its death, and what goes on beside it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from audiences import facts, imports, vocabulary
from audiences.importing import progress, work, write
from audiences.models import ImportFilePart, ImportRun, Person, PersonFacts, Segment, Vocabulary
from audiences.tests.conftest import Import
from audit.models import AuditEntry
from lamba_campaigns.lib.errors import Conflict
from projects.scoping import Actor, Scope


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
