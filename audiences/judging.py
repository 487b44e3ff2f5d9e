"""The one statement that says who is in and why the others are not: snapshot and live count are built from it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from django.db import connection
from psycopg import sql as compose

from audiences import exclusions as leaving_out
from audiences import statements
from audiences.channels import ADDRESSES, CHANNEL_BITS, SHARED_ADDRESSES, VALID_ADDRESSES
from audiences.exclusions import NOTHING, Exclusions
from audiences.reasons import INCLUDED
from audiences.rules.compile import Compiled
from audiences.rules.vocabulary import Vocabulary
from projects.scoping import Scope

EVERYBODY: Final = compose.SQL("")
_PLANNED: Final = (
    "SELECT set_config('work_mem', %(memory)s, TRUE), set_config('enable_nestloop', 'off', TRUE),"
    " set_config('statement_timeout', %(timeout)s, TRUE)"
)
_AS_BEFORE: Final = (
    "SET LOCAL work_mem TO DEFAULT; SET LOCAL enable_nestloop TO DEFAULT; SET LOCAL statement_timeout TO DEFAULT"
)
_WITH_TWINS: Final = (
    "p.id = ANY(%(person)s || ARRAY(SELECT id FROM audiences_person WHERE environment_id = %(environment)s"
    " AND lower(email) = lower(%(email)s) AND %(email)s <> '' ORDER BY id LIMIT %(most)s))"
)
TWINS_MAX: Final = 100  # people of one address that are looked at for one of them
SORT_MEMORY: Final = "64MB"  # of each sort or hash table of such a statement


@contextmanager
def planned(cursor: Any, *, timeout: str = "0") -> Iterator[None]:
    """Inside a transaction: how statements over everybody are planned. A guess wrong by a thousand must not matter.

    A mask has no statistics, so the planner takes two "is not" conditions for a handful of people, and would compare
    each of a million with each twin in a nested loop. Without such loops the same statement takes a twentieth.
    """
    cursor.execute(_PLANNED, {"memory": SORT_MEMORY, "timeout": timeout})
    yield
    cursor.execute(_AS_BEFORE)


def judged(
    then: str | compose.Composable,
    *,
    scope: Scope,
    rule: Compiled,
    channel: str,
    vocabulary: Vocabulary,
    now: datetime,
    exclusions: Exclusions = NOTHING,
    salt: str = "",
    sample: compose.Composable = EVERYBODY,
    kept: Mapping[str, compose.Composable] | None = None,
    in_order: bool = False,
) -> tuple[compose.Composable, dict[str, Any]]:
    """`judge`, followed by `then` (a statement or its name), with its parameters. `kept` are further columns."""
    parts = leaving_out.parts(exclusions, salt=salt, vocabulary=vocabulary, now=now)
    address = compose.SQL(ADDRESSES[channel])
    columns = {"address": address, **(kept or {})}
    judge = statements.composed("judge").format(
        address=address,
        kept=compose.SQL(", ").join(
            [compose.SQL("{} AS {}").format(each, compose.Identifier(name)) for name, each in columns.items()]
        ),
        valid=compose.SQL(VALID_ADDRESSES[channel]),
        can_be_shared=compose.SQL("TRUE" if SHARED_ADDRESSES[channel] else "FALSE"),
        predicate=rule.predicate,
        people=statements.composed("preview_people").format(sample=sample),
        order=compose.SQL("ORDER BY f.person_id" if in_order else ""),
        **parts.pieces,
    )
    params = {
        **rule.params,
        **parts.params,
        "environment": scope.environment_id,
        "channel": CHANNEL_BITS[channel],
    }
    follows = statements.composed(then) if isinstance(then, str) else then
    return compose.SQL("\n").join([judge, follows]), params


def reason_of(
    person_id: int,
    *,
    email: str,
    scope: Scope,
    rule: Compiled,
    channel: str,
    vocabulary: Vocabulary,
    now: datetime,
) -> int:
    """The number of the reason that keeps this person out, alone and beside others of this address; 0 for none."""
    these = replace(rule, predicate=compose.SQL("({}) AND {}").format(rule.predicate, compose.SQL(_WITH_TWINS)))
    then = compose.SQL("SELECT reason FROM judged WHERE person_id = %(person)s")
    statement, params = judged(then, scope=scope, rule=these, channel=channel, vocabulary=vocabulary, now=now)
    with connection.cursor() as cursor:
        cursor.execute(statement, {**params, "person": person_id, "email": email, "most": TWINS_MAX})
        found = cursor.fetchone()
    return int(found[0]) if found else INCLUDED
