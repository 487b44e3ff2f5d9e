"""The live count: exact within its budget, honest beyond it, and always of one environment."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audiences import counting, facts, preview, snapshot
from audiences.models import Audience, AudienceVersion, Person
from audiences.rules.parse import parse
from audiences.rules.vocabulary import load
from audiences.tests.conftest import MakePerson
from projects.scoping import Scope

GERMANY = {"field": "country", "op": "is", "value": "DE"}
SEEN = {"field": "last_session", "op": "within_last", "value": 7}


def count(scope: Scope, rule: dict[str, Any], now: datetime, channel: str = "email") -> preview.Preview:
    return preview.count(scope=scope, rule=parse(rule, load(scope)), channel=channel, now=now)


@pytest.fixture
def everyone_else(make_person: MakePerson, contactable: MakePerson, now: datetime) -> None:
    """One person for each reason to be left out, and two who can be contacted."""
    reachable = {"membership": "active", "consent.email": True, "country": "DE"}
    contactable("in", country="DE", name="Ina Ott", session="2026-11-20T09:00:00Z")
    contactable("in2", country="DE")
    contactable("abroad", country="FR")
    make_person("lost", **{**reachable, "membership": "removed", "email": "lost@example.com"})
    make_person("never", country="DE", email="never@example.com", **{"consent.email": True})
    make_person("no-address", **reachable)
    make_person("invalid", **reachable, email="not an address")
    make_person("twin", **reachable, email="IN@example.com")
    make_person("no-consent", country="DE", membership="active", email="nc@example.com")
    make_person("unsubscribed", **reachable, email="u@example.com", **{"unsubscribed.email": True})
    make_person("suppressed", **reachable, email="s@example.com", **{"suppressed.email": "hard_bounce"})


@pytest.mark.usefixtures("everyone_else")
def test_everyone_left_out_has_one_reason_and_the_rest_can_be_contacted(scope: Scope, now: datetime) -> None:
    found = count(scope, {"all": [GERMANY]}, now)
    assert (found.people, found.matched, found.contactable, found.exact) == (11, 10, 2, True)
    assert list(found.excluded.items()) == [
        ("membership_lost", 2),
        ("no_address", 1),
        ("invalid_address", 1),
        ("duplicate_address", 1),
        ("no_consent", 1),
        ("unsubscribed", 1),
        ("suppressed", 1),
    ]


@pytest.mark.usefixtures("everyone_else")
def test_other_channels_need_no_address(scope: Scope, now: datetime) -> None:
    found = count(scope, {"all": [GERMANY]}, now, "in_app")
    assert found.excluded == {"membership_lost": 2, "no_consent": 8}


@pytest.mark.usefixtures("everyone_else")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("channel", ["email", "sms", "in_app"])
def test_the_count_is_what_a_snapshot_freezes(scope: Scope, now: datetime, channel: str) -> None:
    with transaction.atomic():
        audience = Audience.objects.create(
            environment_id=scope.environment_id, name="A", created_by="A", created_at=now, updated_at=now
        )
        rule = parse({"all": [GERMANY]})
        version = AudienceVersion.objects.create(
            environment_id=scope.environment_id,
            audience=audience,
            number=1,
            rule=rule.as_json(),
            digest=rule.digest(),
            sentence="",
            created_by="A",
            created_at=now,
        )
    frozen = snapshot.take(scope=scope, version=version, channel=channel, fields=(), purpose="test", now=now)
    found = count(scope, rule.as_json(), now, channel)
    assert (found.matched, found.contactable) == (frozen.planned, frozen.included)
    assert found.excluded == frozen.excluded_counts


@pytest.mark.usefixtures("everyone_else")
def test_each_condition_and_group_is_counted_by_itself(scope: Scope, now: datetime) -> None:
    found = count(scope, {"all": [GERMANY, {"any": [SEEN, {"none": [GERMANY]}]}]}, now)
    assert found.per_node == {
        "": 1,
        "/all/0": 10,
        "/all/1": 2,
        "/all/1/any/0": 1,
        "/all/1/any/1": 1,
        "/all/1/any/1/none/0": 10,
    }


@pytest.mark.usefixtures("everyone_else")
def test_the_sample_shows_people_who_are_in_with_the_reason(scope: Scope, now: datetime) -> None:
    found = count(scope, {"all": [GERMANY, SEEN]}, now)
    assert [(shown.name, shown.detail) for shown in found.sample] == [("Ina Ott", "Germany, last session today")]


def test_people_of_another_environment_and_erased_people_do_not_count(
    contactable: MakePerson, world: Any, scope: Scope, now: datetime
) -> None:
    contactable("here", country="DE")
    erased = contactable("erased", country="DE")
    contactable("sandbox", within=world.sandbox, country="DE")
    contactable("stranger", within=world.stranger, country="DE")
    Person.objects.within(scope).filter(pk=erased.pk).update(erased_at=now)
    found = count(scope, {"all": []}, now)
    assert (found.people, found.matched, found.contactable) == (1, 1, 1)
    assert count(world.sandbox, {"all": []}, now).people == 1


def test_an_empty_environment_counts_nobody(scope: Scope, now: datetime) -> None:
    found = count(scope, {"all": []}, now)
    assert (found.people, found.matched, found.contactable, found.excluded, found.sample) == (0, 0, 0, {}, ())


def test_now_is_fixed_for_the_whole_count(contactable: MakePerson, scope: Scope, now: datetime) -> None:
    contactable("u1", at=now - timedelta(days=7, hours=9), session="x")
    rule = {"all": [SEEN]}
    assert count(scope, rule, now).matched == 1
    assert count(scope, rule, now + timedelta(days=1)).matched == 0


def _many(scope: Scope, now: datetime, size: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audiences_person (environment_id, external_id, public_id, email, country, created_at)"
            " SELECT %(environment)s, 'm' || n, 'per_m' || n, n || '@example.com',"
            " CASE WHEN n %% 4 = 0 THEN 'DE' ELSE 'US' END, %(now)s FROM generate_series(1, %(size)s) n",
            {"environment": scope.environment_id, "now": now, "size": size},
        )
        cursor.execute(
            "INSERT INTO audiences_personfacts (person_id, environment_id, membership, consent_mask, address_state)"
            " SELECT id, environment_id, 2, (id / 4 %% 2)::int, 1 FROM audiences_person"
            " WHERE environment_id = %(environment)s",
            {"environment": scope.environment_id},
        )
        cursor.execute("ANALYZE audiences_person, audiences_personfacts")  # as autovacuum would within a minute


def test_beyond_the_budget_a_sample_answers_and_says_so(
    scope: Scope, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    _many(scope, now, 40_000)
    monkeypatch.setattr(counting, "BUDGET_MILLISECONDS", 1)
    monkeypatch.setattr(counting, "SAMPLE_PEOPLE", 10_000)
    found = count(scope, {"all": [GERMANY]}, now)
    assert found.exact is False
    assert found.people == 40_000
    assert 7_000 <= found.matched <= 13_000
    assert found.matched % 100 == 0, "two digits that mean something"
    assert found.excluded["no_consent"] < found.matched
    assert transaction.get_connection().in_atomic_block, "the caller's transaction survives the cancelled statement"


def test_the_budget_ends_with_the_count(scope: Scope, now: datetime) -> None:
    count(scope, {"all": []}, now)
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.parametrize(("number", "expected"), [(0, 0), (7, 7), (94, 94), (123, 120), (1_234_567, 1_200_000)])
def test_an_estimate_has_two_digits(number: int, expected: int) -> None:
    assert counting.about(number) == expected


def test_a_count_costs_the_same_queries_whatever_the_rule(contactable: MakePerson, scope: Scope, now: datetime) -> None:
    for name in ("a", "b", "c", "d", "e"):
        contactable(name, country="DE")
    with CaptureQueriesContext(connection) as small:
        count(scope, {"all": [GERMANY]}, now)
    with CaptureQueriesContext(connection) as large:
        count(scope, {"any": [GERMANY] * 40}, now)
    assert len(small) == len(large) <= 12


def test_facts_that_arrive_are_counted_at_once(contactable: MakePerson, scope: Scope, now: datetime) -> None:
    person = contactable("u1")
    rule = {"all": [{"field": "role", "op": "is", "value": "member"}]}
    assert count(scope, rule, now).matched == 0
    with transaction.atomic():
        facts.apply(scope=scope, changes=[facts.Change(person.pk, "role.member", True, now, "evt_9")], now=now)
    assert count(scope, rule, now).matched == 1
