"""The builder's form: what a page shows comes back as the same rule, and junk never breaks it."""

from datetime import date
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given, settings
from hypothesis import strategies as st

from audiences.builder import draft as drafts
from audiences.builder.draft import ROOT, TRAIT, DraftCondition, DraftGroup, walk
from audiences.builder.form import as_json, from_form
from audiences.builder.rows import Showing, rows
from audiences.builder.steps import act
from audiences.rules.ast import CONDITIONS_MAX
from audiences.rules.parse import parse
from audiences.tests import strategies as ours
from audiences.tests.forms import posted

TODAY = date(2026, 11, 23)
START = drafts.blank(ours.VOCABULARY, TODAY)


def read(data: QueryDict) -> DraftGroup:
    return from_form(data, ours.VOCABULARY, TODAY)


def do(draft: DraftGroup, *steps: str) -> DraftGroup:
    for step in steps:
        draft = act(draft, step, ours.VOCABULARY, TODAY).draft
    return draft


def only(draft: DraftGroup) -> DraftCondition:
    (child,) = draft.children
    assert isinstance(child, DraftCondition)
    return child


@settings(max_examples=150, deadline=None)
@given(given_rule=ours.pools().flatmap(ours.rules))
def test_a_rule_survives_the_page_and_the_form(given_rule: dict[str, Any]) -> None:
    rule = parse(given_rule, ours.VOCABULARY)
    shown = drafts.from_rule(rule)
    again = read(posted(rows(shown, Showing(ours.VOCABULARY, {}, {}))))
    assert [(node.id, depth) for node, depth in walk(again)] == [(node.id, depth) for node, depth in walk(shown)]
    assert parse(as_json(again)[0], ours.VOCABULARY) == rule


_keys = st.tuples(st.sampled_from("kpmfovwtys"), st.sampled_from(["root", "n1", "n2", "n3", "<x>"])).map(".".join)
_words = st.sampled_from(
    ["g", "c", "root", "n1", "n2", "n3", "any", "country", "trait", "is", "between", "7", "\x00", ""]
)


@settings(max_examples=300, deadline=None)
@given(
    nodes=st.lists(st.sampled_from(["root", "n1", "n2", "n3", "../x", ""]), max_size=8),
    pairs=st.lists(st.tuples(_keys, _words | st.text(max_size=5)), max_size=25),
    step=st.sampled_from(["cond:root", "group:n1", "dup:n2", "del:n3", "del:root", "dup:root", "x", ""]),
)
def test_a_form_of_junk_still_gives_a_page(nodes: list[str], pairs: list[tuple[str, str]], step: str) -> None:
    data = QueryDict(mutable=True)
    data.setlist("node", nodes)
    for key, value in pairs:
        data.appendlist(key, value)
    found = do(read(data), step)
    assert found.id == ROOT
    assert rows(found, Showing(ours.VOCABULARY, {}, {})).id == ROOT
    assert as_json(found)


def test_a_new_condition_works_at_once_and_gets_the_focus() -> None:
    step = act(START, "cond:root", ours.VOCABULARY, TODAY)
    assert step.focus == "f-n2"
    assert [child.id for child in step.draft.children] == ["n1", "n2"]
    assert parse(as_json(step.draft)[0], ours.VOCABULARY)


def test_a_new_group_joins_the_other_way_and_brings_a_condition() -> None:
    group = do(START, "group:root").children[1]
    assert isinstance(group, DraftGroup)
    assert (group.mode, len(group.children)) == ("any", 1)


def test_groups_nest_four_deep() -> None:
    deep = do(START, "group:root", "group:n3", "group:n5")
    refused = act(deep, "group:n7", ours.VOCABULARY, TODAY)
    assert refused.draft == deep
    assert refused.refused
    assert max(depth for node, depth in walk(deep) if isinstance(node, DraftGroup)) == 4


def test_a_rule_stops_growing_at_its_limit() -> None:
    full = do(START, *["cond:root"] * (CONDITIONS_MAX - 1))
    assert len(full.children) == CONDITIONS_MAX
    for step in ("cond:root", "group:root", "dup:n1"):
        assert act(full, step, ours.VOCABULARY, TODAY).refused


def test_a_copy_stands_beside_its_original() -> None:
    draft = do(START, "group:root", "cond:root", "dup:n3")
    kinds = [type(child).__name__ for child in draft.children]
    assert kinds == ["DraftCondition", "DraftGroup", "DraftGroup", "DraftCondition"]
    ids = [node.id for node, _ in walk(draft)]
    assert len(ids) == len(set(ids))


def test_removing_the_last_row_of_a_group_removes_the_group() -> None:
    step = act(do(START, "group:root"), "del:n2", ours.VOCABULARY, TODAY)
    assert [child.id for child in step.draft.children] == ["n1"]
    assert step.focus == "add-root"


def test_removing_everything_leaves_a_rule_for_everyone() -> None:
    assert as_json(do(START, "del:n1"))[0] == {"all": []}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"f.n1": "country"}, ("country", "is", ("AF",))),  # another field: a fresh value of its own
        ({"f.n1": "session_count"}, ("session_count", "at_least", ("1",))),
        ({"f.n1": "role"}, ("role", "is", ("admin",))),
        ({"o.n1": "more_than_ago"}, ("last_session", "more_than_ago", ("30",))),  # the same kind of value: kept
        ({"o.n1": "before"}, ("last_session", "before", ("2026-11-23",))),
        ({"o.n1": "between"}, ("last_session", "between", ("2026-10-24", "2026-11-23"))),
        ({"o.n1": "exists"}, ("last_session", "exists", ())),
        ({"o.n1": "contains"}, ("last_session", "within_last", ("30",))),  # no operator of this field
        ({"f.n1": "moon"}, ("last_session", "within_last", ("30",))),
        ({"v.n1": "lots"}, ("last_session", "within_last", ("lots",))),  # wrong, but what was typed stays
    ],
)
def test_a_changed_row_keeps_what_still_fits(changes: dict[str, str], expected: tuple[Any, ...]) -> None:
    data = posted(rows(START, Showing(ours.VOCABULARY, {}, {})))
    for key, value in changes.items():
        data[key] = value
    found = only(read(data))
    assert (found.field, found.op, found.values) == expected


def test_a_trait_has_a_name_and_a_type() -> None:
    data = posted(rows(START, Showing(ours.VOCABULARY, {}, {})))
    data["f.n1"], data["t.n1"], data["y.n1"] = TRAIT, " seats ", "number"
    found = only(read(data))
    assert (found.trait, found.trait_type, found.op, found.values) == ("seats", "number", "at_least", ("1",))
    assert as_json(read(data))[0] == {"all": [{"field": "trait.seats", "type": "number", "op": "at_least", "value": 1}]}


def test_a_wrong_value_is_the_parsers_to_name() -> None:
    data = posted(rows(START, Showing(ours.VOCABULARY, {}, {})))
    data["v.n1"] = "1,5 days"
    rule, paths = as_json(read(data))
    assert rule["all"][0]["value"] == "1,5 days"
    assert paths == {"": ROOT, "/all/0": "n1"}
