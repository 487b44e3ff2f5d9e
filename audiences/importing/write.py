"""Prepared rows into the tables, a batch at a time, in the caller's transaction. New people come whole, by COPY.

Somebody else may create the same person meanwhile: then this batch alone is taken back and written again with that
person known. People who are known already wait in a temporary table for `known.apply`.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, LiteralString, Protocol

from django.db import IntegrityError, transaction

from audiences import statements, vocabulary
from audiences.importing import known
from audiences.importing.file import Found
from audiences.importing.prepare import Batch, Prepared
from audiences.models import ImportRun, Segment
from lamba_campaigns.lib import sql
from projects.scoping import Actor, Scope

TRIES_MAX: Final = 5
IDS_AT_ONCE: Final = 20_000
_PEOPLE: Final[LiteralString] = (
    "COPY audiences_person (id, environment_id, public_id, external_id, email, name, given_name, family_name, locale,"
    " time_zone, country, traits, created_at) FROM STDIN"
)
_FACTS: Final[LiteralString] = (
    "COPY audiences_personfacts (person_id, environment_id, membership, lifecycle, lifecycle_at, plan, consent_mask,"
    " address_state, roles_mask) FROM STDIN"
)
_RECORDS: Final[LiteralString] = (
    "COPY audiences_factrecord (environment_id, person_id, source, values, occurred_at) FROM STDIN"
)
_WAITING: Final[LiteralString] = "COPY import_people (person_id, fresh, values, segments) FROM STDIN"


class Named(Protocol):
    """A row of which only the person matters."""

    @property
    def line(self) -> int: ...
    @property
    def who(self) -> str: ...
    @property
    def first(self) -> int: ...


def look(*, scope: Scope, title: str, rows: Sequence[Named]) -> tuple[dict[str, int], list[Found]]:
    """People known before, by external id, and what is wrong with these rows. Writes nothing."""
    params = {"environment": scope.environment_id, "external_ids": [row.who for row in rows if not row.first]}
    found = statements.rows("find_people_and_erased", params=params)
    erased = {who for who, _, gone in found if gone}
    problems = [Found(row.line, title, "repeated_person", row.who, str(row.first)) for row in rows if row.first]
    if erased:
        problems += [Found(row.line, title, "erased_person", row.who) for row in rows if row.who in erased]
    return {who: person for who, person, gone in found if not gone}, problems


def learn(*, scope: Scope, actor: Actor, names: set[tuple[str, str]], now: datetime) -> None:
    """Every stage, plan, role and segment has a number before the first row needs it."""
    kind = vocabulary.Kind.SEGMENT
    vocabulary.learn(scope=scope, names=[each for each in names if each[0] != kind], now=now)
    known_slugs = set(Segment.objects.within(scope).values_list("slug", flat=True))
    for slug in sorted({name for each, name in names if each == kind} - known_slugs):
        title = slug.replace("-", " ").replace("_", " ").strip().capitalize() or slug
        vocabulary.new_segment(scope=scope, actor=actor, slug=slug, name=title, description="", now=now)


def new_ids(*, count: int) -> "array[int]":
    """Ids for people, 8 bytes each."""
    found = array("q")
    for start in range(0, count, IDS_AT_ONCE):
        found.extend(statements.rows("take_person_ids", params={"count": min(IDS_AT_ONCE, count - start)})[0][0])
    return found


class Writer:
    """Writes the batches of one run. `created` and `updated` count people."""

    def __init__(self, *, scope: Scope, run: ImportRun, title: str, now: datetime) -> None:
        sql.require_transaction()
        self.created = self.updated = 0
        self._scope, self._title, self._now = scope, title, now
        self._at, self._source = run.created_at, f"import:{run.public_id}"
        statements.count("create_import_people", params={})

    def write(self, batch: Batch) -> list[Found]:
        """Write the right rows of this batch; returns what is wrong with the others."""
        for tries in range(1, TRIES_MAX + 1):
            try:
                with transaction.atomic():
                    people, problems = look(scope=self._scope, title=self._title, rows=batch.rows)
                    created = self._write(batch, people, {each.line for each in problems})
                    break
            except IntegrityError:
                if tries == TRIES_MAX:
                    raise
        self.created += created
        return problems

    def _write(self, batch: Batch, people: dict[str, int], wrong: set[int]) -> int:
        """Create who is new; the others wait. Returns how many are new."""
        if not people and not wrong:
            fresh = batch.rows
            copies = (batch.people, batch.facts, batch.records)
        else:
            fresh = [row for row in batch.rows if row.who not in people and row.line not in wrong]
            copies = (_joined(row.person for row in fresh), _joined(row.facts for row in fresh),
                      _joined(row.record for row in fresh))  # fmt: skip
        for statement, lines in zip((_PEOPLE, _FACTS, _RECORDS), copies, strict=True):
            _copy(statement, lines)
        waiting = [f"{_id(row)}\tt\t{row.told}" for row in fresh if row.listed]
        if people:
            known_rows = [row for row in batch.rows if row.who in people and row.line not in wrong]
            waiting += [f"{people[row.who]}\tf\t{row.told}" for row in known_rows]
        _copy(_WAITING, _joined(waiting))
        return len(fresh)

    def waiting(self) -> int:
        """How many people `apply_known` has to look at."""
        statements.count("index_import_people", params={})
        statements.count("analyze_import_people", params={})
        ((count,),) = statements.rows("count_import_people", params={})
        return int(count)

    def apply_known(self) -> Iterator[int]:
        """The steps that bring known people and segments up to date; each says how many people it did."""
        for step in known.apply(scope=self._scope, source=self._source, at=self._at, now=self._now):
            self.updated += step.updated
            yield step.people


def _id(row: Prepared) -> str:
    return row.person.partition("\t")[0]


def _joined(lines: Iterable[str]) -> bytes:
    return "".join(lines).encode()


def _copy(statement: LiteralString, lines: bytes) -> None:
    if lines:
        with statements.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(lines)
