"""An erased person's address is nowhere any more, also in past snapshots, and the snapshots can still be verified."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from audiences import facts, people, snapshot
from audiences.models import ErasedMember, Snapshot, SnapshotMember
from audiences.tests.conftest import MakePerson
from audiences.tests.test_snapshot import make_version, take
from conftest import World
from projects.scoping import Actor, Scope

assert make_version
assert take
Take = Callable[..., Snapshot]
FIELDS = ["person.given_name", "person.email"]


def _verified(scope: Scope, taken: Snapshot) -> tuple[str, ...]:
    return snapshot.verify(scope=scope, snapshot=taken).problems


def _everywhere(text: str) -> list[str]:
    """Every table of people and audiences in which the text still stands."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class"
            " WHERE relkind IN ('r', 'p') AND relname LIKE 'audiences_%' AND NOT relispartition"
        )
        tables = [row[0] for row in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(f"SELECT count(*) FROM {table} AS t WHERE t::text ILIKE %s", [f"%{text}%"])  # noqa: S608
            found += [table] * bool(cursor.fetchone()[0])
    return found


def test_an_erased_address_is_nowhere_and_the_digests_still_hold(
    scope: Scope, actor: Actor, now: datetime, take: Take, contactable: MakePerson
) -> None:
    gone = contactable("u1", email="gone@secret.example", given_name="Gonzales")
    contactable("u2")
    contactable("u3", **{"consent.email": False})
    first, second = take("one", fields=FIELDS), take("two")
    digest = bytes(first.member_digest)
    assert "audiences_snapshotmember" in _everywhere("gone@secret.example")

    people.erase(scope=scope, actor=actor, public_id=gone.public_id, now=now + timedelta(hours=1))

    assert _everywhere("gone@secret.example") == []
    assert _everywhere("Gonzales") == []
    for taken in (first, second):
        assert _verified(scope, Snapshot.objects.within(scope).get(pk=taken.pk)) == ()
    assert bytes(Snapshot.objects.within(scope).get(pk=first.pk).member_digest) == digest
    row = SnapshotMember.objects.within(scope).get(snapshot_id=first.pk, person_id=gone.pk)
    assert (row.position, row.reason, row.address, row.fields) == (1, 0, "", None)
    assert ErasedMember.objects.within(scope).count() == 2


def test_who_was_left_out_is_blanked_too(
    scope: Scope, actor: Actor, now: datetime, take: Take, contactable: MakePerson
) -> None:
    contactable("u1")
    gone = contactable("u2", **{"consent.email": False})
    taken = take()
    people.erase(scope=scope, actor=actor, public_id=gone.public_id, now=now + timedelta(hours=1))
    people.erase(scope=scope, actor=actor, public_id=gone.public_id, now=now + timedelta(hours=2))
    assert _everywhere("u2@example.com") == []
    assert _verified(scope, taken) == ()
    assert ErasedMember.objects.within(scope).count() == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audiences_snapshotmember SET address = 'x@example.com' WHERE position = 1",
        "UPDATE audiences_snapshotmember SET truth = 7 WHERE position = 1",
        "UPDATE audiences_snapshotmember SET address = '' WHERE position = 2",
        "DELETE FROM audiences_erasedmember",
    ],
)
def test_a_change_beside_an_erasure_is_still_found(
    scope: Scope, actor: Actor, now: datetime, take: Take, contactable: MakePerson, change: str
) -> None:
    gone = contactable("u1")
    contactable("u2")
    taken = take()
    people.erase(scope=scope, actor=actor, public_id=gone.public_id, now=now + timedelta(hours=1))
    assert _verified(scope, taken) == ()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audiences_snapshotmember DISABLE TRIGGER snapshot_member_is_frozen")
        cursor.execute(change)
    assert any("digest" in problem for problem in _verified(scope, taken))


def test_people_of_another_environment_stay(
    world: World, scope: Scope, actor: Actor, now: datetime, take: Take, contactable: MakePerson
) -> None:
    gone, twin = contactable("u1"), contactable("u1", within=world.sandbox)
    take()
    people.erase(scope=scope, actor=actor, public_id=gone.public_id, now=now + timedelta(hours=1))
    assert [
        each.value for each in facts.of_person(scope=world.sandbox, person_id=twin.pk) if each.field == "email"
    ] == ["u1@example.com"]


def test_an_erasure_costs_one_look_per_snapshot(
    scope: Scope, actor: Actor, now: datetime, take: Take, contactable: MakePerson, django_assert_max_num_queries: Any
) -> None:
    gone = contactable("u1")
    for number in range(3):
        take(f"p{number}")
    with django_assert_max_num_queries(50):
        people.erase(scope=scope, actor=actor, public_id=gone.public_id, now=now + timedelta(hours=1))
