"""A draft as the page shows it: one row per node, with its widget, its choices, its count and its problem."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from audiences.builder.draft import TRAIT, DraftCondition, DraftGroup, DraftNode, shape
from audiences.rules import fields
from audiences.rules.ast import DEPTH_MAX
from audiences.rules.operators import Operator, operators_of
from audiences.rules.vocabulary import Vocabulary

PICKS_NAMED_MAX = 2


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One node as the page shows it."""

    id: str
    parent: str
    depth: int
    joiner: str  # and, or, nor; "" for the first
    hits: int | None
    problem: str
    mode: str = ""  # a group's; "" for a condition
    children: tuple["Row", ...] = ()
    can_nest: bool = False
    words: str = ""
    condition: DraftCondition | None = None
    widget: str = ""
    fields: Sequence[tuple[str, Sequence[Choice]]] = ()
    operators: Sequence[Choice] = ()
    choices: Sequence[Choice] = ()
    types: Sequence[Choice] = ()
    unit: str = ""
    shape: str = ""

    @property
    def modes(self) -> Sequence[tuple[str, str]]:
        return (("all", "All"), ("any", "Any"), ("none", "None"))

    @property
    def field_id(self) -> str:
        return f"f-{self.id}"

    @property
    def add_id(self) -> str:
        return f"add-{self.id}"

    @property
    def is_tall(self) -> bool:
        """Whether the row has a second line."""
        second_line = self.widget in ("lines", "campaign_days")
        return bool(self.problem or second_line or (self.condition and self.condition.field == TRAIT))

    @property
    def lines(self) -> str:
        return "\n".join(self.condition.values) if self.condition else ""

    @property
    def picked(self) -> str:
        """The chosen labels, as long as they fit: "Germany, France" or "5 chosen"."""
        chosen = [choice.label for choice in self.choices if choice.chosen]
        if not chosen:
            return "Choose"
        return ", ".join(chosen) if len(chosen) <= PICKS_NAMED_MAX else f"{len(chosen)} chosen"

    def walk(self) -> Iterator["Row"]:
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Showing:
    """What rows need beside the draft: numbers and problems by node id."""

    vocabulary: Vocabulary
    hits: Mapping[str, int]
    problems: Mapping[str, str]


def rows(draft: DraftGroup, showing: Showing) -> Row:
    """The root row with everything below it."""
    return _row(draft, "", 1, "", showing)


def _row(node: DraftNode, parent: str, depth: int, joiner: str, showing: Showing) -> Row:
    base = Row(node.id, parent, depth, joiner, showing.hits.get(node.id), showing.problems.get(node.id, ""))
    if isinstance(node, DraftCondition):
        return _condition_row(base, node, showing.vocabulary)
    word = {"all": "and", "any": "or", "none": "nor"}[node.mode]
    children = tuple(
        _row(child, node.id, depth + 1, word if index else "", showing) for index, child in enumerate(node.children)
    )
    return replace(base, mode=node.mode, children=children, can_nest=depth < DEPTH_MAX)


def _condition_row(base: Row, condition: DraftCondition, vocabulary: Vocabulary) -> Row:
    asked, chosen = condition.asked, condition.chosen
    labels = vocabulary.choices(asked)
    if chosen.takes == "campaign_days":
        labels = {fields.ANY_CAMPAIGN: "Any campaign", **labels}
    labels |= {
        value: vocabulary.label(asked, value)
        for value in condition.values[: 1 if chosen.takes == "campaign_days" else None]
        if labels and value and value not in labels
    }
    if asked.type == "boolean":
        labels = {"true": "yes", "false": "no"}
    choices = [Choice(value, label, value in condition.values) for value, label in labels.items()]
    widget = _widget(asked, chosen, bool(labels))
    if widget == "picks":
        choices.sort(key=lambda choice: not choice.chosen)  # of 250 countries the chosen ones stand on top
    return replace(
        base,
        condition=condition,
        words=f"{asked.label} {chosen.words}",
        widget=widget,
        fields=_field_choices(condition, vocabulary),
        operators=[Choice(each.key, each.words, each.key == chosen.key) for each in operators_of(asked.type)],
        choices=choices,
        types=[Choice(each, each, each == asked.type) for each in fields.TRAIT_TYPES],
        unit=_unit(asked, chosen),
        shape=shape(condition),
    )


def _widget(asked: fields.Field, chosen: Operator, has_choices: bool) -> str:
    if chosen.takes in ("nothing", "days", "day", "times", "campaign_days"):
        return chosen.takes
    if chosen.takes == "days_range":
        return "day_range"
    if chosen.takes == "range":
        return "number_range"
    if has_choices:
        return "picks" if chosen.takes == "many" else "select"
    if chosen.takes == "many":
        return "lines"
    return "number" if asked.type == "number" else "text"


def _unit(asked: fields.Field, chosen: Operator) -> str:
    if chosen.takes == "campaign_days":
        return "days"
    if chosen.takes == "days":
        return "days ago" if chosen.key == "more_than_ago" else "days"
    return asked.unit


def _field_choices(condition: DraftCondition, vocabulary: Vocabulary) -> list[tuple[str, list[Choice]]]:
    found: dict[str, list[Choice]] = {}
    for each in vocabulary.fields():
        found.setdefault(each.group, []).append(Choice(each.key, each.label, each.key == condition.field))
    found["Traits"] = [Choice(TRAIT, "Trait…", condition.field == TRAIT)]
    return list(found.items())
