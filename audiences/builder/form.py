"""Flat form inputs to a draft, and a draft to the JSON that the parser reads.

Inputs: `node` (ids in reading order), and per id `k` (g or c), `p` (parent), `m` (mode of a group), `f` (field),
`o` (operator), `v` (values), `w` (second value), `t` and `y` (name and type of a trait), `s` (the shape that `v` had).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from django.http import QueryDict

from audiences.builder.draft import NODES_MAX, ROOT, TRAIT, DraftCondition, DraftGroup, DraftNode, first_values, shape
from audiences.rules import fields
from audiences.rules.ast import DEPTH_MAX, MODES, Mode
from audiences.rules.operators import Operator, operator, operators_of
from audiences.rules.vocabulary import Vocabulary

_ID = re.compile(r"[a-z0-9]{1,12}", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,19}", re.ASCII)
_BROKEN = re.compile(r"-?(\d+[.]?\d*|[.]\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)


def from_form(data: QueryDict, vocabulary: Vocabulary, today: date) -> DraftGroup:
    """The draft that a form describes. What does not hang together is left out; a changed field gets a fresh value."""
    ids = [node for node in data.getlist("node")[:NODES_MAX] if _ID.fullmatch(node)]
    below: dict[str, list[str]] = {}
    for node in dict.fromkeys(ids):
        if node != ROOT:
            below.setdefault(data.get(f"p.{node}", ""), []).append(node)
    return _read_group(ROOT, data, below, vocabulary, today, depth=1)


def as_json(draft: DraftGroup) -> tuple[dict[str, Any], dict[str, str]]:
    """The rule as JSON for the parser, and node path -> node id."""
    paths: dict[str, str] = {}
    return _group_json(draft, "", paths), paths


def _read_group(
    node: str, data: QueryDict, below: Mapping[str, list[str]], vocabulary: Vocabulary, today: date, depth: int
) -> DraftGroup:
    children: list[DraftNode] = []
    for child in below.get(node, ()):
        if data.get(f"k.{child}", "") == "c":
            children.append(_read_condition(child, data, vocabulary, today))
        elif depth < DEPTH_MAX:
            children.append(_read_group(child, data, below, vocabulary, today, depth + 1))
    given = data.get(f"m.{node}", "")
    mode: Mode = given if given in MODES else "all"
    return DraftGroup(node, mode, tuple(children))


def _read_condition(node: str, data: QueryDict, vocabulary: Vocabulary, today: date) -> DraftCondition:
    key = data.get(f"f.{node}", "")
    known = key if key == TRAIT or any(each.key == key for each in vocabulary.fields()) else "last_session"
    read = DraftCondition(
        node, known, "", (), data.get(f"t.{node}", "").strip()[:63], data.get(f"y.{node}", "") or "text"
    )
    if read.trait_type not in fields.TRAIT_TYPES:
        read = replace(read, trait_type="text")
    given = data.get(f"o.{node}", "")
    op = given if operator(read.asked.type, given) else operators_of(read.asked.type)[0].key
    read = replace(read, op=op)
    shown = data.get(f"s.{node}", shape(read))
    values = _given_values(node, data, read.chosen) if shown == shape(read) else ()
    return replace(read, values=values or first_values(read, vocabulary, today))


def _given_values(node: str, data: QueryDict, chosen: Operator) -> tuple[str, ...]:
    values = [str(text).strip() for text in data.getlist(f"v.{node}")]
    if chosen.takes in ("range", "days_range", "times", "campaign_days"):
        return (values[0] if values else "", data.get(f"w.{node}", "").strip())
    if chosen.takes == "many":
        lines = [line.strip() for text in values for line in text.split("\n")]
        return tuple(dict.fromkeys(line for line in lines if line)) or ("",)
    return tuple(values[:1])


def _group_json(group: DraftGroup, path: str, paths: dict[str, str]) -> dict[str, Any]:
    paths[path] = group.id
    found: list[dict[str, Any]] = []
    for index, child in enumerate(group.children):
        below = f"{path}/{group.mode}/{index}"
        if isinstance(child, DraftGroup):
            found.append(_group_json(child, below, paths))
        else:
            paths[below] = child.id
            found.append(_condition_json(child))
    return {group.mode: found}


def _condition_json(condition: DraftCondition) -> dict[str, Any]:
    asked, takes = condition.asked, condition.chosen.takes
    found: dict[str, Any] = {"field": condition.field, "op": condition.op}
    if condition.field == TRAIT:
        found |= {"field": fields.TRAIT_PREFIX + condition.trait, "type": asked.type}
    if takes == "nothing":
        return found
    if takes == "campaign_days":
        campaign, days = (*condition.values, "", "")[:2]
        return found | {"value": [campaign, _value(days, asked, "days")]}
    values = [_value(text, asked, takes) for text in condition.values]
    if takes in ("many", "range", "days_range", "times"):
        return found | {"value": values}
    return found | {"value": values[0] if values else ""}


def _value(text: str, asked: fields.Field, takes: str) -> Any:
    """What was typed, as JSON. What does not fit stays a text, so that the parser can say what is wrong with it."""
    if takes in ("day", "days_range"):
        return text
    if takes in ("days", "times") or asked.type == "number":
        plain = text.replace(",", "").replace("_", "")
        if _WHOLE.fullmatch(plain):
            return int(plain)
        return float(plain) if asked.type == "number" and takes != "days" and _BROKEN.fullmatch(plain) else text
    if asked.type == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text
