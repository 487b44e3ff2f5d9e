"""How many people a rule matches, how many of them can be contacted, and why not the others: counted live.

Exact within a budget of two seconds. Beyond that the same statements run over a sample of the table, and the answer
says "about": `exact` is False and the numbers are rounded to two digits.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from django.db import OperationalError, connection

from audiences import counting
from audiences.exclusions import NOTHING, Exclusions
from audiences.models import Person
from audiences.rules.ast import Rule
from audiences.rules.clock import Clock
from audiences.rules.compile import compiled
from audiences.rules.explain import Facts, Truth, evaluate, seen_value
from audiences.rules.fields import find as find_field
from audiences.rules.reading import facts_of
from audiences.rules.sentence import distance_words
from audiences.rules.vocabulary import Vocabulary, load
from projects.scoping import Scope

REASON_PARTS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """One person of the sample, with the values that let them in."""

    public_id: str
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Preview:
    """`excluded` by reason name in order of precedence, without zeros; `per_node` by the path of each node."""

    people: int  # everybody in the environment
    matched: int
    contactable: int
    excluded: Mapping[str, int]
    per_node: Mapping[str, int]
    exact: bool
    milliseconds: int
    sample: Sequence[Shown] = field(default_factory=tuple)


def count(
    *,
    scope: Scope,
    rule: Rule,
    channel: str,
    now: datetime,
    with_people: bool = True,
    exclusions: Exclusions = NOTHING,
    salt: str = "",
    quick: bool = False,
    vocabulary: Vocabulary | None = None,
) -> Preview:
    """Count the rule as of `now`. Nothing is stored. `with_people` adds up to four who are in.

    `quick`: an answer within a blink, labelled where an exact one would take longer.
    """
    started = time.perf_counter()
    vocabulary = vocabulary or load(scope)
    rule_sql = compiled(rule, scope=scope, now=now, vocabulary=vocabulary)
    asked = counting.Question(scope, rule, channel, rule_sql, vocabulary, now, exclusions, salt)
    patience = counting.QUICK_MILLISECONDS if quick else counting.BUDGET_MILLISECONDS
    found, some = _within_budget(asked, with_people, patience)
    return Preview(
        people=found.people,
        matched=found.matched,
        contactable=found.contactable,
        excluded=found.excluded,
        per_node=found.per_node,
        exact=found.exact,
        sample=_shown(asked, some, vocabulary, now),
        milliseconds=round(1000 * (time.perf_counter() - started)),
    )


def somebody(*, scope: Scope, rule: Rule, channel: str, now: datetime) -> Person | None:
    """The newest person that the rule matches and who can be contacted; None where nobody is found in a blink."""
    vocabulary = load(scope)
    asked = counting.Question(
        scope, rule, channel, compiled(rule, scope=scope, now=now, vocabulary=vocabulary), vocabulary, now, NOTHING, ""
    )
    try:
        with counting.budget(counting.QUICK_MILLISECONDS):
            found = _some(asked)
    except OperationalError as refusal:
        if not counting.was_cancelled(refusal):
            raise
        return None
    first: Person | None = Person.objects.within(scope).filter(pk=found[0][0]).first() if found else None
    return first


_Some = list[tuple[int, str]]  # person id, public id


def _within_budget(asked: counting.Question, with_people: bool, patience: int) -> tuple[counting.Counts, _Some]:
    found: counting.Counts | None = None
    try:
        with counting.budget(patience):
            found = counting.counted(asked, counting.WHOLE)
            return found, _some(asked) if with_people and found.contactable else []
    except OperationalError as refusal:
        if not counting.was_cancelled(refusal):
            raise
    return found or counting.estimate(asked), []


def _some(asked: counting.Question) -> _Some:
    people = counting.everybody(counting.WHOLE)
    with connection.cursor() as cursor:
        cursor.execute(counting.composed("preview_some", people=people, **asked.parts()), asked.params())
        return list(cursor.fetchall())


def _shown(asked: counting.Question, some: _Some, vocabulary: Vocabulary, now: datetime) -> tuple[Shown, ...]:
    if not some:
        return ()
    clock = Clock(now, asked.scope.zone)
    people = [pk for pk, _ in some]
    facts = facts_of(scope=asked.scope, person_ids=people, vocabulary=vocabulary, rule=asked.rule)
    return tuple(
        Shown(
            public_id,
            _label(facts[pk]),
            why(evaluate(asked.rule, facts[pk], clock=clock, vocabulary=vocabulary), facts[pk], clock),
        )
        for pk, public_id in some
    )


def _label(facts: Facts) -> str:
    """What a person is called on a page, as `Person.label` says it."""
    halves = " ".join(filter(None, (facts["given_name"], facts["family_name"])))
    return str(facts["name"] or halves or facts["email"] or facts["external_id"])


def why(tree: Truth, facts: Facts, clock: Clock) -> str:
    """One short line of what let this person in: "Germany, last session 2 d ago"."""
    lines: dict[str, str] = {}
    for leaf in _in_favour(tree):
        lines.setdefault(leaf.field, _line(leaf, facts, clock))
    text = ", ".join(list(lines.values())[:REASON_PARTS_MAX])
    return text[:1].upper() + text[1:] if text else "Matches the rules"


def _line(leaf: Truth, facts: Facts, clock: Clock) -> str:
    asked = find_field(leaf.field) or find_field(leaf.field, "text")
    assert asked is not None
    if asked.type == "moment":
        seen: Any = seen_value(asked, facts, clock)
        day: date = clock.day_of(seen)
        return f"{asked.name} {distance_words(day, clock.today)}"
    if asked.unit:
        return f"{leaf.seen} {asked.unit}"
    return leaf.seen if asked.type in ("choice", "set") else f"{asked.name} {leaf.seen}"


def _in_favour(tree: Truth) -> list[Truth]:
    """Conditions that hold on a known value, outside of groups that forbid."""
    if not tree.mode:
        return [tree] if tree.holds and tree.seen not in ("none", "not known") else []
    if tree.mode == "none" or not tree.holds:
        return []
    return [leaf for child in tree.children for leaf in _in_favour(child)]
