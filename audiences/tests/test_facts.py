"""Facts converge, keep their origin, and stay in their environment."""

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiences import facts, vocabulary
from audiences.channels import CHANNEL_BITS
from audiences.facts import Change, Identity
from audiences.models import FactHistory, Person, PersonFacts, Vocabulary
from audiences.tests.conftest import MakePerson, narrow
from conftest import World
from lamba_campaigns.lib.sql import NoTransaction
from projects.scoping import Scope


def _state(scope: Scope) -> dict[str, Any]:
    """Everything that the facts of one person decide."""
    with connection.cursor() as cursor:
        found = {}
        for table, order in (
            ("audiences_fact", "field"),
            ("audiences_facthistory", "field, source"),
            ("audiences_personfacts", "person_id"),
            ("audiences_person", "id"),
        ):
            cursor.execute(
                f"SELECT to_jsonb(t) - '{{transaction,recorded_at,created_at,public_id,id,person_id}}'::text[]"  # noqa: S608
                f" FROM {table} AS t WHERE environment_id = %s ORDER BY {order}",
                [scope.environment_id],
            )
            found[table] = cursor.fetchall()
        return found


def _wipe() -> None:
    with connection.cursor() as cursor:
        for table in ("audiences_fact", "audiences_facthistory", "audiences_personfacts", "audiences_person"):
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608


def _tell(scope: Scope, now: datetime, told: list[tuple[str, Any, int, str]], *, batch: int) -> None:
    with transaction.atomic():
        person = facts.ensure_people(scope=scope, people=[Identity("u1")], now=now)["u1"]
        changes = [
            Change(person, field, value, now + timedelta(hours=hour), source) for field, value, hour, source in told
        ]
        for start in range(0, len(changes), batch):
            facts.apply(scope=scope, changes=changes[start : start + batch], now=now)


TOLD: list[tuple[str, Any, int, str]] = [
    ("membership", "active", 5, "e0"),
    ("deleted", True, 5, "e5"),
    ("email", "late@example.com", 6, "e6"),
    ("consent.email", True, 4, "e4"),
]


def test_every_order_of_four_changes_ends_in_the_same_rows(scope: Scope, now: datetime) -> None:
    with transaction.atomic():
        expected = None
        for order in permutations(TOLD):
            _wipe()
            _tell(scope, now, list(order), batch=1)
            state = _state(scope)
            expected = expected or state
            assert state == expected, order
    person = Person.objects.within(scope).get()
    assert (person.email, person.erased_at) == ("late@example.com", None)
    row = narrow(person)
    assert (row.membership, row.consent_mask) == (0, 0)


FAR_SEGMENTS = [f"far{number:03d}" for number in range(61, 191, 43)]  # one in each word of the mask
_FIELDS = st.one_of(
    st.tuples(st.just("membership"), st.sampled_from(["invited", "active", "suspended", "removed"])),
    st.tuples(st.just("email"), st.sampled_from(["a@example.com", "b@example.com", "nonsense", None])),
    st.tuples(st.just("given_name"), st.sampled_from(["Ada", "Zoë", "名", ""])),
    st.tuples(st.just("country"), st.sampled_from(["de", "FR", "Germany"])),
    st.tuples(st.just("roles"), st.sampled_from([["member"], [], ["member", "billing"]])),
    st.tuples(st.sampled_from(["role.member", "role.billing"]), st.booleans()),
    st.tuples(st.just("lifecycle"), st.sampled_from(["trial", "customer"])),
    st.tuples(st.just("plan"), st.sampled_from(["free", "green", None])),
    st.tuples(st.just("session"), st.sampled_from(["s1", "s2"])),
    st.tuples(st.sampled_from([f"consent.{name}" for name in CHANNEL_BITS]), st.booleans()),
    st.tuples(st.sampled_from([f"unsubscribed.{name}" for name in CHANNEL_BITS]), st.booleans()),
    st.tuples(
        st.sampled_from([f"suppressed.{name}" for name in CHANNEL_BITS]), st.sampled_from(["bounce", "manual", False])
    ),
    st.tuples(st.sampled_from(["segment.vip", "segment.beta", *FAR_SEGMENTS]), st.booleans()),
    st.tuples(st.sampled_from(["name", "family_name", "locale", "time_zone"]), st.sampled_from(["x", "y", None])),
    st.tuples(st.sampled_from(["login", "session_revoked"]), st.sampled_from([True, "s1"])),
    st.tuples(st.sampled_from(["trait.color", "trait.size"]), st.sampled_from(["red", 7, True, None])),
    st.tuples(st.just("deleted"), st.just(True)),
)


@st.composite
def _histories(draw: st.DrawFn) -> list[tuple[str, Any, int, str]]:
    pairs = draw(st.lists(st.tuples(_FIELDS, st.integers(0, 5)), min_size=1, max_size=9))
    return [(field, value, hour, f"evt_{number:02d}") for number, ((field, value), hour) in enumerate(pairs)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=_histories(), data=st.data())
def test_any_order_and_repetition_of_changes_converges(
    scope: Scope, now: datetime, told: list[tuple[str, Any, int, str]], data: st.DataObject
) -> None:
    with transaction.atomic():
        names = {
            ("segment", "vip"), ("segment", "beta"), ("role", "member"), ("role", "billing"),
            ("lifecycle", "trial"), ("lifecycle", "customer"), ("plan", "free"), ("plan", "green"),
        }  # fmt: skip
        names |= {("segment", f"far{number:03d}") for number in range(191)}
        vocabulary.learn(scope=scope, names=names, now=now)
        _wipe()
        _tell(scope, now, told, batch=len(told))
        expected = _state(scope)
        _wipe()
        again = data.draw(st.permutations(told + data.draw(st.lists(st.sampled_from(told), max_size=4))))
        _tell(scope, now, list(again), batch=data.draw(st.integers(1, 4)))
        assert _state(scope) == expected


def test_the_newest_value_stands_and_all_are_remembered(scope: Scope, now: datetime, make_person: MakePerson) -> None:
    person = make_person("u1", email="new@example.com")
    with transaction.atomic():
        old = Change(person.pk, "email", "old@example.com", now - timedelta(days=1), "evt_old")
        facts.apply(scope=scope, changes=[old, old], now=now)

    person.refresh_from_db()
    assert person.email == "new@example.com"
    assert [known.value for known in facts.of_person(scope=scope, person_id=person.pk)] == ["new@example.com"]
    history = facts.history_of_person(scope=scope, person_id=person.pk, limit=10)
    assert [(known.value, known.source) for known in history] == [
        ("new@example.com", "evt_u1_email"),
        ("old@example.com", "evt_old"),
    ]


def test_of_two_values_at_one_moment_the_greater_source_stands(scope: Scope, now: datetime) -> None:
    _tell(scope, now, [("name", "B", 0, "evt_b"), ("name", "A", 0, "evt_a")], batch=1)
    assert Person.objects.within(scope).get().name == "B"


def test_each_field_lands_in_its_column(scope: Scope, now: datetime, make_person: MakePerson) -> None:
    person = make_person(
        "u1",
        email="Ada@Example.com", name="Ada L", given_name="Ada", family_name="L", locale="en-GB",
        time_zone="Europe/London", country="gb", membership="suspended", lifecycle="trial", session="ses_1",
        roles=["member", "billing"], plan="green",
        **{"consent.email": True, "consent.sms": True, "unsubscribed.in_app": True, "suppressed.webhook": "manual",
           "segment.vip": True, "segment.beta": False, "trait.color": "red", "trait.size": 7},
    )  # fmt: skip
    assert (person.email, person.name, person.given_name, person.family_name) == (
        "Ada@Example.com",
        "Ada L",
        "Ada",
        "L",
    )
    assert (person.locale, person.time_zone, person.country) == ("en-GB", "Europe/London", "GB")
    assert person.traits == {"color": "red", "size": 7}
    row, numbers = narrow(person), vocabulary.numbers(scope=scope)
    assert (row.membership, row.consent_mask, row.unsubscribed_mask, row.suppressed_mask) == (3, 0b101, 0b10, 0b1000)
    assert (row.lifecycle, row.lifecycle_at) == (numbers["lifecycle"]["trial"], now)
    assert (row.last_session_at, row.session_count, row.address_state) == (now, 1, 1)
    assert row.plan == numbers["plan"]["green"]
    assert row.roles_mask == 1 << numbers["role"]["member"] | 1 << numbers["role"]["billing"]
    assert row.segments_mask == 1 << numbers["segment"]["vip"]


def test_a_segment_beyond_the_first_word_uses_the_next_one(
    scope: Scope, now: datetime, make_person: MakePerson
) -> None:
    with transaction.atomic():
        vocabulary.learn(scope=scope, names=[("segment", f"s{number:03d}") for number in range(200)], now=now)
    row = narrow(make_person("u1", **{"segment.s062": True, "segment.s063": True, "segment.s199": True}))
    assert (row.segments_mask, row.segments_mask_1) == (1 << 62, 1)
    assert (row.segments_mask_2, row.segments_mask_3) == (0, 1 << (199 - 189))


def test_a_full_vocabulary_refuses_the_next_name(scope: Scope, now: datetime) -> None:
    with pytest.raises(vocabulary.VocabularyFull, match="63 different values of role"), transaction.atomic():
        vocabulary.learn(scope=scope, names=[("role", f"r{number}") for number in range(64)], now=now)
    assert not Vocabulary.objects.within(scope).exists()


def test_a_single_role_overrules_an_older_list_only(scope: Scope, now: datetime, make_person: MakePerson) -> None:
    person = make_person("u1", roles=["member"])
    with transaction.atomic():
        changes = [
            Change(person.pk, "role.member", False, now + timedelta(hours=1), "evt_1"),
            Change(person.pk, "role.billing", True, now - timedelta(hours=1), "evt_2"),
        ]
        facts.apply(scope=scope, changes=changes, now=now)
    assert narrow(person).roles_mask == 0


def test_sessions_count_distinct_events(scope: Scope, now: datetime) -> None:
    told = [("session", f"s{hour}", hour, f"evt_{hour}") for hour in (3, 1, 2, 1, 3)]
    _tell(scope, now, told, batch=2)
    row = PersonFacts.objects.within(scope).get()
    assert (row.session_count, row.last_session_at) == (3, now + timedelta(hours=3))


def test_a_deletion_leaves_only_what_forbids_contact(scope: Scope, now: datetime, contactable: MakePerson) -> None:
    person = contactable(
        "u1", name="Ada", **{"suppressed.email": "complaint", "trait.color": "red", "segment.vip": True}
    )
    with transaction.atomic():
        facts.apply(scope=scope, changes=[Change(person.pk, "deleted", True, now, "evt_gone")], now=now)

    person.refresh_from_db()
    row = narrow(person)
    assert (person.email, person.name, person.traits, person.erased_at) == ("", "", {}, now)
    assert (row.membership, row.consent_mask, row.suppressed_mask, row.segments_mask) == (0, 0, 1, 0)
    remembered = {entry.field for entry in FactHistory.objects.within(scope)}
    assert remembered == {"deleted", "suppressed.email"}


def test_what_forbids_contact_is_told_by_delivery(scope: Scope, now: datetime, contactable: MakePerson) -> None:
    ada, bob = contactable("u1"), contactable("u2")
    both = [ada.pk, bob.pk]
    told: dict[str, Any] = {"scope": scope, "channel": "email", "occurred_at": now, "now": now}
    with transaction.atomic():
        facts.record_unsubscribed(person_ids=both, source="r1", **told)
        facts.record_suppressed(person_ids=[bob.pk], reason="bounce", source="r2", **told)
        facts.record_contacted(scope=scope, person_ids=both, occurred_at=now)
        facts.record_contacted(scope=scope, person_ids=[ada.pk], occurred_at=now - timedelta(days=1))
        facts.record_resubscribed(
            person_ids=[ada.pk], source="r3", **{**told, "occurred_at": now + timedelta(seconds=1)}
        )
    rows = [narrow(ada), narrow(bob)]
    assert [(row.unsubscribed_mask, row.suppressed_mask, row.last_contacted_at) for row in rows] == [
        (0, 0, now),
        (1, 1, now),
    ]


def test_people_of_another_environment_are_out_of_reach(
    world: World, scope: Scope, now: datetime, make_person: MakePerson
) -> None:
    stranger = make_person("u1", within=world.stranger)
    with pytest.raises(AssertionError, match="not of acme/app/production"), transaction.atomic():
        facts.apply(scope=scope, changes=[Change(stranger.pk, "name", "X", now, "evt_1")], now=now)
    stranger.refresh_from_db()
    assert stranger.name == ""


def test_one_external_id_is_another_person_in_each_environment(world: World, make_person: MakePerson) -> None:
    here, there = make_person("u1", name="Here"), make_person("u1", within=world.sandbox, name="There")
    assert here.pk != there.pk
    assert [person.name for person in Person.objects.within(world.sandbox)] == ["There"]


@pytest.mark.django_db(transaction=True)
def test_facts_need_the_callers_transaction(scope: Scope, now: datetime) -> None:
    with pytest.raises(NoTransaction):
        facts.ensure_people(scope=scope, people=[Identity("u1")], now=now)
    with pytest.raises(NoTransaction):
        facts.apply(scope=scope, changes=[], now=now)
