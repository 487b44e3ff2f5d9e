"""The least that would have to be different for somebody to get in: as few conditions as possible, in plain words."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from audiences.rules import fields
from audiences.rules.ast import Condition, Node, Rule, child_path
from audiences.rules.clock import Clock
from audiences.rules.explain import Truth
from audiences.rules.operators import operator
from audiences.rules.sentence import campaign_words, day_words, days_words, number_words, times_words, value_words
from audiences.rules.vocabulary import Vocabulary

# What would let in somebody whom the rule matches, by the reason that keeps the person out.
IF_NOT_LEFT_OUT: Final = {
    "membership_lost": "the membership were active",
    "no_address": "there were an address",
    "invalid_address": "the address were well formed",
    "duplicate_address": "nobody else of the audience had the same address",
    "no_consent": "the person agreed to be contacted",
    "unsubscribed": "the person took back the unsubscription",
    "suppressed": "the suppression were lifted",
    "frequency_cap": "fewer messages had been sent in the days before",
    "held_out": "the person were not in the hold-out group",
    "excluded_list": "the person were taken off the excluded segments",
}
_VERBS: Final = {
    "is": ("were", "were not"),
    "is_one_of": ("were one of", "were none of"),
    "contains": ("contained", "did not contain"),
    "starts_with": ("started with", "did not start with"),
    "exists": ("were known", "were not known"),
    "between": ("were between", "were not between"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One condition that stands in the way, and how it would not."""

    path: str
    words: str


def changes(rule: Rule, truth: Truth, *, clock: Clock, vocabulary: Vocabulary) -> tuple[Change, ...]:
    """The smallest set of conditions whose opposite would make the rule match; empty where it does already."""
    holds = {node.path: node.holds for node in truth.walk()}
    needed = _needed("", rule.root, True, holds)
    return tuple(Change(path, _words(node, wanted, clock, vocabulary)) for path, node, wanted in needed or ())


def sentence(found: tuple[Change, ...], reason: str = "") -> str:
    """Such as: Would qualify if last session were on or after 24 Oct 2026. Empty where nothing stands in the way."""
    words = [each.words for each in found]
    if reason in IF_NOT_LEFT_OUT:
        words.append(IF_NOT_LEFT_OUT[reason])
    if not words:
        return ""
    verb = "be included" if reason and not found else "qualify"
    return f"Would {verb} if {' and '.join(words)}."


_Needed = tuple[tuple[str, Condition, bool], ...]


def _needed(path: str, node: Node, wanted: bool, holds: dict[str, bool]) -> _Needed | None:
    """The conditions that must turn for the node to be `wanted`; None where nothing can do it."""
    if isinstance(node, Condition):
        return () if holds[path] == wanted else ((path, node, wanted),)
    inner = wanted if node.mode != "none" else not wanted
    every = (node.mode == "all") == wanted if node.mode != "none" else wanted
    children = [(child_path(path, node, place), child) for place, child in enumerate(node.children)]
    found = [_needed(below, child, inner, holds) for below, child in children]
    if every:
        return None if any(each is None for each in found) else tuple(one for each in found for one in each or ())
    possible = [each for each in found if each is not None]
    return min(possible, key=len) if possible else None


def _words(condition: Condition, wanted: bool, clock: Clock, vocabulary: Vocabulary) -> str:
    asked = fields.find(condition.field, condition.type)  # type: ignore[arg-type]
    chosen = operator(asked.type, condition.op) if asked else None
    assert asked is not None and chosen is not None, f"{condition} was never parsed"
    positive = wanted != bool(chosen.negates)
    if asked.type in ("moment", "date"):
        said = _time(chosen.positive, condition.value, clock, positive)
        if said:
            return f"{asked.name} were {said}"
    if asked.type == "number" and chosen.positive in ("at_least", "at_most"):
        value = condition.value
        assert isinstance(value, (int, float)), f"{condition} was never parsed"
        bounds = {"at_least": ("at least", "below"), "at_most": ("at most", "above")}[chosen.positive]
        return f"{asked.name} were {bounds[0 if positive else 1]} {number_words(value)}"
    if asked.type == "events":
        assert isinstance(condition.value, tuple), f"{condition} was never parsed"
        times, days = map(int, condition.value)
        bound = "at least" if positive else "fewer than"
        return f"{asked.name} were {bound} {times_words(times)} in the last {days_words(days)}"
    if chosen.takes == "campaign_days":
        return f"the person had{'' if positive else ' not'} {campaign_words(asked, condition.value, vocabulary)}"
    verb = _VERBS[chosen.positive][0 if positive else 1]
    value = value_words(asked, chosen, condition.value, vocabulary)
    return " ".join(part for part in (asked.name, verb, value) if part)


def _time(op: str, value: Any, clock: Clock, positive: bool) -> str:
    """When it would have to be; "" for operators that name a whole span twice."""
    if op == "exists":
        return "known" if positive else "not known"
    if op == "within_last":
        first = day_words(clock.days_ahead(-value))
        return f"on or after {first}" if positive else f"before {first}"
    if op == "more_than_ago":
        first = day_words(clock.days_ahead(-value))
        return f"before {first}" if positive else f"on or after {first}"
    if op == "within_next":
        last = day_words(clock.days_ahead(value))
        return f"between today and {last}" if positive else f"after {last}"
    days = [day_words(date.fromisoformat(each)) for each in (value if isinstance(value, tuple) else (value,))]
    shapes = {
        "before": ("before {0}", "on or after {0}"),
        "after": ("after {0}", "on or before {0}"),
        "on": ("on {0}", "on another day than {0}"),
        "between": ("between {0} and {1}", "before {0} or after {1}"),
    }
    return shapes[op][0 if positive else 1].format(*days)
