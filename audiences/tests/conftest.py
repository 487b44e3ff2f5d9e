"""People and facts for the tests of this app."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import transaction

from audiences import facts, imports
from audiences.models import ImportRun, Person, PersonFacts
from projects.scoping import Actor, Scope

MakePerson = Callable[..., Person]
Import = Callable[..., ImportRun]


@pytest.fixture
def make_person(scope: Scope, now: datetime) -> MakePerson:
    """make_person("u1", email="…", membership="active", **{"consent.email": True}) -> Person with these facts."""

    def make(external_id: str, at: datetime | None = None, within: Scope | None = None, **told: Any) -> Person:
        where = within or scope
        with transaction.atomic():
            people = facts.ensure_people(scope=where, people=[facts.Identity(external_id)], now=now)
            changes = [
                facts.Change(people[external_id], field, value, at or now, f"evt_{external_id}_{field}")
                for field, value in told.items()
            ]
            facts.apply(scope=where, changes=changes, now=now)
        person: Person = Person.objects.within(where).get(pk=people[external_id])
        return person

    return make


@pytest.fixture
def contactable(make_person: MakePerson) -> MakePerson:
    """contactable("u1") -> an active member with an address and consent for e-mail."""

    def make(external_id: str, **told: Any) -> Person:
        base = {"email": f"{external_id}@example.com", "membership": "active", "consent.email": True}
        return make_person(external_id, **{**base, **told})

    return make


def narrow(person: Person) -> PersonFacts:
    """The row that rules scan."""
    row: PersonFacts = PersonFacts.objects.across_environments("one row by its primary key").get(pk=person.pk)
    return row


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


def problems_of(scope: Scope, run: ImportRun) -> list[tuple[int, str, str]]:
    return [(each.line, each.column, each.code) for each in imports.problems(scope=scope, run=run)]
