"""Who would be contacted, counted by what decides whose turn it is: time zone and mailbox domain."""

from collections.abc import Sequence
from datetime import datetime

from django.db import OperationalError, connection
from psycopg import sql

from audiences import counting, judging
from audiences.exclusions import NOTHING, Exclusions
from audiences.models import Person
from audiences.rules.ast import Rule
from audiences.rules.compile import compiled
from audiences.rules.vocabulary import load
from projects.scoping import Scope

Groups = dict[tuple[str, str], int]


def by_turn(
    *,
    scope: Scope,
    rule: Rule,
    channel: str,
    domains: Sequence[str],
    now: datetime,
    exclusions: Exclusions = NOTHING,
    salt: str = "",
) -> tuple[Groups, bool]:
    """{(time zone, domain): people}, and whether that is exact. Other domains than those asked for are ''."""
    vocabulary = load(scope)
    rule_sql = compiled(rule, scope=scope, now=now, vocabulary=vocabulary)
    asked = counting.Question(scope, rule, channel, rule_sql, vocabulary, now, exclusions, salt)
    try:
        with counting.budget(counting.BUDGET_MILLISECONDS):
            return _counted(asked, domains, counting.WHOLE), True
    except OperationalError as refusal:
        if not counting.was_cancelled(refusal):
            raise
    people = Person.objects.within(scope).filter(erased_at=None).count()
    percent = min(100.0, max(0.01, 100 * counting.SAMPLE_PEOPLE / max(1, people)))
    sample = sql.SQL("TABLESAMPLE SYSTEM ({}) REPEATABLE (7)").format(sql.Literal(percent))
    found = _counted(asked, domains, sample)
    return {group: counting.about(count * 100 / percent) for group, count in found.items()}, False


def _counted(asked: counting.Question, domains: Sequence[str], sample: sql.Composable) -> Groups:
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
        cursor.execute(statement, {**params, "domains": list(domains)})
        return {(zone or "", domain): count for zone, domain, count in cursor.fetchall()}
