"""The same rule in Python, for one person, with every value that was seen. It agrees with the SQL on every pair.

It is written from the meaning of the operators (local days, sets, folded text), not from the SQL, so that the property
test compares two independent readings.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from audiences.rules import fields
from audiences.rules.ast import Condition, Group, Node, Rule, child_path
from audiences.rules.clock import Clock
from audiences.rules.nesting import names_of, rule_of
from audiences.rules.operators import operator
from audiences.rules.sentence import condition_words, day_words, days_words, moment_words, number_words, times_words
from audiences.rules.vocabulary import Vocabulary

Facts = Mapping[str, Any]  # field key -> value as the catalogue types it, "traits" -> JSON object; missing = unknown
_DAY = re.compile(r"[12]\d{3}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(
    r"[12]\d{3}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d([.]\d{1,6})?(Z|[+-](0\d|1[0-3]):[0-5]\d)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Truth:
    """One node's answer. `words` is the node in plain words, `seen` the person's value ("" for groups)."""

    path: str
    holds: bool
    words: str
    seen: str = ""
    mode: str = ""  # all, any, none; "" for a condition
    field: str = ""
    children: tuple["Truth", ...] = ()
    inside: tuple["Truth", ...] = ()  # the trees of the audiences that a condition names

    def walk(self) -> Iterator["Truth"]:
        yield self
        for child in self.children:
            yield from child.walk()


def is_inside(condition: Condition, facts: Facts, *, clock: Clock, vocabulary: Vocabulary) -> bool:
    """Whether a condition that names other audiences is true: their rules are evaluated over the same facts."""
    chosen = operator("audiences", condition.op)
    assert chosen is not None, f"{condition} was never parsed"
    trees = _trees(condition, facts, clock, vocabulary)
    return any(tree.holds for tree in trees) != bool(chosen.negates)


def _trees(condition: Condition, facts: Facts, clock: Clock, vocabulary: Vocabulary) -> tuple[Truth, ...]:
    """The truth tree of every audience that the condition names and that is still there."""
    found = [each for name in names_of(condition) if (each := vocabulary.audience(name)) is not None]
    return tuple(evaluate(rule_of(each), facts, clock=clock, vocabulary=vocabulary) for each in found)


def evaluate(rule: Rule, facts: Facts, *, clock: Clock, vocabulary: Vocabulary) -> Truth:
    """The truth tree of one person. Its root says whether the person is in."""
    return _node("", rule.root, facts, clock, vocabulary)


def holds(condition: Condition, facts: Facts, *, clock: Clock) -> bool:
    """Whether the condition is true of these facts. Unknown: false for a positive operator, true for a negative one."""
    asked = fields.find(condition.field, condition.type)  # type: ignore[arg-type]
    chosen = operator(asked.type, condition.op) if asked else None
    assert asked is not None and chosen is not None, f"{condition} was never parsed"
    if chosen.takes == "campaign_days":
        return _contacted_within(asked, condition, facts, clock) != bool(chosen.negates)
    seen = seen_value(asked, facts, clock)
    known = _is_known(seen)
    positive = known and (chosen.positive == "exists" or _matches(asked, chosen.positive, condition.value, seen, clock))
    return positive != bool(chosen.negates)


def seen_value(asked: fields.Field, facts: Facts, clock: Clock) -> Any:
    """The person's value as this field types it; None where it is unknown or of another type."""
    if asked.storage == "reached":
        return (facts.get("reached") or {}).get(asked.key.removeprefix(fields.REACHED_PREFIX))
    if asked.storage != "trait":
        found = facts.get(asked.key)
        return None if found == "" else found
    found = (facts.get("traits") or {}).get(asked.key.removeprefix(fields.TRAIT_PREFIX))
    if asked.type == "boolean":
        return found if isinstance(found, bool) else None
    if asked.type == "number":
        return found if isinstance(found, (int, float, Decimal)) and not isinstance(found, bool) else None
    if not isinstance(found, str) or not found:
        return None
    return _local_day(found, clock) if asked.type == "date" else found


def contacted_at(asked: fields.Field, condition: Condition, facts: Facts) -> datetime | None:
    """When the person got, opened or clicked the campaign that a condition over a period names; of any, the last."""
    assert isinstance(condition.value, tuple), f"{condition} was never parsed"
    if condition.value[0] == fields.ANY_CAMPAIGN:
        return facts.get(fields.LATEST[asked.key])
    return (facts.get(asked.key) or {}).get(condition.value[0])


def fold(text: str) -> str:
    """Lower case by Unicode's simple mapping: one letter stays one letter, as Postgres' pg_c_utf8 does it."""
    return "".join("i" if letter == "İ" else low if len(low := letter.lower()) == 1 else letter for letter in text)


def _node(path: str, node: Node, facts: Facts, clock: Clock, vocabulary: Vocabulary) -> Truth:
    if isinstance(node, Condition):
        asked = fields.find(node.field, node.type)  # type: ignore[arg-type]
        assert asked is not None
        if asked.storage == "audience":
            return _nested(path, node, facts, clock, vocabulary)
        value = seen_value(asked, facts, clock)
        if asked.type == "events":
            seen = _counted(node, value, clock)
        elif asked.type == "campaigns" and node.op.endswith("within_last"):
            moment = contacted_at(asked, node, facts)
            seen = moment_words(moment.astimezone(clock.zone)) if moment else "never"
        else:
            seen = _seen_words(asked, value, clock, vocabulary)
        truth = holds(node, facts, clock=clock)
        return Truth(path, truth, condition_words(node, vocabulary), seen, field=node.field)
    children = tuple(
        _node(child_path(path, node, index), child, facts, clock, vocabulary)
        for index, child in enumerate(node.children)
    )
    return Truth(path, _group_holds(node, children), f"{node.mode} of these", mode=node.mode, children=children)


def _nested(path: str, node: Condition, facts: Facts, clock: Clock, vocabulary: Vocabulary) -> Truth:
    truth = is_inside(node, facts, clock=clock, vocabulary=vocabulary)
    trees = _trees(node, facts, clock, vocabulary)
    seen = "in it" if any(tree.holds for tree in trees) else "not in it"
    return Truth(path, truth, condition_words(node, vocabulary), seen, field=node.field, inside=trees)


def _group_holds(group: Group, children: tuple[Truth, ...]) -> bool:
    if group.mode == "all":
        return all(child.holds for child in children)
    found = any(child.holds for child in children)
    return found if group.mode == "any" else not found


def _matches(asked: fields.Field, op: str, value: Any, seen: Any, clock: Clock) -> bool:
    wanted = value if isinstance(value, tuple) else (value,)
    if asked.type in ("set", "campaigns"):
        return not frozenset(seen).isdisjoint(wanted)
    if asked.type == "events":
        return _times(wanted, seen, clock) >= int(wanted[0])
    if asked.type == "boolean":
        return bool(seen == value)
    if asked.type == "number":
        return _number_matches(op, [Decimal(repr(each)) for each in wanted], _decimal(seen))
    if asked.type == "moment":
        return _day_matches(op, wanted, clock.day_of(seen), clock) and _on_the_right_side(op, seen, clock)
    if asked.type == "date":
        return _day_matches(op, wanted, seen, clock)
    if asked.type == "choice":
        return seen in wanted
    return _text_matches(op, [fold(str(each)) for each in wanted], fold(seen))


def _contacted_within(asked: fields.Field, condition: Condition, facts: Facts, clock: Clock) -> bool:
    moment = contacted_at(asked, condition, facts)
    assert isinstance(condition.value, tuple), f"{condition} was never parsed"
    if moment is None or moment > clock.now:
        return False
    return (clock.today - clock.day_of(moment)).days <= int(condition.value[1])


def _is_known(seen: Any) -> bool:
    return seen is not None and not (isinstance(seen, (frozenset, Mapping)) and not seen)


def _times(wanted: tuple[Any, ...], seen: tuple[datetime, ...], clock: Clock) -> int:
    """How many of these moments lie in the last days and not after now."""
    return sum(
        0 <= (clock.today - clock.day_of(moment)).days <= int(wanted[1]) and moment <= clock.now for moment in seen
    )


def _counted(node: Condition, seen: tuple[datetime, ...] | None, clock: Clock) -> str:
    wanted = node.value
    assert isinstance(wanted, tuple), f"{node} was never parsed"
    times = _times(wanted, seen or (), clock)
    within = f"in the last {days_words(int(wanted[1]))}"
    return f"{times_words(times)} {within}" if times else f"never {within}"


def _text_matches(op: str, wanted: list[str], seen: str) -> bool:
    if op == "contains":
        return wanted[0] in seen
    if op == "starts_with":
        return seen.startswith(wanted[0])
    return seen in wanted


def _number_matches(op: str, wanted: list[Decimal], seen: Decimal) -> bool:
    if op == "at_least":
        return seen >= wanted[0]
    if op == "at_most":
        return seen <= wanted[0]
    if op == "between":
        return wanted[0] <= seen <= wanted[1]
    return seen == wanted[0]


def _day_matches(op: str, wanted: tuple[Any, ...], day: date, clock: Clock) -> bool:
    if op in ("within_last", "more_than_ago", "within_next"):
        ago, limit = (clock.today - day).days, int(wanted[0])
        if op == "within_last":
            return 0 <= ago <= limit
        return ago > limit if op == "more_than_ago" else 0 <= -ago <= limit
    days = [date.fromisoformat(each) for each in wanted]
    if op == "before":
        return day < days[0]
    if op == "after":
        return day > days[0]
    return day == days[0] if op == "on" else days[0] <= day <= days[1]


def _on_the_right_side(op: str, moment: datetime, clock: Clock) -> bool:
    if op == "within_last":
        return moment <= clock.now
    return moment >= clock.now if op == "within_next" else True


def _local_day(text: str, clock: Clock) -> date | None:
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
        if _MOMENT.fullmatch(text):
            return clock.day_of(datetime.fromisoformat(text))
    except ValueError:
        return None
    return None


def _decimal(number: int | float | Decimal) -> Decimal:
    return number if isinstance(number, Decimal) else Decimal(repr(number))


def _seen_words(asked: fields.Field, seen: Any, clock: Clock, vocabulary: Vocabulary) -> str:
    if not _is_known(seen):
        return "none" if asked.type in ("set", "campaigns") else "not known"
    if asked.type in ("set", "campaigns"):
        return ", ".join(sorted(vocabulary.label(asked, name) for name in seen))
    if asked.type == "choice":
        return vocabulary.label(asked, seen)
    if asked.type == "boolean":
        return "yes" if seen else "no"
    if asked.type == "number":
        return number_words(seen)
    if asked.type == "moment":
        return moment_words(seen.astimezone(clock.zone))
    return day_words(seen) if asked.type == "date" else str(seen)
