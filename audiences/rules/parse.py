"""JSON from outside becomes a Rule, or an Invalid that names every wrong place by JSON pointer. Nothing is guessed."""

import math
import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from audiences.rules import fields
from audiences.rules.ast import CONDITIONS_MAX, DEPTH_MAX, MODES, Condition, Group, Mode, Node, Rule, Scalar, Value
from audiences.rules.operators import Operator, operator, operators_of
from audiences.rules.vocabulary import Vocabulary, is_id
from lamba_campaigns.lib.errors import FieldProblem, Invalid

TEXT_LENGTH_MAX = 200
VALUES_MAX = 100
DAYS_MAX = 3650
TIMES_MAX = 1000
NUMBER_MAX = 2**53 - 1
YEARS = range(1900, 3000)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_CONDITION_KEYS = ("field", "op", "value", "type")


class _Wrong(Exception):
    """One wrong place: where it is below the node, a code, and what was given and is accepted."""

    def __init__(self, code: str, detail: str, where: str = "") -> None:
        super().__init__(detail)
        self.code, self.detail, self.where = code, detail, where


def parse(given: Any, vocabulary: Vocabulary | None = None, *, at: str = "#") -> Rule:
    """The rule, with lists sorted and texts trimmed, so that equal rules have equal digests.

    `vocabulary` is the environment's; None skips only the check of names, for rules that were checked when stored.
    `at` is where the rule stands in what was sent. Invalid lists all problems at once.
    """
    reader = _Reader(vocabulary)
    root = reader.root(given, at)
    if reader.problems or not isinstance(root, Group):
        count = len(reader.problems)
        places = "1 place" if count == 1 else f"{count} places"
        raise Invalid(
            f"The rule can't be used: {places} must be corrected. {reader.problems[0].detail}",
            next_step="Correct each place named in errors; GET /api/v1/audiences/fields lists what is accepted.",
            problems=tuple(reader.problems),
        )
    return Rule(root)


class _Reader:
    """Walks the JSON once. A wrong node is noted and left out, so that the problems of all others are found too."""

    def __init__(self, vocabulary: Vocabulary | None) -> None:
        self.vocabulary = vocabulary
        self.problems: list[FieldProblem] = []
        self.condition_count = 0

    def root(self, given: Any, at: str) -> Node | None:
        found = self._noted(self._root, given, at, 1)
        if self.condition_count > CONDITIONS_MAX:
            detail = f"A rule may have {CONDITIONS_MAX} conditions; this one has {self.condition_count}."
            self.problems.append(FieldProblem(at, "too_many_conditions", detail))
        return found

    def _noted(self, read: Callable[[Any, str, int], Node], given: Any, at: str, depth: int) -> Node | None:
        try:
            return read(given, at, depth)
        except _Wrong as wrong:
            self.problems.append(FieldProblem(f"{at}{wrong.where}", wrong.code, wrong.detail))
            return None

    def _root(self, given: Any, at: str, depth: int) -> Node:
        if not isinstance(given, dict) or "field" in given:
            raise _Wrong("not_a_group", f'{_shown(given)} is not a group. Start with {{"all": [ … ]}}.')
        return self._group(given, at, depth)

    def _node(self, given: Any, at: str, depth: int) -> Node:
        if isinstance(given, dict) and any(mode in given for mode in MODES):
            return self._group(given, at, depth)
        if isinstance(given, dict) and ("field" in given or "op" in given):
            self.condition_count += 1
            return self._condition(given, at)
        accepted = 'a condition {"field", "op", "value"} or a group {"all" | "any" | "none": [ … ]}'
        raise _Wrong("not_a_node", f"{_shown(given)} was given; {accepted} is accepted.")

    def _group(self, given: dict[str, Any], at: str, depth: int) -> Group:
        modes: list[Mode] = [mode for mode in MODES if mode in given]
        if len(given) != 1 or len(modes) != 1:
            keys = ", ".join(sorted(map(str, given))) or "nothing"
            raise _Wrong("not_a_group", f"A group has exactly one of all, any, none; this has {keys}.")
        mode = modes[0]
        children = given[mode]
        if not isinstance(children, list):
            raise _Wrong("not_a_list", f"{_shown(children)} was given; a list of conditions is accepted.", f"/{mode}")
        if depth > DEPTH_MAX:
            raise _Wrong("too_deep", f"Groups may be nested {DEPTH_MAX} deep; this one is at depth {depth}.")
        if not children and (depth > 1 or mode != "all"):
            detail = (
                'The group is empty. Add a condition or remove the group; only a whole rule of {"all": []} is everyone.'
            )
            raise _Wrong("empty_group", detail, f"/{mode}")
        found = [
            self._noted(self._node, child, f"{at}/{mode}/{index}", depth + 1) for index, child in enumerate(children)
        ]
        return Group(mode, tuple(child for child in found if child is not None))

    def _condition(self, given: dict[str, Any], at: str) -> Condition:
        for key in sorted(set(map(str, given)) - set(_CONDITION_KEYS)):
            detail = f"Unknown key {key!r}. Accepted here: {', '.join(_CONDITION_KEYS)}."
            self.problems.append(FieldProblem(f"{at}/{_escape(key)}", "unknown_field", detail))
        asked = _field(given, self.vocabulary)
        chosen = operator(asked.type, given["op"]) if isinstance(given.get("op"), str) else None
        if chosen is None:
            accepted = ", ".join(each.key for each in operators_of(asked.type))
            detail = f"{_shown(given.get('op'))} is no operator of {asked.label}. Accepted: {accepted}."
            raise _Wrong("unknown_operator", detail, "/op")
        value = _value(given, asked, chosen, self.vocabulary)
        return Condition(asked.key, chosen.key, value, asked.type if asked.storage == "trait" else None)


def _field(given: dict[str, Any], vocabulary: Vocabulary | None) -> fields.Field:
    key, trait_type = given.get("field"), given.get("type")
    is_trait = isinstance(key, str) and key.startswith(fields.TRAIT_PREFIX)
    if is_trait and trait_type not in fields.TRAIT_TYPES:
        accepted = ", ".join(fields.TRAIT_TYPES)
        detail = f"A trait needs its type; {_shown(trait_type)} was given. Accepted: {accepted}."
        raise _Wrong("unknown_type", detail, "/type")
    if not is_trait and trait_type is not None:
        raise _Wrong("unknown_field", "Only traits take a type; this field has its own.", "/type")
    found = fields.find(key, trait_type) if isinstance(key, str) else None
    if found is None:
        accepted = f"{', '.join(fields.CATALOGUE)}, reached.<stage> or trait.<name>"
        raise _Wrong("unknown_field", f"{_shown(key)} is no field. Accepted: {accepted}.", "/field")
    if vocabulary is not None and found.storage == "reached":
        _require_stage(found, vocabulary)
    return found


def _require_stage(asked: fields.Field, vocabulary: Vocabulary) -> None:
    stages = vocabulary.choices(fields.CATALOGUE["lifecycle"])
    if asked.key.removeprefix(fields.REACHED_PREFIX) not in stages:
        accepted = ", ".join(f"{fields.REACHED_PREFIX}{stage}" for stage in stages)
        raise _Wrong("unknown_field", f"{_shown(asked.key)} is no stage here. Accepted: {accepted}.", "/field")


def _value(given: dict[str, Any], asked: fields.Field, chosen: Operator, vocabulary: Vocabulary | None) -> Value:
    value = given.get("value")
    if chosen.takes == "nothing":
        if value is not None:
            raise _Wrong("unexpected_value", f"{_shown(value)} was given; {chosen.key} takes no value.", "/value")
        return None
    if "value" not in given:
        raise _Wrong("missing_value", f"{asked.label} {chosen.words} what? A value is missing.", "/value")

    def one(each: Any) -> Scalar:
        return _scalar(each, asked, chosen, vocabulary)

    try:
        if chosen.takes == "many":
            return _many(value, one)
        if chosen.takes == "times":
            return _times(value)
        if chosen.takes == "campaign_days":
            return _campaign_days(value, one)
        return _range(value, one) if chosen.takes in ("range", "days_range") else one(value)
    except _Wrong as wrong:
        raise _Wrong(wrong.code, wrong.detail, f"/value{wrong.where}") from None


def _many(value: Any, one: Callable[[Any], Scalar]) -> tuple[Scalar, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= VALUES_MAX:
        raise _Wrong("not_a_list", f"{_shown(value)} was given; a list of 1 to {VALUES_MAX} values is accepted.")
    return tuple(sorted({_at(index, one, each) for index, each in enumerate(value)}, key=str))


def _range(value: Any, one: Callable[[Any], Scalar]) -> tuple[Scalar, ...]:
    if not isinstance(value, list) or len(value) != 2:
        raise _Wrong("not_a_range", f"{_shown(value)} was given; a list of two values, [from, to], is accepted.")
    low, high = _at(0, one, value[0]), _at(1, one, value[1])
    if low > high:  # type: ignore[operator]
        raise _Wrong("not_a_range", f"{_shown(value)} runs backwards; the first value may not be above the second.")
    return (low, high)


def _times(value: Any) -> tuple[Scalar, ...]:
    if not isinstance(value, list) or len(value) != 2:
        raise _Wrong("not_times", f"{_shown(value)} was given; [times, days] is accepted, such as [3, 30].")
    for index, (each, most) in enumerate(zip(value, (TIMES_MAX, DAYS_MAX), strict=True)):
        if not isinstance(each, int) or isinstance(each, bool) or not 1 <= each <= most:
            detail = f"{_shown(each)} was given; a whole number from 1 to {most} is accepted."
            raise _Wrong("not_times", detail, f"/{index}")
    return (value[0], value[1])


def _campaign_days(value: Any, one: Callable[[Any], Scalar]) -> tuple[Scalar, ...]:
    if not isinstance(value, list) or len(value) != 2:
        accepted = f'[campaign, days] is accepted, such as ["cmp_…", 30] or ["{fields.ANY_CAMPAIGN}", 30]'
        raise _Wrong("not_campaign_days", f"{_shown(value)} was given; {accepted}.")
    campaign = value[0] if value[0] == fields.ANY_CAMPAIGN else _at(0, one, value[0])
    return (campaign, _at(1, _days, value[1]))


def _at(index: int, one: Callable[[Any], Scalar], value: Any) -> Scalar:
    try:
        return one(value)
    except _Wrong as wrong:
        raise _Wrong(wrong.code, wrong.detail, f"/{index}") from None


def _scalar(value: Any, asked: fields.Field, chosen: Operator, vocabulary: Vocabulary | None) -> Scalar:
    if chosen.takes == "days":
        return _days(value)
    if chosen.takes in ("day", "days_range"):
        return _day(value)
    if asked.type == "number":
        return _number(value)
    if asked.type == "boolean":
        if isinstance(value, bool):
            return value
        raise _Wrong("not_a_boolean", f"{_shown(value)} was given; true or false is accepted.")
    text = _text(value)
    return _name(text, asked, vocabulary) if asked.type in ("choice", "set", "campaigns", "audiences") else text


def _days(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= DAYS_MAX:
        return value
    raise _Wrong("not_days", f"{_shown(value)} was given; a whole number of days from 0 to {DAYS_MAX} is accepted.")


def _day(value: Any) -> str:
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            if date.fromisoformat(value).year in YEARS:
                return value
        except ValueError:
            pass
    raise _Wrong("not_a_date", f"{_shown(value)} was given; a date such as 2026-11-23 is accepted.")


def _number(value: Any) -> int | float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= NUMBER_MAX:
        return int(value) if float(value).is_integer() else value
    wrong = "NaN" if isinstance(value, float) and math.isnan(value) else _shown(value)
    raise _Wrong("not_a_number", f"{wrong} was given; a number up to {NUMBER_MAX} is accepted.")


def _text(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise _Wrong("not_a_text", f"{_shown(value)} was given; a text that is not empty is accepted.")
    if len(text) > TEXT_LENGTH_MAX or not _storable(text):
        raise _Wrong("not_a_text", f"A text of up to {TEXT_LENGTH_MAX} printable characters is accepted.")
    return text


def _storable(text: str) -> bool:
    return not any(ord(letter) < 32 or 0xD800 <= ord(letter) <= 0xDFFF for letter in text)


def _name(text: str, asked: fields.Field, vocabulary: Vocabulary | None) -> str:
    if asked.key == "country":
        text = text.upper()
    if asked.type in ("campaigns", "audiences"):
        if is_id(asked, text) and (vocabulary is None or vocabulary.accepts(asked, text)):
            return text
    elif (vocabulary or Vocabulary()).accepts(asked, text) or (vocabulary is None and asked.vocabulary):
        return text
    accepted: Sequence[str] = list((vocabulary or Vocabulary()).choices(asked))
    shown = ", ".join(accepted[:20]) + (" …" if len(accepted) > 20 else "") if accepted else "none was seen here yet"
    raise _Wrong("unknown_value", f"{text!r} is no {asked.label.lower()} here. Accepted: {shown}.")


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "Nothing"
    text = repr(value) if isinstance(value, (str, int, float, bool)) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:59]}…"


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
