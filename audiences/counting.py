"""The statements behind a live count: over everybody within a budget, or over a sample of the table's pages."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import OperationalError, connection, transaction
from psycopg import errors, sql

from audiences import judging, statements
from audiences.channels import ADDRESSES, CHANNEL_BITS, VALID_ADDRESSES
from audiences.exclusions import NOTHING, Exclusions
from audiences.reasons import REASONS
from audiences.rules.ast import Rule
from audiences.rules.compile import Compiled, over_truth
from audiences.rules.vocabulary import Vocabulary
from lamba_campaigns.lib import sql as lib_sql
from projects.scoping import Scope

BUDGET_MILLISECONDS: Final = 2_000  # of each statement; then the sample answers
QUICK_MILLISECONDS: Final = 60  # the same while somebody types: what is labelled comes at once, the exact one later
SAMPLE_PEOPLE: Final = 10_000  # about how many rows a sample reads; an error of 1 % where half match
PEOPLE_SHOWN: Final = 4
WHOLE: Final = sql.SQL("")


@dataclass(frozen=True, slots=True)
class Question:
    scope: Scope
    rule: Rule
    channel: str
    compiled: Compiled
    vocabulary: Vocabulary
    now: datetime
    exclusions: Exclusions = NOTHING
    salt: str = ""

    def parts(self) -> dict[str, sql.Composable]:
        """What the statements about matched people need."""
        return {
            "predicate": self.compiled.predicate,
            "address": sql.SQL(ADDRESSES[self.channel]),
            "valid": sql.SQL(VALID_ADDRESSES[self.channel]),
        }

    def params(self) -> dict[str, Any]:
        return {
            **self.compiled.params,
            "environment": self.scope.environment_id,
            "channel": CHANNEL_BITS[self.channel],
            "shown": PEOPLE_SHOWN,
        }


@dataclass(frozen=True, slots=True)
class Counts:
    people: int
    matched: int
    excluded: Mapping[str, int]
    per_node: Mapping[str, int]
    exact: bool = True

    @property
    def contactable(self) -> int:
        return self.matched - sum(self.excluded.values())


def was_cancelled(refusal: OperationalError) -> bool:
    """Whether a statement ran out of its budget."""
    return isinstance(refusal.__cause__, errors.QueryCanceled)


def estimate(asked: Question) -> Counts:
    """The counts over a sample of the table's pages, scaled. Twins by address can't be seen in a sample."""
    ((rows,),) = lib_sql.rows("audiences", "people_in_table")
    percent = min(100.0, max(0.01, 100 * SAMPLE_PEOPLE / max(1, rows)))
    sample = sql.SQL("TABLESAMPLE SYSTEM ({}) REPEATABLE (7)").format(sql.Literal(percent))
    counts = counted(asked, sample)
    people = _people_here(asked.scope, sample, rows)
    share = people / counts.people if counts.people else 0.0
    matched = about(counts.matched * share)
    excluded = {reason: about(found * share) for reason, found in counts.excluded.items()}
    per_node = {path: about(found * share) for path, found in counts.per_node.items()}
    return Counts(people, matched, excluded, per_node, exact=False)


def _people_here(scope: Scope, sample: sql.Composable, rows: int) -> int:
    """About how many of the table's rows are of this environment: its share of the sampled rows."""
    with connection.cursor() as cursor:
        cursor.execute(composed("people_in_sample", sample=sample), {"environment": scope.environment_id})
        ((here, everywhere),) = cursor.fetchall()
    return round(rows * here / everywhere) if everywhere else 0


def counted(asked: Question, sample: sql.Composable) -> Counts:
    nodes = over_truth(asked.rule, "t.truth")
    counts = sql.SQL(", ").join([sql.SQL("count(*) FILTER (WHERE {})").format(node) for node in nodes.values()])
    by_node = composed("preview_nodes", people=everybody(sample), counts=counts, truth=asked.compiled.truth)
    reasons, params = judging.judged(
        "preview_reasons",
        scope=asked.scope,
        rule=asked.compiled,
        channel=asked.channel,
        vocabulary=asked.vocabulary,
        now=asked.now,
        exclusions=asked.exclusions,
        salt=asked.salt,
        sample=sample,
    )
    with connection.cursor() as cursor:
        cursor.execute(by_node, asked.params())
        people, *per_node = cursor.fetchone() or (0,)
        cursor.execute(reasons, params)
        left_out = {reason: int(found or 0) for reason, found in cursor.fetchall()}
    excluded = {name: left_out[number] for number, name in REASONS.items() if left_out.get(number)}
    by_path = dict(zip(nodes, per_node, strict=True))
    return Counts(people, by_path[""], excluded, by_path)


def composed(name: str, **parts: sql.Composable) -> sql.Composable:
    return statements.composed(name).format(**parts)


def everybody(sample: sql.Composable) -> sql.Composable:
    return composed("preview_people", sample=sample)


@contextmanager
def budget(milliseconds: int) -> Iterator[None]:
    """Every statement inside is cancelled after the budget; the transaction around it survives."""
    with transaction.atomic(), connection.cursor() as cursor, judging.planned(cursor, timeout=f"{milliseconds}ms"):
        yield


def about(number: float) -> int:
    """Two digits that mean something: 1,234,567 is 1,200,000."""
    whole = round(number)
    step: int = 10 ** max(0, len(str(whole)) - 2)
    return round(whole / step) * step
