"""People and facts for the tests of this app."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import transaction

from audiences import facts
from audiences.models import Person, PersonFacts
from projects.scoping import Scope

MakePerson = Callable[..., Person]


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
