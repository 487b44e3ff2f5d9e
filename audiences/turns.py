"""Who would be contacted, counted by what decides whose turn it is: time zone and mailbox domain."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import OperationalError, connection
from psycopg import sql

from audiences import counting, judging
from audiences.exclusions import NOTHING, Exclusions
from audiences.models import Person
from audiences.reasons import REASONS
from audiences.rules.ast import Rule
from audiences.rules.compile import compiled
from audiences.rules.vocabulary import load
from projects.scoping import Scope

CAPPED = next(number for number, name in REASONS.items() if name == "frequency_cap")


@dataclass(frozen=True, slots=True)
class Turns:
    """{(time zone, domain): people}; other domains than those asked for are ''. `capped`: contacted too often."""

    groups: dict[tuple[str, str], int]
    capped: int
    exact: bool


def by_turn(
    *,
    scope: Scope,
    rule: Rule,
    channel: str,
    domains: Sequence[str],
    at: datetime,
    now: datetime,
    exclusions: Exclusions = NOTHING,
    salt: str = "",
) -> Turns:
    """Everybody who matches now. Who was contacted how often is counted as of `at`, when it is to be sent."""
    vocabulary = load(scope)
    rule_sql = compiled(rule, scope=scope, now=now, vocabulary=vocabulary)
    asked = counting.Question(scope, rule, channel, rule_sql, vocabulary, at, exclusions, salt)
    try:
        with counting.budget(counting.BUDGET_MILLISECONDS):
            groups, capped = _counted(asked, domains, counting.WHOLE)
            return Turns(groups, capped, exact=True)
    except OperationalError as refusal:
        if not counting.was_cancelled(refusal):
            raise
    people = Person.objects.within(scope).filter(erased_at=None).count()
    percent = min(100.0, max(0.01, 100 * counting.SAMPLE_PEOPLE / max(1, people)))
    sample = sql.SQL("TABLESAMPLE SYSTEM ({}) REPEATABLE (7)").format(sql.Literal(percent))
    groups, capped = _counted(asked, domains, sample)
    scaled = {group: counting.about(count * 100 / percent) for group, count in groups.items()}
    return Turns(scaled, counting.about(capped * 100 / percent), exact=False)


def _counted(
    asked: counting.Question, domains: Sequence[str], sample: sql.Composable
) -> tuple[dict[tuple[str, str], int], int]:
    statement, params = judging.judged(
        "preview_turns",
        scope=asked.scope,
        rule=asked.compiled,
        channel=asked.channel,
        vocabulary=asked.vocabulary,
        now=asked.now,
        exclusions=asked.exclusions,
        salt=asked.salt,
        sample=sample,
        kept={"time_zone": sql.SQL("p.time_zone")},
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, {**params, "domains": list(domains), "capped": CAPPED})
        rows = cursor.fetchall()
    return {(zone or "", domain): count for zone, domain, count, _ in rows if count}, sum(row[3] for row in rows)
