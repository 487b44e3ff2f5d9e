"""A snapshot counts everybody once, for one reason, in order of precedence, and can't be changed unseen."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from audiences import facts, preview, snapshot
from audiences.models import Audience, AudienceVersion, Person, Snapshot, SnapshotMember
from audiences.rules.parse import parse
from audiences.rules.vocabulary import load
from audiences.tests.conftest import MakePerson
from audit.models import AuditEntry
from conftest import World
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Scope

MakeVersion = Callable[..., AudienceVersion]
EVERYBODY: dict[str, Any] = {"all": []}


@pytest.fixture
def make_version(scope: Scope, now: datetime) -> MakeVersion:
    def make(rule: Any = EVERYBODY, within: Scope | None = None) -> AudienceVersion:
        where = within or scope
        audience = Audience.objects.create(
            environment_id=where.environment_id,
            name=f"A{Audience.objects.within(where).count()}",
            created_by="Alice",
            created_at=now,
            updated_at=now,
        )
        return AudienceVersion.objects.create(
            environment_id=where.environment_id,
            audience=audience,
            number=1,
            rule=rule,
            digest=b"\x01" * 32,
            sentence="Everybody.",
            created_by="Alice",
            created_at=now,
        )

    return make


@pytest.fixture
def take(scope: Scope, now: datetime, make_version: MakeVersion) -> Callable[..., Snapshot]:
    def run(purpose: str = "test", channel: str = "email", rule: Any = EVERYBODY, fields: Any = ()) -> Snapshot:
        version = make_version(rule)
        return snapshot.take(scope=scope, version=version, channel=channel, fields=fields, purpose=purpose, now=now)

    return run


Take = Callable[..., Snapshot]


def _rows(taken: Snapshot) -> dict[str, tuple[int, int]]:
    """external id -> (position, reason)."""
    rows = SnapshotMember.objects.across_environments("a test").filter(snapshot_id=taken.pk).select_related("person")
    return {row.person.external_id: (row.position, row.reason) for row in rows}


def test_everybody_matched_is_included_or_left_out_for_one_reason(
    scope: Scope, take: Take, contactable: MakePerson, make_person: MakePerson
) -> None:
    contactable("ok-1")
    contactable("ok-2")
    make_person("removed", membership="removed", email="")
    make_person("unknown")
    contactable("no-address", email=None)
    contactable("invalid", email="not an address", **{"consent.email": False})
    contactable("twin", email="OK-1@Example.com")
    contactable("no-consent", **{"consent.email": False, "unsubscribed.email": True})
    contactable("unsubscribed", **{"unsubscribed.email": True, "suppressed.email": "bounce"})
    contactable("suppressed", **{"suppressed.email": "bounce"})

    taken = take()

    found = _rows(taken)
    reasons = {name: reason for name, (_, reason) in found.items()}
    assert reasons == {
        "ok-1": 0, "ok-2": 0, "removed": 1, "unknown": 1, "no-address": 2, "invalid": 3, "twin": 4, "no-consent": 5,
        "unsubscribed": 6, "suppressed": 7,
    }  # fmt: skip
    assert (taken.planned, taken.included) == (10, 2)
    assert taken.excluded_counts == {
        "membership_lost": 2, "no_address": 1, "invalid_address": 1, "duplicate_address": 1, "no_consent": 1,
        "unsubscribed": 1, "suppressed": 1,
    }  # fmt: skip
    assert sorted(position for position, _ in found.values()) == [*range(-8, 0), 1, 2]


def test_of_people_with_one_address_the_one_who_may_be_contacted_is_kept(take: Take, contactable: MakePerson) -> None:
    contactable("first", email="same@example.com", **{"consent.email": False})
    contactable("second", email="same@example.com")
    contactable("third", email="SAME@example.com")
    assert _rows(take()) == {"second": (1, 0), "first": (-1, 4), "third": (-2, 4)}


def test_preview_and_snapshot_count_the_same(
    scope: Scope, now: datetime, take: Take, contactable: MakePerson, make_person: MakePerson
) -> None:
    for number in range(12):
        contactable(
            f"u{number}",
            email=("", "bad", "same@example.com", f"u{number}@example.com")[number % 4],
            **{"consent.email": number not in (2, 5), "unsubscribed.email": number % 7 == 0, "country": "DE"},
        )
    make_person("gone", country="DE", deleted=True)
    rule = {"all": [{"field": "country", "op": "is", "value": "DE"}]}
    taken = take(rule=rule)
    counted = preview.count(scope=scope, rule=parse(rule, load(scope)), channel="email", now=now)
    assert (counted.matched, dict(counted.excluded)) == (taken.planned, taken.excluded_counts)
    assert counted.contactable == taken.included > 0


def test_only_the_merge_fields_asked_for_are_kept(take: Take, contactable: MakePerson) -> None:
    contactable("u1", given_name="Ada", plan="green", **{"trait.color": "red", "trait.size": 7})
    taken = take(fields=["person.given_name", "person.plan", "person.traits.color", "person.traits.none"])
    row = SnapshotMember.objects.across_environments("a test").get(snapshot_id=taken.pk)
    assert row.fields == {"given_name": "Ada", "plan": "green", "traits": {"color": "red"}}
    assert (row.address, row.truth) == ("u1@example.com", 0)
    assert taken.fields == ["person.given_name", "person.plan", "person.traits.color", "person.traits.none"]


def test_an_unknown_merge_field_is_refused_before_anything_is_written(scope: Scope, take: Take) -> None:
    with pytest.raises(Invalid, match=r"person\.password"):
        take(fields=["person.password"])
    assert not Snapshot.objects.within(scope).exists()


def test_conditions_leave_their_truth_with_the_member(take: Take, contactable: MakePerson) -> None:
    contactable("u1", country="DE", locale="de")
    rule = {"any": [
        {"field": "country", "op": "is", "value": "FR"}, {"field": "locale", "op": "is", "value": "de"}
    ]}  # fmt: skip
    taken = take(rule=rule)
    assert SnapshotMember.objects.across_environments("a test").get(snapshot_id=taken.pk).truth == 0b10


@pytest.mark.parametrize(
    ("channel", "addresses"), [("in_app", ["u1"]), ("webhook", ["u1"]), ("sms", ["+491701234567"])]
)
def test_each_channel_has_its_own_address_and_consent(
    take: Take, contactable: MakePerson, channel: str, addresses: list[str]
) -> None:
    contactable("u1", **{f"consent.{channel}": True, "trait.phone": "+491701234567"})
    contactable("u2", **{f"consent.{channel}": False, "trait.phone": "0170"})
    taken = take(channel=channel)
    rows = SnapshotMember.objects.across_environments("a test").filter(snapshot_id=taken.pk, reason=0)
    assert [row.address for row in rows] == addresses
    assert taken.excluded_counts == ({"invalid_address": 1} if channel == "sms" else {"no_consent": 1})


def test_a_purpose_is_taken_once(scope: Scope, take: Take, contactable: MakePerson) -> None:
    contactable("u1")
    first = take("launch:cmp_1")
    contactable("u2")
    assert take("launch:cmp_1") == first
    assert Snapshot.objects.within(scope).count() == 1
    assert AuditEntry.objects.filter(action="snapshot.taken").count() == 1


def test_nobody_of_another_environment_is_taken(
    world: World, take: Take, contactable: MakePerson, make_person: MakePerson
) -> None:
    contactable("u1")
    make_person("u2", within=world.sandbox, email="u2@example.com", membership="active", **{"consent.email": True})
    make_person("u3", within=world.stranger, email="u3@example.com", membership="active", **{"consent.email": True})
    assert _rows(take()) == {"u1": (1, 0)}


def test_an_erased_person_is_not_matched(scope: Scope, now: datetime, take: Take, contactable: MakePerson) -> None:
    contactable("u1")
    contactable("u2", deleted=True)
    assert set(_rows(take())) == {"u1"}


def test_an_empty_audience_is_a_snapshot_too(scope: Scope, take: Take) -> None:
    taken = take()
    assert (taken.planned, taken.included, taken.excluded_counts) == (0, 0, {})
    assert taken.watermark and not snapshot.verify(scope=scope, snapshot=taken).problems


def test_a_snapshot_is_never_edited(take: Take, contactable: MakePerson) -> None:
    contactable("u1")
    taken = take()
    for change in (
        "UPDATE audiences_snapshot SET included = 7",
        "DELETE FROM audiences_snapshot",
        "UPDATE audiences_snapshotmember SET address = 'x'",
        "DELETE FROM audiences_snapshotmember",
    ):
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)
    assert _rows(taken) == {"u1": (1, 0)}


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        ("UPDATE audiences_snapshotmember SET address = 'x' WHERE position = 1", "digest"),
        ("UPDATE audiences_snapshotmember SET fields = '{}' WHERE position = 2", "digest"),
        ("DELETE FROM audiences_snapshotmember WHERE position = 2", "counts differ"),
        ("UPDATE audiences_snapshotmember SET position = 9 WHERE position = 1", "gaps"),
        ("UPDATE audiences_snapshotmember SET person_id = 0 WHERE position = 1", "not people of"),
    ],
)
def test_verification_finds_what_the_trigger_could_not_stop(
    scope: Scope, take: Take, contactable: MakePerson, tampering: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    contactable("u1")
    contactable("u2")
    contactable("u3", email=None)
    taken = take()
    call_command("snapshot_verify", taken.public_id)
    assert "3 members  ok" in capsys.readouterr().out
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audiences_snapshotmember DISABLE TRIGGER snapshot_member_is_frozen")
        cursor.execute(tampering)
    with pytest.raises(CommandError, match="1 snapshots are not"):
        call_command("snapshot_verify")
    assert found in capsys.readouterr().out


def test_verification_of_an_unknown_snapshot_says_so(db: None) -> None:
    with pytest.raises(CommandError, match="snp_1"):
        call_command("snapshot_verify", "snp_1")


def test_the_watermark_tells_which_facts_were_seen(
    scope: Scope, now: datetime, take: Take, contactable: MakePerson
) -> None:
    contactable("u1")
    taken = take()
    assert taken.watermark.count(":") == 2


@pytest.mark.django_db(transaction=True)
def test_two_takers_of_one_purpose_get_one_snapshot(
    scope: Scope, now: datetime, contactable: MakePerson, make_version: MakeVersion
) -> None:
    for number in range(20):
        contactable(f"u{number}")
    version = make_version()

    def run(_: int) -> str:
        try:
            taken = snapshot.take(
                scope=scope, version=version, channel="email", fields=[], purpose="p", now=now + timedelta(days=900)
            )
            return taken.public_id
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(run, range(4)))) == 1
    taken = Snapshot.objects.within(scope).get()
    assert not snapshot.verify(scope=scope, snapshot=taken).problems
    assert SnapshotMember.objects.within(scope).count() == 20


@pytest.mark.django_db(transaction=True)
def test_two_threads_that_ensure_the_same_people_agree(scope: Scope, now: datetime) -> None:
    names = [facts.Identity(f"u{number}") for number in range(200)]

    def run(turn: int) -> dict[str, int]:
        try:
            with transaction.atomic():
                return facts.ensure_people(scope=scope, people=names if turn % 2 else names[::-1], now=now)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(8)))
    assert all(result == results[0] for result in results)
    assert Person.objects.within(scope).count() == 200
