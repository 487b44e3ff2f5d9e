"""Audiences inside audiences: counted by the same rule, never in a circle, and never pulled away from below."""

from datetime import datetime
from typing import Any

import pytest

from audiences import definitions, preview, uses
from audiences.definitions import AudienceInUse
from audiences.models import Audience
from audiences.nested import NestedWrongly
from audiences.rules.parse import parse
from audiences.rules.sentence import sentence
from audiences.rules.vocabulary import load
from audiences.tests.conftest import MakePerson
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Actor, Scope

GERMANS: dict[str, Any] = {"all": [{"field": "country", "op": "is", "value": "DE"}]}


def of(*audiences: Audience, op: str = "is_one_of") -> dict[str, Any]:
    return {"all": [{"field": "audience", "op": op, "value": [each.public_id for each in audiences]}]}


@pytest.fixture
def make(scope: Scope, actor: Actor, now: datetime) -> Any:
    def make(name: str, rule: Any = GERMANS) -> Audience:
        return definitions.create(scope=scope, actor=actor, name=name, rule=rule, now=now)

    return make


@pytest.fixture
def change(scope: Scope, actor: Actor, now: datetime) -> Any:
    def change(audience: Audience, rule: Any, **more: Any) -> Audience:
        return definitions.update(
            scope=scope,
            actor=actor,
            audience_id=audience.public_id,
            state_version=audience.state_version,
            rule=rule,
            now=now,
            **more,
        )

    return change


def test_a_nested_audience_counts_as_its_rule_does(
    scope: Scope, now: datetime, make: Any, contactable: MakePerson
) -> None:
    contactable("u1", country="DE")
    contactable("u2", country="FR")
    germans = make("Germans")
    words = load(scope)
    for op, matched in (("is_one_of", 1), ("is_not_one_of", 1)):
        rule = parse(of(germans, op=op), words)
        assert preview.count(scope=scope, rule=rule, channel="email", now=now).matched == matched
    assert sentence(parse(of(germans), words), words) == "People where audience is one of “Germans”"


def test_no_audience_gets_inside_itself(make: Any, change: Any) -> None:
    inner = make("Inner")
    middle = make("Middle", of(inner))
    outer = make("Outer", of(middle))
    with pytest.raises(NestedWrongly, match="inside itself"):
        change(inner, of(outer))
    with pytest.raises(NestedWrongly, match="inside itself"):
        change(inner, of(inner))


def test_nesting_has_an_end_seen_from_above_and_from_below(make: Any, change: Any) -> None:
    first = make("First")
    second = make("Second", of(first))
    third = make("Third", of(second))
    fourth = make("Fourth", of(third))
    with pytest.raises(NestedWrongly, match="3 deep"):
        make("Fifth", of(fourth))
    other = make("Other")
    with pytest.raises(NestedWrongly, match="contains this audience"):
        change(first, of(other))


def test_an_audience_inside_another_is_not_deleted(scope: Scope, actor: Actor, now: datetime, make: Any) -> None:
    inner = make("Inner")
    make("Outer", of(inner))
    with pytest.raises(AudienceInUse, match="“Outer” contains"):
        definitions.archive(scope=scope, actor=actor, audience_id=inner.public_id, state_version=1, now=now)


def test_a_change_below_a_scheduled_campaign_asks_for_a_yes(
    make: Any, change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = make("Inner")
    outer = make("Outer", of(inner))
    spring = uses.Use("Spring", "scheduled", "campaign-detail", "cmp_1", scheduled=True)
    monkeypatch.setattr(uses, "_use_providers", [lambda _, keys: {outer.pk: [spring]} if outer.pk in keys else {}])
    with pytest.raises(AudienceInUse, match="Spring"):
        change(inner, {"all": []})
    assert change(inner, {"all": []}, confirmed=True).version == 2


def test_what_nobody_knows_is_refused_by_pointer(scope: Scope) -> None:
    rule = {
        "all": [
            {"field": "audience", "op": "is", "value": "aud_unknown"},
            {"field": "received", "op": "is", "value": "cmp_unknown"},
            {"field": "reached.nowhere", "op": "exists"},
            {"field": "session_events", "op": "at_least_times", "value": [0, 30]},
            {"field": "session_events", "op": "at_least_times", "value": 3},
        ]
    }
    with pytest.raises(Invalid) as refusal:
        parse(rule, load(scope))
    assert [(each.pointer, each.code) for each in refusal.value.problems] == [
        ("#/all/0/value", "unknown_value"),
        ("#/all/1/value", "unknown_value"),
        ("#/all/2/field", "unknown_field"),
        ("#/all/3/value/0", "not_times"),
        ("#/all/4/value", "not_times"),
    ]
