"""A rule that somebody is still writing: a tree with an id for every row. It may be unfinished."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

from audiences.rules import fields
from audiences.rules.ast import Condition, Group, Mode, Rule
from audiences.rules.operators import Operator, operator
from audiences.rules.vocabulary import Vocabulary

NODES_MAX: Final = 200  # of one form; a rule of 40 conditions in groups needs fewer
TRAIT: Final = "trait"  # the field that stands for all traits


@dataclass(frozen=True, slots=True)
class DraftCondition:
    """One row of the builder. `values` are texts as typed."""

    id: str
    field: str
    op: str
    values: tuple[str, ...] = ()
    trait: str = ""
    trait_type: str = "text"

    @property
    def asked(self) -> fields.Field:
        """The field in question; a trait without a name yet has a placeholder one."""
        if self.field == TRAIT:
            trait_type = self.trait_type if self.trait_type in fields.TRAIT_TYPES else "text"
            found = fields.find(fields.TRAIT_PREFIX + (self.trait or "?"), trait_type)
            return found or fields.Field(TRAIT, "Trait", "Traits", "text", "trait", "p.traits")
        found = fields.find(self.field)
        assert found is not None, f"{self.field} was never checked"
        return found

    @property
    def chosen(self) -> Operator:
        found = operator(self.asked.type, self.op)
        assert found is not None, f"{self.op} was never checked against {self.field}"
        return found


@dataclass(frozen=True, slots=True)
class DraftGroup:
    id: str
    mode: Mode = "all"
    children: tuple["DraftNode", ...] = ()


DraftNode = DraftCondition | DraftGroup
ROOT: Final = "root"


def blank(vocabulary: Vocabulary, today: date) -> DraftGroup:
    """Where a new audience starts: one condition that is whole already."""
    return DraftGroup(ROOT, "all", (new_condition("n1", vocabulary, today),))


def from_rule(rule: Rule) -> DraftGroup:
    """The draft that shows a stored rule."""
    ids = iter(f"n{number}" for number in range(1, NODES_MAX + 1))
    return _group_of(rule.root, ROOT, ids)


def walk(node: DraftNode, depth: int = 1) -> Iterator[tuple[DraftNode, int]]:
    """Every node with its depth, parents first. The root is at depth 1."""
    yield node, depth
    if isinstance(node, DraftGroup):
        for child in node.children:
            yield from walk(child, depth + 1)


def shape(condition: DraftCondition) -> str:
    """What the value of a row is a value of. A value is kept while this stays, and replaced when it changes."""
    takes = {"many": "one", "days_range": "day", "range": "one"}.get(condition.chosen.takes, condition.chosen.takes)
    return f"{condition.field}.{condition.asked.type}.{takes}"


def new_condition(node: str, vocabulary: Vocabulary, today: date) -> DraftCondition:
    fresh = DraftCondition(node, "last_session", "within_last")
    return replace(fresh, values=first_values(fresh, vocabulary, today))


def first_values(condition: DraftCondition, vocabulary: Vocabulary, today: date) -> tuple[str, ...]:
    """What a row holds before anybody typed: a value that works where there is one."""
    takes, asked = condition.chosen.takes, condition.asked
    if takes == "nothing":
        return ()
    if takes == "campaign_days":
        return (fields.ANY_CAMPAIGN, "30")
    if takes == "days":
        return ("30",)
    if takes == "day":
        return (today.isoformat(),)
    if takes == "days_range":
        return ((today - timedelta(days=30)).isoformat(), today.isoformat())
    if takes in ("range", "times"):
        return ("1", "10") if takes == "range" else ("1", "30")
    if asked.type in ("number", "boolean"):
        return ("1" if asked.type == "number" else "true",)
    return tuple(list(vocabulary.choices(asked))[:1]) or ("",)


def _group_of(group: Group, node_id: str, ids: Iterator[str]) -> DraftGroup:
    children = tuple(
        _group_of(child, next(ids), ids) if isinstance(child, Group) else _condition_of(child, next(ids))
        for child in group.children
    )
    return DraftGroup(node_id, group.mode, children)


def _condition_of(condition: Condition, node_id: str) -> DraftCondition:
    given = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    values = tuple(_typed(each) for each in given if each is not None)
    if condition.type is None:
        return DraftCondition(node_id, condition.field, condition.op, values)
    name = condition.field.removeprefix(fields.TRAIT_PREFIX)
    return DraftCondition(node_id, TRAIT, condition.op, values, name, condition.type)


def _typed(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
