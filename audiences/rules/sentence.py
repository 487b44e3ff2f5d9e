"""A rule as one sentence in plain words. Conditions are strong, the words between them are not."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from audiences.rules import fields
from audiences.rules.ast import Condition, Group, Node, Rule
from audiences.rules.operators import Operator, operator
from audiences.rules.vocabulary import NO_VOCABULARY, Vocabulary

VALUES_SHOWN_MAX = 4
_NAMED = ("choice", "set", "campaigns", "audiences")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the sentence: `strong` for a condition, `faint` for a parenthesis, `plain` for the rest."""

    text: str
    tone: Literal["plain", "strong", "faint"] = "plain"


def parts(rule: Rule, vocabulary: Vocabulary = NO_VOCABULARY) -> tuple[Part, ...]:
    """The sentence in pieces, for pages that show conditions in bold."""
    if not rule.root.children:
        return (Part("Everyone", "strong"),)
    return (Part("People where "), *_group(rule.root, vocabulary, outermost=True))


def sentence(rule: Rule, vocabulary: Vocabulary = NO_VOCABULARY) -> str:
    """The sentence as plain text: "People where country is Germany and (…)"."""
    return "".join(part.text for part in parts(rule, vocabulary))


def condition_words(condition: Condition, vocabulary: Vocabulary = NO_VOCABULARY) -> str:
    """One condition in words: "last session within the last 30 days"."""
    asked = fields.find(condition.field, condition.type)  # type: ignore[arg-type]
    chosen = operator(asked.type, condition.op) if asked else None
    assert asked is not None and chosen is not None, f"{condition} was never parsed"
    if chosen.takes == "campaign_days":
        return ("not " if chosen.negates else "") + campaign_words(asked, condition.value, vocabulary)
    words = _operator_words(asked, chosen)
    value = value_words(asked, chosen, condition.value, vocabulary)
    return " ".join(part for part in (asked.name, words, value) if part)


def campaign_words(asked: fields.Field, value: Any, vocabulary: Vocabulary = NO_VOCABULARY) -> str:
    """Such as: opened any campaign within the last 30 days."""
    campaign, days = value
    of_any = campaign == fields.ANY_CAMPAIGN
    name = (
        asked.name.replace("campaign", "any campaign")
        if of_any
        else f"{asked.name} {vocabulary.label(asked, campaign)}"
    )
    return f"{name} within the last {days_words(days)}"


def day_words(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def moment_words(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y, %H:%M}"


def distance_words(day: date, today: date) -> str:
    """How far a day is: today, 2 d ago, in 46 d."""
    days = (day - today).days
    if days == 0:
        return "today"
    return f"in {days} d" if days > 0 else f"{-days} d ago"


def days_words(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"


def times_words(times: int) -> str:
    return "once" if times == 1 else f"{times} times"


def number_words(number: int | float | Decimal) -> str:
    return f"{number:,}"


def _group(group: Group, vocabulary: Vocabulary, *, outermost: bool = False) -> Iterator[Part]:
    many = len(group.children) > 1
    wrapped = not outermost and (many or group.mode == "none")
    if wrapped:
        yield Part("(", "faint")
    if group.mode == "none":
        yield Part("neither " if many else "not ")
    joiner = {"all": " and ", "any": " or ", "none": " nor "}[group.mode]
    for index, child in enumerate(group.children):
        if index:
            yield Part(joiner)
        yield from _node(child, vocabulary)
    if wrapped:
        yield Part(")", "faint")


def _node(node: Node, vocabulary: Vocabulary) -> Iterator[Part]:
    if isinstance(node, Group):
        yield from _group(node, vocabulary)
    else:
        yield Part(condition_words(node, vocabulary), "strong")


def _operator_words(asked: fields.Field, chosen: Operator) -> str:
    if asked.type == "set" and chosen.takes == "nothing":
        return "is not set" if chosen.negates else "is set"
    return chosen.words


def value_words(asked: fields.Field, chosen: Operator, value: Any, vocabulary: Vocabulary) -> str:
    if chosen.takes == "nothing":
        return ""
    if chosen.takes == "times":
        return f"{times_words(value[0])} in the last {days_words(value[1])}"
    if chosen.takes == "days":
        return days_words(value) + (" ago" if chosen.key == "more_than_ago" else "")
    values = [_one(asked, chosen, each, vocabulary) for each in (value if isinstance(value, tuple) else (value,))]
    if chosen.takes in ("range", "days_range"):
        return f"{values[0]} and {values[1]}"
    if len(values) > VALUES_SHOWN_MAX:
        values = [*values[:VALUES_SHOWN_MAX], f"{len(values) - VALUES_SHOWN_MAX} more"]
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} or {values[-1]}"


def _one(asked: fields.Field, chosen: Operator, value: Any, vocabulary: Vocabulary) -> str:
    if chosen.takes in ("day", "days_range"):
        return day_words(date.fromisoformat(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number_words(value)
    return vocabulary.label(asked, value) if asked.type in _NAMED else f"“{value}”"
