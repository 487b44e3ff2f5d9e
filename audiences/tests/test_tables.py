"""Tables keep their own rules: frozen rows, one environment, the address check."""

from datetime import date, datetime

import pytest
from django.db import DatabaseError, connection, transaction

from audiences.models import Audience, AudienceVersion, Person
from projects.scoping import Scope


@pytest.fixture
def version(scope: Scope, now: datetime) -> AudienceVersion:
    audience = Audience.objects.create(
        environment_id=scope.environment_id, name="All", created_by="Alice", created_at=now, updated_at=now
    )
    return AudienceVersion.objects.create(
        environment_id=scope.environment_id,
        audience=audience,
        number=1,
        rule={"all": []},
        digest=b"0" * 32,
        sentence="Everybody.",
        created_by="Alice",
        created_at=now,
    )


def test_a_version_is_never_changed(scope: Scope, version: AudienceVersion) -> None:
    rows = AudienceVersion.objects.within(scope).filter(pk=version.pk)
    for change in (lambda: rows.update(sentence="Nobody."), rows.delete):
        with pytest.raises(DatabaseError, match="is never changed"), transaction.atomic():
            change()


@pytest.mark.parametrize(
    ("address", "state"),
    [
        ("", 0),
        ("ada@example.com", 1),
        ("a.b+c@mail.example.co.uk", 1),
        ("o'neil@xn--bcher-kva.example", 1),
        ("ada", 2),
        ("ada@localhost", 2),
        ("ada@@example.com", 2),
        (".ada@example.com", 2),
        ("ada@-example.com", 2),
        ("ada@example.com\nBcc: b@example.com", 2),
        ("x" * 64 + "@example.com", 1),
        ("x" * 65 + "@example.com", 2),
        ("ada@" + "x" * 63 + ".example", 1),
        ("ada@" + "x" * 64 + ".example", 2),
        ("ada@example." + "c" * 250, 2),
    ],
)
def test_addresses_are_judged_by_one_function(db: None, address: str, state: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT audiences_address_state(%s)", [address])
        assert cursor.fetchone() == (state,)


def test_a_new_person_is_called_by_its_external_id_until_more_is_known(scope: Scope, now: datetime) -> None:
    person = Person.objects.create(environment_id=scope.environment_id, external_id="u1", created_at=now)
    person.refresh_from_db()
    assert person.traits == {} and person.label == "u1"


def test_members_need_a_partition_of_their_month(db: None) -> None:
    with pytest.raises(DatabaseError, match="no partition"), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audiences_snapshotmember"
            " (taken_month, snapshot_id, environment_id, person_id, position, reason) VALUES (%s, 1, 1, 1, 1, 0)",
            [date(1999, 1, 1)],
        )
