"""The history of contacts converges: any order, any repetition, any number of writers."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from django.db import connection, transaction

from audiences import contacts
from audiences.models import Contact, ContactSubject, PersonFacts
from audiences.partitions import month_of
from audiences.tests.conftest import MakePerson
from conftest import World
from lamba_campaigns.lib.sql import NoTransaction
from projects.scoping import Scope


def _rows(scope: Scope) -> dict[tuple[str, str], tuple[datetime, datetime | None, datetime | None]]:
    """(subject, external id) -> (contacted, opened, clicked)."""
    rows = Contact.objects.within(scope).select_related("subject", "person")
    return {
        (row.subject.subject, row.person.external_id): (row.contacted_at, row.opened_at, row.clicked_at) for row in rows
    }


def _latest(scope: Scope, person: int) -> tuple[datetime | None, ...]:
    row = PersonFacts.objects.within(scope).get(pk=person)
    return (row.last_contacted_at, row.last_opened_at, row.last_clicked_at)


def test_contacts_opens_and_clicks_give_one_row_in_any_order(
    scope: Scope, now: datetime, make_person: MakePerson
) -> None:
    hours = [now + timedelta(hours=each) for each in range(6)]
    calls: list[Callable[[int, str], None]] = [
        lambda one, about: contacts.record(scope=scope, subject=about, person_ids=[one], at=hours[0]),
        lambda one, about: contacts.record(scope=scope, subject=about, person_ids=[one, one], at=hours[1]),
        lambda one, about: contacts.record_opened(scope=scope, subject=about, person_ids=[one], at=[hours[4]]),
        lambda one, about: contacts.record_clicked(
            scope=scope, subject=about, person_ids=[one, one], at=[hours[5], hours[3]]
        ),
    ]
    for number, order in enumerate(permutations(calls)):
        person = make_person(f"u{number}").pk
        with transaction.atomic():
            for call in (*order, order[0]):
                call(person, "cmp_1")
        assert _rows(scope)["cmp_1", f"u{number}"] == (hours[0], hours[3], hours[3])
        assert _latest(scope, person) == (hours[5], hours[5], hours[5])


def test_a_subject_is_introduced_once_and_keeps_its_month(scope: Scope, now: datetime, make_person: MakePerson) -> None:
    one = make_person("u1").pk
    month = month_of(now - timedelta(days=40))
    with transaction.atomic():
        contacts.introduce(scope=scope, subject="cmp_1", name="Autumn news", month=month, now=now)
        contacts.introduce(scope=scope, subject="cmp_1", name="Another name", month=month_of(now), now=now)
        contacts.record(scope=scope, subject="cmp_1", person_ids=[one], at=now)
    assert ContactSubject.objects.within(scope).values_list("name", "month").get() == ("Autumn news", month)
    assert Contact.objects.within(scope).get().month == month


def test_a_subject_is_active_until_an_hour_after_what_its_row_says(
    scope: Scope, now: datetime, make_person: MakePerson
) -> None:
    one = make_person("u1").pk
    for minutes, active in ((0, 0), (59, 0), (61, 61), (30, 61)):
        with transaction.atomic():
            contacts.record(scope=scope, subject="cmp_1", person_ids=[one], at=now + timedelta(minutes=minutes))
        assert ContactSubject.objects.within(scope).get().active_at == now + timedelta(minutes=active)


def test_nobody_of_another_environment_is_touched(world: World, now: datetime, make_person: MakePerson) -> None:
    mine, other = make_person("u1").pk, make_person("u1", within=world.sandbox).pk
    with transaction.atomic():
        contacts.record(scope=world.production, subject="cmp_1", person_ids=[mine], at=now)
        contacts.record(scope=world.sandbox, subject="cmp_1", person_ids=[other], at=now - timedelta(days=1))
    assert _latest(world.production, mine)[0] == now
    assert _latest(world.sandbox, other)[0] == now - timedelta(days=1)
    assert {row.environment_id for row in Contact.objects.within(world.production)} == {world.production.environment_id}


def test_nothing_is_written_outside_a_transaction_or_for_nobody(db: None, scope: Scope, now: datetime) -> None:
    with transaction.atomic():
        contacts.record(scope=scope, subject="cmp_1", person_ids=[], at=now)
    assert not ContactSubject.objects.within(scope).exists()


@pytest.mark.django_db(transaction=True)
def test_writing_needs_the_callers_transaction(scope: Scope, now: datetime) -> None:
    with pytest.raises(NoTransaction):
        contacts.record(scope=scope, subject="cmp_1", person_ids=[1], at=now)


@pytest.mark.django_db(transaction=True)
def test_writers_of_the_same_people_queue_up(scope: Scope, now: datetime, make_person: MakePerson) -> None:
    people = [make_person(f"u{number}").pk for number in range(60)]

    def run(turn: int) -> None:
        try:
            with transaction.atomic():
                asked = people if turn % 2 else people[::-1]
                contacts.record(
                    scope=scope, subject=f"cmp_{turn % 3}", person_ids=asked, at=now + timedelta(minutes=turn)
                )
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(12)))
    assert Contact.objects.within(scope).count() == 180
    assert ContactSubject.objects.within(scope).count() == 3
    assert _latest(scope, people[0])[0] == now + timedelta(minutes=11)
