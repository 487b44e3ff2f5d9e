"""Why somebody is in, is left out, or was never matched: by today's facts and by what a snapshot saw a year ago."""

import csv
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from audiences import contacts, definitions, explaining, facts, people, remembering, snapshot
from audiences.models import Audience, Person, Snapshot
from audiences.rules.parse import parse
from audiences.rules.reading import facts_of
from audiences.rules.vocabulary import load
from audiences.tests.conftest import MakePerson
from audit.models import AuditEntry
from projects.scoping import Actor, Scope

Api = Callable[..., APIClient]
COMMITTED = pytest.mark.django_db(transaction=True)  # a watermark sees what was committed before it
RULE: dict[str, Any] = {
    "all": [
        {"field": "country", "op": "is", "value": "DE"},
        {"field": "last_session", "op": "within_last", "value": 30},
        {"none": [{"field": "segment", "op": "is", "value": "staff"}]},
    ]
}


@pytest.fixture
def audience(scope: Scope, actor: Actor, now: datetime, make_person: MakePerson) -> Audience:
    make_person("somebody", **{"segment.staff": True})
    return definitions.create(scope=scope, actor=actor, name="Germans", rule=RULE, now=now)


def _take(scope: Scope, audience: Audience, now: datetime) -> Snapshot:
    taken = snapshot.take(
        scope=scope, version=definitions.latest(audience), channel="email", fields=[], purpose="p", now=now
    )
    return snapshot.get(scope=scope, public_id=taken.public_id)


def _leaves(tree: dict[str, Any]) -> dict[str, Any]:
    """Field -> leaf."""
    if "children" not in tree:
        return {tree["field"]: tree}
    return {field: leaf for child in tree["children"] for field, leaf in _leaves(child).items()}


@pytest.fixture
def german(scope: Scope, contactable: MakePerson, now: datetime) -> Callable[..., Person]:
    """german("u1", ago=40) -> a contactable German whose last session was so many days ago."""

    def make(name: str, ago: int = 2, **told: Any) -> Person:
        person = contactable(name, country="DE", **told)
        session = facts.Change(person.pk, "session", "s", now - timedelta(days=ago), f"evt_session_{name}")
        with transaction.atomic():
            facts.apply(scope=scope, changes=[session], now=now)
        return person

    return make


@COMMITTED
def test_member_excluded_and_never_matched_have_their_answers(
    scope: Scope, now: datetime, audience: Audience, german: Callable[..., Person], api: Api
) -> None:
    german("in")
    german("out", **{"consent.email": False})
    german("late", ago=40)
    taken = _take(scope, audience, now)
    client, where = api(), f"/api/v1/audiences/{audience.public_id}/explain"
    answers = {
        name: client.get(where, {"person": name, "snapshot": taken.public_id}).json() for name in ("in", "out", "late")
    }
    assert {name: (each["matches"], each["included"], each["reason"]) for name, each in answers.items()} == {
        "in": (True, True, None),
        "out": (True, False, "no_consent"),
        "late": (False, False, None),
    }
    assert {name: each["position"] for name, each in answers.items()} == {"in": 1, "out": -1, "late": None}
    session = _leaves(answers["in"]["tree"])["last_session"]
    assert (session["seen"], session["source"]) == ("21 Nov 2026, 10:30", "evt_session_in")
    assert session["occurredAt"].startswith("2026-11-21T09:30")
    assert answers["in"]["nearest"] == {"sentence": None, "conditions": []}
    assert answers["out"]["nearest"]["sentence"] == "Would be included if the person agreed to be contacted."
    assert answers["late"]["nearest"] == {
        "sentence": "Would qualify if last session were on or after 24 Oct 2026.",
        "conditions": [{"pointer": "#/all/1", "words": "last session were on or after 24 Oct 2026"}],
    }


@COMMITTED
def test_a_snapshot_is_explained_by_what_was_known_then(
    scope: Scope,
    now: datetime,
    audience: Audience,
    german: Callable[..., Person],
    make_person: MakePerson,
) -> None:
    person, other = german("mover"), german("other", ago=60)
    taken = _take(scope, audience, now)
    later = now + timedelta(days=300)
    make_person("mover", at=later, country="FR", **{"segment.staff": True})
    make_person("other", at=later, session="s2")
    then = explaining.explain_then(scope=scope, snapshot=taken, person=person)
    assert then.included and then.position == 1 and then.at == now
    assert "Germany" in str(explaining.as_json(then))
    assert not explaining.explain_then(scope=scope, snapshot=taken, person=other).matches
    today = explaining.explain(scope=scope, version=definitions.latest(audience), person=person, now=later)
    assert not today.matches
    assert today.would == (
        "Would qualify if country were Germany and last session were on or after 20 Aug 2027"
        " and segment were not Staff."
    )


def test_what_was_erased_is_gone_but_its_truth_stands(
    scope: Scope, actor: Actor, now: datetime, audience: Audience, german: Callable[..., Person]
) -> None:
    person = german("gone")
    taken = _take(scope, audience, now)
    people.erase(scope=scope, actor=actor, public_id=person.public_id, now=now + timedelta(days=1))
    found = explaining.explain_then(scope=scope, snapshot=taken, person=person)
    assert found.included
    leaves = _leaves(explaining.as_json(found)["tree"])
    assert (leaves["country"]["holds"], leaves["country"]["seen"]) == (True, "no longer kept")


@pytest.mark.parametrize("rule", [{"all": []}, {"none": RULE["all"][:1]}, RULE])
def test_nobody_who_was_erased_is_in_an_audience_today(
    scope: Scope, actor: Actor, now: datetime, audience: Audience, german: Callable[..., Person], rule: dict[str, Any]
) -> None:
    person = german("gone")
    people.erase(scope=scope, actor=actor, public_id=person.public_id, now=now)
    person.refresh_from_db()
    other = definitions.create(scope=scope, actor=actor, name="Other", rule=rule, now=now)
    found = explaining.explain(scope=scope, version=definitions.latest(other), person=person, now=now)
    assert (found.matches, found.included, found.reason, found.would) == (False, False, "", "")
    assert found.verdict == "Not in: this person was erased."


@COMMITTED
def test_of_twins_by_address_the_one_is_in_that_a_snapshot_would_keep(
    scope: Scope, now: datetime, audience: Audience, german: Callable[..., Person]
) -> None:
    same = {"email": "Two@example.com"}
    one_of_each = {
        "silent": german("silent", **same, **{"consent.email": False}),
        "kept": german("kept", email="two@example.com"),
        "second": german("second", **same),
        "elsewhere": german("elsewhere", ago=90, **same),
        "removed": german("removed", **same, membership="removed"),
        "alone": german("alone"),
    }
    version = definitions.latest(audience)
    today = {
        name: explaining.explain(scope=scope, version=version, person=person, now=now).reason
        for name, person in one_of_each.items()
    }
    taken = _take(scope, audience, now)
    then = {
        name: explaining.explain_then(scope=scope, snapshot=taken, person=person).reason
        for name, person in one_of_each.items()
    }
    assert today == then
    assert (today["silent"], today["kept"], today["second"]) == ("duplicate_address", "", "duplicate_address")


def test_each_channel_has_its_own_address(
    scope: Scope, now: datetime, audience: Audience, german: Callable[..., Person]
) -> None:
    without = german("without", **{"consent.sms": True})
    wrong = german("wrong", **{"consent.sms": True, "trait.phone": "0664"})
    right = german("right", **{"consent.sms": True, "trait.phone": "+43664123456"})
    version = definitions.latest(audience)
    found = [
        explaining.explain(scope=scope, version=version, person=person, now=now, channel="sms").reason
        for person in (without, wrong, right)
    ]
    assert found == ["no_address", "invalid_address", ""]


@COMMITTED
def test_a_newer_version_of_a_nested_audience_changes_no_old_answer(
    scope: Scope, actor: Actor, now: datetime, audience: Audience, german: Callable[..., Person]
) -> None:
    person = german("in")
    rule = {"all": [{"field": "audience", "op": "is", "value": audience.public_id}]}
    outer = definitions.create(scope=scope, actor=actor, name="Outer", rule=rule, now=now)
    taken = _take(scope, outer, now)
    assert taken.nested == {audience.public_id: 1}
    nobody = {"all": [{"field": "country", "op": "is", "value": "FR"}]}
    definitions.update(scope=scope, actor=actor, audience_id=audience.public_id, state_version=1, rule=nobody, now=now)
    then = explaining.as_json(explaining.explain_then(scope=scope, snapshot=taken, person=person))
    assert then["included"] and _leaves(then["tree"])["audience"]["inside"][0]["holds"]
    today = explaining.explain(scope=scope, version=definitions.latest(outer), person=person, now=now)
    assert not today.matches


def test_every_member_of_a_snapshot_is_found_and_nobody_else(
    scope: Scope, now: datetime, audience: Audience, german: Callable[..., Person], contactable: MakePerson
) -> None:
    matched = [german(f"m{number}", **{"consent.email": number % 3 > 0}) for number in range(9)]
    others = [contactable(f"x{number}") for number in range(3)]
    taken = _take(scope, audience, now)
    rows = {row.person_id: row.position for row in taken.members.all()}
    assert len(rows) == 9
    for person in matched:
        row = remembering.member(snapshot=taken, person=person)
        assert row is not None and row["position"] == rows[person.pk]
    assert all(remembering.member(snapshot=taken, person=person) is None for person in others)


@COMMITTED
def test_remembered_facts_are_the_facts_of_today_while_nothing_changed(
    scope: Scope, now: datetime, audience: Audience, make_person: MakePerson
) -> None:
    told: dict[str, Any] = {
        "email": "a@example.com", "name": "Ada", "country": "de", "locale": "de", "membership": "active",
        "roles": ["owner", "member"], "role.guest": True, "lifecycle": "trial", "plan": "pro", "session": "s1",
        "segment.vip": True, "segment.beta": False, "consent.email": True, "consent.sms": False,
        "unsubscribed.sms": True, "suppressed.webhook": "bounce", "trait.seats": 7, "trait.loyalty": "gold",
    }  # fmt: skip
    person = make_person("ada", **told)
    later = now + timedelta(hours=1)
    with transaction.atomic():
        newer = [("lifecycle", "customer"), ("role.owner", False)]
        changes = [facts.Change(person.pk, field, value, later, "evt_later") for field, value in newer]
        facts.apply(scope=scope, changes=changes, now=later)
        contacts.record_opened(scope=scope, subject="cmp_1", person_ids=[person.pk], at=[now])
    taken = _take(scope, audience, now + timedelta(hours=2))
    words = load(scope)
    asks = {
        "all": [
            {"field": "session_events", "op": "at_least_times", "value": [1, 30]},
            {"field": "received", "op": "is", "value": "cmp_1"},
            {"field": "reached.trial", "op": "exists"},
        ]
    }
    today = facts_of(scope=scope, person_ids=[person.pk], vocabulary=words, rule=parse(asks, words))[person.pk]
    then = remembering.remember(scope=scope, people=[person], taken=taken, vocabulary=words)[person.pk].facts
    for key, value in today.items():
        assert (then.get(key) or None) == (value or None), key
    assert today["role"] == {"member"} and today["reached"]["trial"] == now


def test_the_answer_as_csv_is_audited_and_no_formula(
    scope: Scope, now: datetime, audience: Audience, german: Callable[..., Person], api: Api
) -> None:
    german("=HYPERLINK", ago=40)
    answer = api().get(f"/api/v1/audiences/{audience.public_id}/explain.csv", {"person": "=HYPERLINK"})
    assert answer["Content-Type"].startswith("text/csv")
    head, whole, *rows = csv.reader(answer.content.decode().splitlines())
    assert head[0] == "person" and whole[0] == "'=HYPERLINK" and "Would qualify" in whole[2]
    assert [(row[1], row[3]) for row in rows] == [("#/all/0", "yes"), ("#/all/1", "no"), ("#/all/2/none/0", "no")]
    assert AuditEntry.objects.filter(action="people.exported").count() == 1


def test_a_snapshot_of_another_audience_is_not_found(
    scope: Scope, actor: Actor, now: datetime, audience: Audience, german: Callable[..., Person], api: Api
) -> None:
    german("in")
    other = definitions.create(scope=scope, actor=actor, name="All", rule={"all": []}, now=now)
    taken = _take(scope, other, now)
    where = f"/api/v1/audiences/{audience.public_id}/explain"
    assert api().get(where, {"person": "in", "snapshot": taken.public_id}).status_code == 404
