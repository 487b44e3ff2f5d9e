"""SQL and the Python explainer give the same answer for every rule and person, condition by condition."""

import unicodedata
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from audiences import partitions
from audiences.models import Contact, ContactSubject, FactHistory, FactRecord, Person, PersonFacts
from audiences.rules.ast import Group, Rule
from audiences.rules.clock import Clock
from audiences.rules.compile import compile_rule, over_truth
from audiences.rules.explain import evaluate, fold
from audiences.rules.parse import parse
from audiences.rules.reading import facts_of
from audiences.rules.sentence import sentence
from audiences.tests import strategies as ours
from projects.scoping import Scope

PEOPLE_MAX = 8
Case = tuple[dict[str, Any], list[dict[str, Any]], ours.Pool]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    pool = draw(ours.pools())
    return draw(ours.rules(pool)), draw(st.lists(ours.people(pool), min_size=1, max_size=PEOPLE_MAX)), pool


@pytest.mark.django_db
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_sql_and_python_agree_on_every_rule_and_person(scope: Scope, case: Case) -> None:
    given_rule, people, pool = case
    rule = parse(given_rule, ours.VOCABULARY)
    with transaction.atomic():
        _introduce(scope)
        ids = _store(scope, people)
        _agree(rule, ids, Clock(pool.now, ZoneInfo(pool.zone)), pool.zone, scope)
        transaction.set_rollback(True)
    assert sentence(rule, ours.VOCABULARY)


def _agree(rule: Rule, ids: list[int], clock: Clock, zone: str, scope: Scope) -> None:
    bits = rule.bits()
    answers = _ask_postgres(rule, ids, clock, zone, scope)
    facts = facts_of(scope=scope, person_ids=ids, vocabulary=ours.VOCABULARY, rule=rule)
    for person_id in ids:
        member, truth, nodes = answers[person_id]
        tree = evaluate(rule, facts[person_id], clock=clock, vocabulary=ours.VOCABULARY)
        for node in tree.walk():
            if node.path in bits:
                assert bool(truth >> bits[node.path] & 1) == node.holds, (node, facts[person_id])
            assert nodes[node.path] == node.holds, (node, facts[person_id])
        assert member == tree.holds


def _ask_postgres(
    rule: Rule, ids: list[int], clock: Clock, zone: str, scope: Scope
) -> dict[int, tuple[bool, int, dict[str, bool]]]:
    found = compile_rule(
        rule, zone_name=zone, clock=clock, vocabulary=ours.VOCABULARY, environment_id=scope.environment_id
    )
    nodes = over_truth(rule, "t.truth")
    statement = sql.SQL(
        "SELECT t.id, t.member, t.truth, {nodes} FROM (SELECT p.id, {member} AS member, {truth} AS truth"
        " FROM audiences_person p LEFT JOIN audiences_personfacts f ON f.person_id = p.id"
        " WHERE p.id = ANY(%(ids)s)) t"
    ).format(nodes=sql.SQL(", ").join(nodes.values()), member=found.predicate, truth=found.truth)
    with connection.cursor() as cursor:
        cursor.execute(statement, {**found.params, "ids": ids})
        return {row[0]: (row[1], row[2], dict(zip(nodes, row[3:], strict=True))) for row in cursor.fetchall()}


def _store(scope: Scope, people: list[dict[str, Any]]) -> list[int]:
    """The people, and for all but each fourth one their narrow row."""
    stored = Person.objects.bulk_create(
        Person(environment_id=scope.environment_id, external_id=f"u{index}", **each["person"])
        for index, each in enumerate(people)
    )
    PersonFacts.objects.bulk_create(
        PersonFacts(environment_id=scope.environment_id, person_id=person.pk, **each["facts"], **_latest(each))
        for index, (person, each) in enumerate(zip(stored, people, strict=True))
        if index % 4 != 3
    )
    told = [
        (person.pk, each) for index, (person, each) in enumerate(zip(stored, people, strict=True)) if index % 4 != 3
    ]
    _store_histories(scope, told)  # who has no narrow row was never told anything
    return [person.pk for person in stored]


def _latest(each: dict[str, Any]) -> dict[str, Any]:
    """What the histories leave in the narrow row."""
    contacted = [at for at, _, _ in each.get("contacts", {}).values()]
    return {
        "last_session_at": max(each.get("sessions", ()), default=None),
        "last_contacted_at": max(contacted, default=None),
    }


def _store_histories(scope: Scope, people: list[tuple[int, dict[str, Any]]]) -> None:
    """Sessions and stages by events, each third stage by an import; contacts with their subjects."""
    history, records, contacts = [], [], []
    for person_id, each in people:
        where = {"environment_id": scope.environment_id, "person_id": person_id}
        told = [("session", "s", at) for at in each.get("sessions", ())]
        told += [("lifecycle", stage, at) for stage, at in each.get("stages", ())]
        for number, (field, value, at) in enumerate(told):
            if field == "lifecycle" and number % 3 == 2:
                values = {"lifecycle": value}
                records.append(FactRecord(**where, source=f"import:{number}", values=values, occurred_at=at))
            else:
                source = f"evt_{number}"
                history.append(FactHistory(**where, field=field, value=value, occurred_at=at, source=source))
        contacts += [_contact(where, *pair) for pair in each.get("contacts", {}).items()]
    FactHistory.objects.bulk_create(history)
    FactRecord.objects.bulk_create(records)
    Contact.objects.bulk_create(contacts)


def _contact(where: dict[str, int], subject: str, told: tuple[datetime, bool, bool]) -> Contact:
    at, opened, clicked = told
    known = ours.VOCABULARY.campaign(subject)
    assert known is not None
    return Contact(
        **where,
        month=known.month,
        subject_id=known.number,
        contacted_at=at,
        opened_at=at if opened or clicked else None,
        clicked_at=at if clicked else None,
    )


def _introduce(scope: Scope) -> None:
    """The campaigns of the pool, active for ever."""
    partitions.ensure(parent="audiences_contact", month=ours.CONTACTS_MONTH)
    ever = datetime(2099, 1, 1, tzinfo=UTC)
    ContactSubject.objects.bulk_create(
        ContactSubject(
            pk=known.number,
            environment_id=scope.environment_id,
            subject=subject,
            month=known.month,
            name=subject,
            introduced_at=ever,
            active_at=ever,
        )
        for subject in ours.SUBJECTS
        if (known := ours.VOCABULARY.campaign(subject)) is not None
    )


@pytest.mark.django_db
@pytest.mark.parametrize("op", ["is", "is_not", "is_one_of", "contains", "not_contains", "starts_with"])
def test_texts_that_differ_in_case_or_script_are_compared_alike(scope: Scope, now: datetime, op: str) -> None:
    texts = sorted({text for family in ours.TEXT_FAMILIES for text in family if text == text.strip()})
    people = [{"person": {"name": text, "created_at": now}, "facts": {}} for text in texts]
    ids = _store(scope, people)
    for text in texts:
        value = [text] if op == "is_one_of" else text
        rule = parse({"all": [{"field": "name", "op": op, "value": value}]}, ours.VOCABULARY)
        _agree(rule, ids, Clock(now, ZoneInfo("UTC")), "UTC", scope)


@pytest.mark.django_db
def test_every_letter_folds_in_python_as_it_does_in_postgres() -> None:
    letters = [chr(code) for code in range(1, 0x110000) if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Co")]
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT letter FROM unnest(%s::text[]) letter WHERE lower(letter COLLATE "pg_c_utf8") <> letter', [letters]
        )
        changed = {row[0] for row in cursor.fetchall()}
        cursor.execute('SELECT lower(letter COLLATE "pg_c_utf8") FROM unnest(%s::text[]) letter', [letters])
        folded = [row[0] for row in cursor.fetchall()]
    assert len(changed) > 1_000
    assert [pair for pair in zip(letters, folded, strict=True) if fold(pair[0]) != pair[1]] == []


def test_an_empty_rule_is_everyone() -> None:
    assert sentence(Rule(Group("all"))) == "Everyone"
