"""People leave as CSV in the columns of an import: audited, by page, and with no cell that starts a formula."""

import csv
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from audiences import imports, people_export
from audiences.importing.columns import read_header
from audiences.models import Person
from audiences.tests.conftest import MakePerson, narrow
from audit.models import AuditEntry
from conftest import World
from projects.scoping import Actor, Scope


def _read(lines: Any) -> list[dict[str, str]]:
    return list(csv.DictReader("".join(lines).splitlines()))


def test_everybody_leaves_and_the_trail_says_so(
    scope: Scope, actor: Actor, now: datetime, contactable: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_export, "PEOPLE_PER_PAGE", 2)
    contactable("u1", name="=SUM(A1)", roles=["a", "b"], plan="green", **{"segment.vip": True, "trait.n": 7})
    contactable("u2", country="DE")
    contactable("u3", **{"unsubscribed.email": True})
    contactable("u4", deleted=True)
    found = _read(people_export.export(scope=scope, actor=actor, text="", now=now))
    assert [row["external_id"] for row in found] == ["u1", "u2", "u3"]
    first = found[0]
    assert (first["name"], first["roles"], first["plan"], first["segments"], first["traits"]) == (
        "'=SUM(A1)", "a;b", "green", "vip", '{"n": 7}',
    )  # fmt: skip
    assert (first["membership"], first["consent.email"], found[2]["unsubscribed"]) == ("active", "yes", "email")
    assert AuditEntry.objects.get(action="people.exported").actor_id == actor.id


def test_one_address_is_exported_alone(scope: Scope, actor: Actor, now: datetime, contactable: MakePerson) -> None:
    contactable("u1")
    contactable("u2")
    found = _read(people_export.export(scope=scope, actor=actor, text="U2@example.com", now=now))
    assert [row["external_id"] for row in found] == ["u2"]


def test_what_was_exported_can_be_imported_elsewhere(
    world: World, scope: Scope, actor: Actor, now: datetime, contactable: MakePerson
) -> None:
    contactable("u1", given_name="Zoë", roles=["a", "b"], plan="green", lifecycle="trial", **{"segment.vip": True})
    rows = _read(people_export.export(scope=scope, actor=actor, text="", now=now))
    kept = [
        name for name in people_export.COLUMNS if not read_header(["external_id", name])[1] or name == "external_id"
    ]
    text = ",".join(kept) + "\n" + ",".join(rows[0][name] for name in kept) + "\n"
    run = imports.upload(
        scope=world.sandbox, actor=actor, filename="p.csv", chunks=[text.encode()], dry_run=False, skip_invalid=False,
        now=now,
    )  # fmt: skip
    imports.run(run_id=run.pk, now=now)
    here = Person.objects.within(scope).get()
    there = Person.objects.within(world.sandbox).get()
    assert (there.given_name, there.email) == ("Zoë", here.email)
    for name in ("membership", "consent_mask", "roles_mask", "segments_mask", "plan", "lifecycle"):
        assert getattr(narrow(there), name) == getattr(narrow(here), name), name


def test_the_console_offers_it_to_those_who_may(world: World, scope: Scope, contactable: MakePerson) -> None:
    contactable("u1")
    alice, bob = Client(), Client()
    alice.force_login(world.alice)
    bob.force_login(world.bob)
    answer = alice.get(f"/{scope.path}/people.csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="acme-app-production-people.csv"'
    assert b"u1@example.com" in b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert bob.get(f"/{scope.path}/people.csv").status_code == 403
    assert f"/{scope.path}/people.csv" in alice.get(f"/{scope.path}/people/").content.decode()
