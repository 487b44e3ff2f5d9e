"""The sentence of a rule, as the builder shows it."""

from typing import Any

import pytest

from audiences.rules.parse import parse
from audiences.rules.sentence import parts, sentence
from audiences.tests.strategies import VOCABULARY


def said(rule: dict[str, Any]) -> str:
    return sentence(parse(rule, VOCABULARY), VOCABULARY)


def test_a_nested_rule_reads_like_a_sentence() -> None:
    rule = {
        "all": [
            {"field": "country", "op": "is", "value": "DE"},
            {
                "any": [
                    {"field": "last_session", "op": "within_last", "value": 30},
                    {"field": "session_count", "op": "at_least", "value": 5},
                    {"any": [{"field": "segment", "op": "is", "value": "beta"}]},
                ]
            },
            {
                "none": [
                    {"field": "lifecycle", "op": "is", "value": "churn_risk"},
                    {"field": "role", "op": "is", "value": "guest"},
                ]
            },
        ]
    }
    assert said(rule) == (
        "People where country is Germany and (last session within the last 30 days or sessions at least 5"
        " or segment is Beta programme) and (neither lifecycle stage is Churn risk nor role is Guest)"
    )


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"field": "plan", "op": "is_one_of", "value": ["pro", "free"]}, "plan is one of Free or Pro"),
        ({"field": "segment", "op": "exists"}, "segment is set"),
        ({"field": "country", "op": "not_exists"}, "country is not known"),
        ({"field": "last_session", "op": "more_than_ago", "value": 1}, "last session more than 1 day ago"),
        ({"field": "created", "op": "on", "value": "2026-11-03"}, "first seen on 3 Nov 2026"),
        (
            {"field": "created", "op": "between", "value": ["2026-11-03", "2026-12-24"]},
            "first seen between 3 Nov 2026 and 24 Dec 2026",
        ),
        ({"field": "name", "op": "contains", "value": "Ana"}, "full name contains “Ana”"),
        ({"field": "consent", "op": "is", "value": "sms"}, "consent to contact is SMS"),
        ({"field": "trait.seats", "type": "number", "op": "at_least", "value": 1200}, "seats at least 1,200"),
        (
            {"field": "opened", "op": "within_last", "value": ["cmp_spring", 30]},
            "opened campaign “Spring” within the last 30 days",
        ),
        (
            {"field": "received", "op": "not_within_last", "value": ["any", 1]},
            "not received any campaign within the last 1 day",
        ),
        ({"field": "trait.beta", "type": "boolean", "op": "is_not", "value": True}, "beta is not yes"),
        (
            {"field": "country", "op": "is_one_of", "value": ["DE", "FR", "US", "AT", "CH", "NL"]},
            "country is one of Austria, Switzerland, Germany, France or 2 more",
        ),
    ],
)
def test_every_kind_of_value_has_words(condition: dict[str, Any], expected: str) -> None:
    assert said({"all": [condition]}) == f"People where {expected}"


def test_a_rule_that_forbids_one_thing_says_not() -> None:
    country = {"field": "country", "op": "is", "value": "DE"}
    assert said({"none": [country]}) == "People where not country is Germany"
    assert said({"all": [{"none": [country]}]}) == "People where (not country is Germany)"


def test_only_conditions_are_strong() -> None:
    country = {"field": "country", "op": "is", "value": "DE"}
    found = parts(parse({"all": [country, {"any": [country, country]}]}, VOCABULARY), VOCABULARY)
    assert [part.text for part in found if part.tone == "strong"] == ["country is Germany"] * 3
    assert [part.text for part in found if part.tone == "faint"] == ["(", ")"]
