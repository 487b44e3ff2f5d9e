"""How many people a rule matches, how many of them can be contacted, and why not the others: counted live.

Exact within `BUDGET_MILLISECONDS`. Beyond that the same statements run over a sample of the table, and the answer says
"about": `exact` is False and the numbers are rounded to two digits.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import OperationalError, connection, transaction
from psycopg import errors, sql

from audiences.channels import CHANNEL_BITS
from audiences.models import Person
from audiences.reasons import REASONS
from audiences.rules.ast import Rule
from audiences.rules.clock import Clock
from audiences.rules.compile import Compiled, compiled, over_truth
from audiences.rules.explain import Truth, evaluate
from audiences.rules.fields import find as find_field
from audiences.rules.reading import facts_of
from audiences.rules.vocabulary import Vocabulary, load
from lamba_campaigns.lib.sql import statement
from projects.scoping import Scope

BUDGET_MILLISECONDS: Final = 2_000  # of each statement; then the sample answers
SAMPLE_PEOPLE: Final = 50_000  # about how many rows a sample reads
PEOPLE_SHOWN: Final = 4
REASON_PARTS_MAX: Final = 3
_WHOLE: Final = sql.SQL("")


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


def count(*, scope: Scope, rule: Rule, channel: str, now: datetime, with_people: bool = True) -> Preview:
    """Count the rule as of `now`. Nothing is stored. `with_people` adds up to four who are in."""
    started = time.perf_counter()
    vocabulary = load(scope)
    asked = _Question(scope, rule, channel, compiled(rule, scope=scope, now=now, vocabulary=vocabulary))
    found = _exact(asked) or _estimate(asked)
    shown = _people(asked, vocabulary, now) if with_people and found.contactable else ()
    return Preview(
        people=found.people,
        matched=found.matched,
        contactable=found.matched - sum(found.excluded.values()),
        excluded=found.excluded,
        per_node=found.per_node,
        exact=found.exact,
        milliseconds=round(1000 * (time.perf_counter() - started)),
        sample=shown,
    )


@dataclass(frozen=True, slots=True)
class _Question:
    scope: Scope
    rule: Rule
    channel: str
    sql: Compiled

    def params(self) -> dict[str, Any]:
        return {
            **self.sql.params,
            "environment": self.scope.environment_id,
            "channel": CHANNEL_BITS[self.channel],
            "by_address": self.channel == "email",
            "shown": PEOPLE_SHOWN,
        }


@dataclass(frozen=True, slots=True)
class _Counts:
    people: int
    matched: int
    excluded: Mapping[str, int]
    per_node: Mapping[str, int]
    exact: bool = True

    @property
    def contactable(self) -> int:
        return self.matched - sum(self.excluded.values())


def _exact(asked: _Question) -> _Counts | None:
    """The counts over everybody, or None when they take too long."""
    try:
        with _budget():
            return _counts(asked, _WHOLE)
    except OperationalError as refusal:
        if not isinstance(refusal.__cause__, errors.QueryCanceled):
            raise
        return None


def _estimate(asked: _Question) -> _Counts:
    """The counts over a sample of the table's pages, scaled. Twins by address can't be seen in a sample."""
    people = Person.objects.within(asked.scope).filter(erased_at=None).count()
    percent = min(100.0, max(0.01, 100 * SAMPLE_PEOPLE / max(1, people)))
    counts = _counts(asked, sql.SQL("TABLESAMPLE SYSTEM ({}) REPEATABLE (7)").format(sql.Literal(percent)))
    share = people / counts.people if counts.people else 0.0
    matched = _about(counts.matched * share)
    excluded = {reason: _about(found * share) for reason, found in counts.excluded.items()}
    per_node = {path: _about(found * share) for path, found in counts.per_node.items()}
    return _Counts(people, matched, excluded, per_node, exact=False)


def _counts(asked: _Question, sample: sql.Composable) -> _Counts:
    nodes = over_truth(asked.rule, "t.truth")
    counts = sql.SQL(", ").join([sql.SQL("count(*) FILTER (WHERE {})").format(node) for node in nodes.values()])
    by_node = _statement("preview_nodes", people=_from(sample), counts=counts, truth=asked.sql.truth)
    reasons = _statement("preview_reasons", people=_from(sample), predicate=asked.sql.predicate)
    with connection.cursor() as cursor:
        cursor.execute(by_node, asked.params())
        people, *per_node = cursor.fetchone() or (0,)
        cursor.execute(reasons, asked.params())
        left_out = {reason: int(found or 0) for reason, found in cursor.fetchall()}
    excluded = {name: left_out[number] for number, name in REASONS.items() if left_out.get(number)}
    by_path = dict(zip(nodes, per_node, strict=True))
    return _Counts(people, by_path[""], excluded, by_path)


def _statement(name: str, **parts: sql.Composable) -> sql.Composable:
    return sql.SQL(statement("audiences", name)).format(**parts)


def _from(sample: sql.Composable) -> sql.Composable:
    return _statement("preview_people", sample=sample)


@contextmanager
def _budget() -> Iterator[None]:
    """Every statement inside is cancelled after the budget; the transaction around it survives."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = %s", [BUDGET_MILLISECONDS])
        yield
        cursor.execute("SET LOCAL statement_timeout = DEFAULT")


def _about(number: float) -> int:
    """Two digits that mean something: 1,234,567 is 1,200,000."""
    whole = round(number)
    step: int = 10 ** max(0, len(str(whole)) - 2)
    return round(whole / step) * step


def _people(asked: _Question, vocabulary: Vocabulary, now: datetime) -> tuple[Shown, ...]:
    try:
        with _budget(), connection.cursor() as cursor:
            some = _statement("preview_some", people=_from(_WHOLE), predicate=asked.sql.predicate)
            cursor.execute(some, asked.params())
            ids = [row[0] for row in cursor.fetchall()]
    except OperationalError as refusal:
        if not isinstance(refusal.__cause__, errors.QueryCanceled):
            raise
        return ()
    facts = facts_of(scope=asked.scope, person_ids=ids, vocabulary=vocabulary)
    clock = Clock(now, asked.scope.zone)
    people = Person.objects.within(asked.scope).in_bulk(ids)
    found = []
    for pk in ids:
        tree = evaluate(asked.rule, facts[pk], clock=clock, vocabulary=vocabulary)
        found.append(Shown(people[pk].public_id, people[pk].label, why(tree)))
    return tuple(found)


def why(tree: Truth) -> str:
    """One short line of what let this person in: "Germany, last session 2 Nov 2026, 09:12"."""
    lines: dict[str, str] = {}
    for leaf in _reasons_in_favour(tree):
        asked = find_field(leaf.field) or find_field(leaf.field, "text")
        assert asked is not None
        said = leaf.seen if asked.type in ("choice", "set") else f"{asked.name} {leaf.seen}"
        lines.setdefault(leaf.field, said)
    text = ", ".join(list(lines.values())[:REASON_PARTS_MAX])
    return text[:1].upper() + text[1:] if text else "Matches the rules"


def _reasons_in_favour(tree: Truth) -> list[Truth]:
    """Conditions that hold, outside of groups that forbid."""
    if not tree.mode:
        return [tree] if tree.holds and tree.seen not in ("none", "not known") else []
    if tree.mode == "none" or not tree.holds:
        return []
    return [leaf for child in tree.children for leaf in _reasons_in_favour(child)]
