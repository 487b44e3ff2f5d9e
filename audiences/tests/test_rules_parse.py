"""What the parser accepts, and how it names every place that it does not."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiences.rules.ast import CONDITIONS_MAX, Condition, Group
from audiences.rules.parse import DAYS_MAX, VALUES_MAX, parse
from audiences.rules.sentence import sentence
from audiences.tests import strategies as ours
from lamba_campaigns.lib.errors import Invalid

COUNTRY = {"field": "country", "op": "is", "value": "DE"}


def problems_of(rule: Any, at: str = "#") -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        parse(rule, ours.VOCABULARY, at=at)
    return [(problem.pointer, problem.code) for problem in caught.value.problems]


def condition(field: str, op: str, *value: Any, **more: Any) -> dict[str, Any]:
    return {"all": [{"field": field, "op": op, **({"value": value[0]} if value else {}), **more}]}


def test_a_rule_is_read_into_its_tree() -> None:
    rule = parse({"all": [COUNTRY, {"none": [{"field": "segment", "op": "is", "value": "vip"}]}]}, ours.VOCABULARY)
    assert rule.root == Group(
        "all", (Condition("country", "is", "DE"), Group("none", (Condition("segment", "is", "vip"),)))
    )
    assert [path for path, _ in rule.walk()] == ["", "/all/0", "/all/1", "/all/1/none/0"]
    assert rule.bits() == {"/all/0": 0, "/all/1/none/0": 1}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (None, ("#", "not_a_group")),
        ([], ("#", "not_a_group")),
        (COUNTRY, ("#", "not_a_group")),
        ({}, ("#", "not_a_group")),
        ({"all": [COUNTRY], "any": [COUNTRY]}, ("#", "not_a_group")),
        ({"all": [COUNTRY], "limit": 5}, ("#", "not_a_group")),
        ({"all": {}}, ("#/all", "not_a_list")),
        ({"any": []}, ("#/any", "empty_group")),
        ({"all": [{"none": []}]}, ("#/all/0/none", "empty_group")),
        ({"all": ["country"]}, ("#/all/0", "not_a_node")),
        ({"all": [{"value": 1}]}, ("#/all/0", "not_a_node")),
        ({"all": [{**COUNTRY, "valu": 1}]}, ("#/all/0/valu", "unknown_field")),
        ({"all": [{**COUNTRY, "a/b~": 1}]}, ("#/all/0/a~1b~0", "unknown_field")),
        (condition("countri", "is", "DE"), ("#/all/0/field", "unknown_field")),
        (condition("id); DROP TABLE x", "is", "DE"), ("#/all/0/field", "unknown_field")),
        ({"all": [{"field": 7, "op": "is", "value": 7}]}, ("#/all/0/field", "unknown_field")),
        (condition("country", "contains", "DE"), ("#/all/0/op", "unknown_operator")),
        (condition("country", "= 1 OR"), ("#/all/0/op", "unknown_operator")),
        ({"all": [{"field": "country", "op": ["is"], "value": "DE"}]}, ("#/all/0/op", "unknown_operator")),
        ({"all": [{"op": "is"}]}, ("#/all/0/field", "unknown_field")),
        (condition("country", "is"), ("#/all/0/value", "missing_value")),
        (condition("country", "is", None), ("#/all/0/value", "not_a_text")),
        (condition("country", "is", "Germany"), ("#/all/0/value", "unknown_value")),
        (condition("country", "exists", True), ("#/all/0/value", "unexpected_value")),
        (condition("country", "is_one_of", "DE"), ("#/all/0/value", "not_a_list")),
        (condition("country", "is_one_of", []), ("#/all/0/value", "not_a_list")),
        (condition("country", "is_one_of", ["DE"] * (VALUES_MAX + 1)), ("#/all/0/value", "not_a_list")),
        (condition("country", "is_one_of", ["DE", "XX"]), ("#/all/0/value/1", "unknown_value")),
        (condition("segment", "is", "nobody-made-this"), ("#/all/0/value", "unknown_value")),
        (condition("plan", "is", "platinum"), ("#/all/0/value", "unknown_value")),
        (condition("last_session", "within_last", "30"), ("#/all/0/value", "not_days")),
        (condition("last_session", "within_last", True), ("#/all/0/value", "not_days")),
        (condition("last_session", "within_last", -1), ("#/all/0/value", "not_days")),
        (condition("last_session", "within_last", DAYS_MAX + 1), ("#/all/0/value", "not_days")),
        (condition("last_session", "before", "2026-02-30"), ("#/all/0/value", "not_a_date")),
        (condition("last_session", "before", "26-02-03"), ("#/all/0/value", "not_a_date")),
        (condition("last_session", "before", "0999-02-03"), ("#/all/0/value", "not_a_date")),
        (condition("opened", "within_last", 30), ("#/all/0/value", "not_campaign_days")),
        (condition("opened", "within_last", ["cmp_nobody", 30]), ("#/all/0/value/0", "unknown_value")),
        (condition("opened", "within_last", ["any", -1]), ("#/all/0/value/1", "not_days")),
        (condition("last_session", "between", ["2026-02-03"]), ("#/all/0/value", "not_a_range")),
        (condition("last_session", "between", ["2026-02-03", "2026-02-02"]), ("#/all/0/value", "not_a_range")),
        (condition("last_session", "between", ["2026-02-03", "x"]), ("#/all/0/value/1", "not_a_date")),
        (condition("session_count", "at_least", "5"), ("#/all/0/value", "not_a_number")),
        (condition("session_count", "at_least", True), ("#/all/0/value", "not_a_number")),
        (condition("session_count", "at_least", 2**53), ("#/all/0/value", "not_a_number")),
        (condition("session_count", "at_least", float("nan")), ("#/all/0/value", "not_a_number")),
        (condition("name", "contains", " "), ("#/all/0/value", "not_a_text")),
        (condition("name", "contains", "a\x00"), ("#/all/0/value", "not_a_text")),
        (condition("name", "contains", "\ud800"), ("#/all/0/value", "not_a_text")),
        (condition("name", "contains", "x" * 201), ("#/all/0/value", "not_a_text")),
        (condition("name", "contains", "x", type="text"), ("#/all/0/type", "unknown_field")),
        (condition("trait.seats", "at_least", 5), ("#/all/0/type", "unknown_type")),
        (condition("trait.seats", "at_least", 5, type="money"), ("#/all/0/type", "unknown_type")),
        (condition("trait.", "at_least", 5, type="number"), ("#/all/0/field", "unknown_field")),
        (condition("trait.beta", "is", "yes", type="boolean"), ("#/all/0/value", "not_a_boolean")),
    ],
)
def test_a_wrong_place_is_named_by_its_pointer(rule: Any, expected: tuple[str, str]) -> None:
    assert problems_of(rule) == [expected]


def test_every_wrong_place_is_named_at_once() -> None:
    rule = {"all": [{"field": "x", "op": "is"}, COUNTRY, {"any": [{"field": "plan", "op": "near", "value": 1}, 5]}]}
    assert problems_of(rule, at="#/rule") == [
        ("#/rule/all/0/field", "unknown_field"),
        ("#/rule/all/2/any/0/op", "unknown_operator"),
        ("#/rule/all/2/any/1", "not_a_node"),
    ]


def test_the_problem_says_what_was_given_and_what_is_accepted() -> None:
    with pytest.raises(Invalid) as caught:
        parse(condition("plan", "is", "platinum"), ours.VOCABULARY)
    assert caught.value.problems[0].detail == "'platinum' is no plan here. Accepted: free, größer, pro."


def test_groups_nest_four_deep_and_no_deeper() -> None:
    rule: Any = COUNTRY
    for _ in range(4):
        rule = {"all": [rule]}
    assert parse(rule, ours.VOCABULARY)
    assert problems_of({"any": [rule]}) == [("#/any/0/all/0/all/0/all/0", "too_deep")]


def test_a_rule_has_forty_conditions_and_no_more() -> None:
    assert parse({"any": [COUNTRY] * CONDITIONS_MAX}, ours.VOCABULARY)
    assert problems_of({"any": [COUNTRY] * (CONDITIONS_MAX + 1)}) == [("#", "too_many_conditions")]


def test_equal_rules_have_equal_digests() -> None:
    one = condition("country", "is_one_of", ["US", "de", "DE"])
    two = condition("country", "is_one_of", ["DE", "US"])
    assert parse(one, ours.VOCABULARY).digest() == parse(two, ours.VOCABULARY).digest()
    assert parse(one, ours.VOCABULARY).digest() != parse({"all": [COUNTRY]}, ours.VOCABULARY).digest()


@settings(max_examples=200, deadline=None)
@given(given_rule=ours.pools().flatmap(ours.rules))
def test_a_stored_rule_reads_back_as_itself(given_rule: dict[str, Any]) -> None:
    rule = parse(given_rule, ours.VOCABULARY)
    again = parse(rule.as_json())
    assert again == rule
    assert again.digest() == rule.digest()


_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["all", "any", "none", "field", "op", "value", "type", "x"]),
            inner | st.sampled_from(["country", "is", "trait.x", "number", "DE"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(junk=_junk)
def test_junk_is_refused_and_never_crashes(junk: Any) -> None:
    refusal = None
    try:
        assert sentence(parse(junk, ours.VOCABULARY))
    except Invalid as caught:
        refusal = caught
    if refusal is not None:
        assert refusal.problems
        assert all(problem.pointer.startswith("#") and problem.detail for problem in refusal.problems)
