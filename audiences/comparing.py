"""Who joined and who left between two snapshots, or a snapshot and now, and which fact of each person did it."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from django.db import connection
from django.db.transaction import atomic
from psycopg import sql as compose

from audiences import definitions, judging, remembering, statements
from audiences.exclusions import Exclusions
from audiences.facts import Known
from audiences.models import AudienceVersion, Person, Snapshot
from audiences.reasons import INCLUDED, LABELS, REASONS
from audiences.rules.clock import Clock
from audiences.rules.compile import compiled
from audiences.rules.explain import Facts, Truth, evaluate
from audiences.rules.parse import parse
from audiences.rules.reading import facts_of
from audiences.rules.vocabulary import Vocabulary, load, pinned
from audit import chain
from lamba_campaigns.lib.cells import Line, safe_cell
from lamba_campaigns.lib.sql import durable
from projects.scoping import Actor, Scope

Kind = Literal["joined", "left", "changed"]
KINDS: Final[tuple[Kind, ...]] = ("joined", "left", "changed")
EXPORT_PAGE: Final = 500
NOT_MATCHED: Final = "not_matched"


@dataclass(frozen=True, slots=True)
class Comparison:
    """People by how they stood before and after: "included", a reason, or "not_matched"."""

    moves: Mapping[tuple[str, str], int]

    @property
    def joined(self) -> int:
        return sum(count for (before, after), count in self.moves.items() if before != after == "included")

    @property
    def left(self) -> int:
        return sum(count for (before, after), count in self.moves.items() if after != before == "included")

    @property
    def stayed(self) -> int:
        return self.moves.get(("included", "included"), 0)


@dataclass(frozen=True, slots=True)
class Because:
    """A condition that gave another answer, with the fact behind it."""

    words: str
    seen_before: str
    seen_after: str
    known: Known | None


@dataclass(frozen=True, slots=True)
class Moved:
    """One person who stands differently. `because` is empty where a reason outside the rule did it."""

    person: Person
    before: str
    after: str
    because: tuple[Because, ...]

    @property
    def words(self) -> tuple[str, str]:
        return said(self.before), said(self.after)


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Moved]
    beyond: int | None  # where the next page starts


@dataclass(frozen=True, slots=True)
class Between:
    """What is compared, by `between`. `after` None is now: the newest `version`, with the snapshot's exclusions."""

    scope: Scope
    before: Snapshot
    after: Snapshot | None
    now: datetime
    version: AudienceVersion
    vocabulary: Vocabulary


def between(*, scope: Scope, before: Snapshot, after: Snapshot | None, now: datetime) -> Between:
    """Two snapshots of one audience, or a snapshot and now."""
    version = after.audience_version if after else definitions.latest(before.audience_version.audience)
    return Between(scope, before, after, now, version, load(scope))


def counts(between: Between) -> Comparison:
    """How many people moved from where to where. One statement."""
    rows = _run(between, "compare", {})
    return Comparison({(_standing(before), _standing(after)): count for before, after, count in rows})


def people(between: Between, *, kind: Kind, beyond: int, size: int) -> Page:
    """Who moved, with the fact that did it, in the order of their ids. A constant number of queries."""
    rows = _run(between, "compare_people", {"kind": kind, "beyond": beyond, "size": size + 1})
    listed = rows[:size]
    known = Person.objects.within(between.scope).in_bulk([row[0] for row in listed])
    why = _why(between, list(known.values()))
    found = [
        Moved(known[key], _standing(before), _standing(after), why[key])
        for key, before, after in listed
        if key in known
    ]
    return Page(found, listed[-1][0] if len(rows) > size else None)


def export(*, actor: Actor, between: Between, kind: Kind) -> Iterator[str]:
    """All of them as lines of CSV, streamed; who took them is in the audit trail before the first line."""
    with durable():
        chain.record(
            scope=between.scope,
            actor=actor,
            action="people.exported",
            subject=chain.Subject("snapshot", between.before.public_id),
            now=between.now,
            after={"what": f"difference: {kind}", "with": between.after.public_id if between.after else "now"},
        )
    return _lines(between, kind)


def said(standing: str) -> str:
    """Where somebody stands, in words."""
    if standing == "included":
        return "Included"
    return LABELS.get(standing, "Not matched")


def as_json(row: Moved) -> dict[str, Any]:
    return {
        "personId": row.person.public_id,
        "externalId": row.person.external_id,
        "before": row.before,
        "after": row.after,
        "because": [
            {
                "words": each.words,
                "seenBefore": each.seen_before,
                "seenAfter": each.seen_after,
                "source": each.known.source if each.known else None,
                "occurredAt": each.known.occurred_at if each.known else None,
            }
            for each in row.because
        ],
    }


def _lines(between: Between, kind: Kind) -> Iterator[str]:
    writer = csv.writer(Line())
    yield writer.writerow(["person", "before", "after", "because", "source", "occurred_at"])
    beyond: int | None = 0
    while beyond is not None:
        found = people(between, kind=kind, beyond=beyond, size=EXPORT_PAGE)
        for row in found.rows:
            known = next((each.known for each in row.because if each.known), None)
            because = "; ".join(f"{each.words}: {each.seen_before} → {each.seen_after}" for each in row.because)
            cells = [row.person.external_id, row.before, row.after, because]
            cells += [known.source, known.occurred_at.isoformat()] if known else ["", ""]
            yield writer.writerow([safe_cell(cell) for cell in cells])
        beyond = found.beyond


def _standing(reason: int | None) -> str:
    if reason is None:
        return NOT_MATCHED
    return "included" if reason == INCLUDED else REASONS[reason]


def _run(between: Between, name: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    before, after = between.before, between.after
    where = {"before": before.pk, "before_month": before.taken_month, **params}
    if after is not None:
        statement: compose.Composable = statements.composed(name).format(after=statements.composed("members_after"))
        where |= {"after": after.pk, "after_month": after.taken_month}
    else:
        statement, live = _live(between, name)
        where |= live
    with atomic(), connection.cursor() as cursor, judging.planned(cursor):
        cursor.execute(statement, where)
        return list(cursor.fetchall())


def _live(between: Between, name: str) -> tuple[compose.Composable, dict[str, Any]]:
    rule, vocabulary = parse(between.version.rule), between.vocabulary
    return judging.judged(
        statements.composed(name).format(after=compose.SQL("judged")),
        scope=between.scope,
        rule=compiled(rule, scope=between.scope, now=between.now, vocabulary=vocabulary),
        channel=between.before.channel,
        vocabulary=vocabulary,
        now=between.now,
        exclusions=Exclusions.from_json(between.before.exclusions),
        salt=between.before.salt,
    )


def _why(between: Between, moved: Sequence[Person]) -> dict[int, tuple[Because, ...]]:
    then, then_known = _seen(between, between.before, moved)
    now, now_known = _seen(between, between.after, moved)
    return {
        person.pk: tuple(_differences(then[person.pk], now[person.pk], now_known[person.pk] or then_known[person.pk]))
        for person in moved
    }


def _seen(
    between: Between, taken: Snapshot | None, moved: Sequence[Person]
) -> tuple[dict[int, Truth], dict[int, Sequence[Known]]]:
    """Person id -> the truth of the rule as one side of the comparison saw it, and the facts with their origins."""
    scope = between.scope
    version = taken.audience_version if taken else between.version
    vocabulary = pinned(between.vocabulary, scope=scope, versions=taken.nested if taken else None)
    rule, clock = parse(version.rule), Clock(taken.taken_at if taken else between.now, scope.zone)
    seen: dict[int, Facts]
    if taken:
        remembered = remembering.remember(scope=scope, people=moved, taken=taken, vocabulary=vocabulary)
        seen = {key: each.facts for key, each in remembered.items()}
        known: dict[int, Sequence[Known]] = {key: each.known for key, each in remembered.items()}
    else:
        keys = [person.pk for person in moved]
        seen = facts_of(scope=scope, person_ids=keys, vocabulary=vocabulary, rule=rule)
        known = dict(remembering.known_now(scope=scope, person_ids=keys))
    return {key: evaluate(rule, each, clock=clock, vocabulary=vocabulary) for key, each in seen.items()}, known


def _differences(then: Truth, now: Truth, known: Sequence[Known]) -> Iterator[Because]:
    """Conditions of both rules, matched by their words, that are answered differently."""
    before = {node.words: node for node in then.walk() if not node.mode}
    for node in now.walk():
        earlier = before.get(node.words)
        if not node.mode and earlier is not None and earlier.holds != node.holds:
            yield Because(node.words, earlier.seen, node.seen, remembering.origin(node.field, known))
