"""Prepared rows into the tables, a batch at a time, in the caller's transaction. New people come whole, by COPY.

Somebody else may create the same person meanwhile: then this batch alone is taken back and written again with that
person known. People who are known already wait in a temporary table for `known.apply`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, LiteralString

from django.db import IntegrityError, transaction

from audiences import statements, vocabulary
from audiences.importing import known
from audiences.importing.file import Found
from audiences.importing.prepare import Prepared
from audiences.models import ImportRun, Segment
from lamba_campaigns.lib import ids, sql
from projects.scoping import Actor, Scope

TRIES_MAX: Final = 5
DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as in every public id
ID_START_CHARS: Final = 21  # of 26; the last five count the lines, up to 33 million
LINES_MAX: Final = 32**5 - 1
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


def look(*, scope: Scope, title: str, rows: Sequence[Prepared]) -> tuple[dict[str, int], list[Prepared], list[Found]]:
    """(known people by external id, right rows, problems): what the database says of these rows. Writes nothing."""
    params = {"environment": scope.environment_id, "external_ids": sorted({row.who for row in rows})}
    found = statements.rows("find_people_and_erased", params=params)
    erased = {who for who, _, gone in found if gone}
    problems = [Found(row.line, title, "repeated_person", row.who, str(row.first)) for row in rows if row.first]
    problems += [Found(row.line, title, "erased_person", row.who) for row in rows if row.who in erased]
    right = [row for row in rows if not row.first and row.who not in erased]
    return {who: person for who, person, gone in found if not gone}, right, problems


class Writer:
    """Writes the batches of one run. `created` and `updated` count people."""

    def __init__(self, *, scope: Scope, actor: Actor, run: ImportRun, title: str, now: datetime) -> None:
        sql.require_transaction()
        self.created = self.updated = 0
        self._scope, self._actor, self._title, self._now = scope, actor, title, now
        self._at, self._source = run.created_at, f"import:{run.public_id}"
        self._id_start = ids.ulid()[:ID_START_CHARS]
        self._numbers = vocabulary.numbers(scope=scope)
        self._slugs = set(Segment.objects.within(scope).values_list("slug", flat=True))
        statements.count("create_import_people", params={})

    def write(self, rows: Sequence[Prepared]) -> list[Found]:
        """Write the right rows of this batch; returns what is wrong with the others."""
        self._learn(rows)
        for tries in range(1, TRIES_MAX + 1):
            try:
                with transaction.atomic():
                    people, right, problems = look(scope=self._scope, title=self._title, rows=rows)
                    fresh = [row for row in right if row.who not in people]
                    self._create(fresh, people)
                    self._wait(right, {row.who for row in fresh}, people)
                    break
            except IntegrityError:
                if tries == TRIES_MAX:
                    raise
        self.created += len(fresh)
        return problems

    def _create(self, rows: Sequence[Prepared], people: dict[str, int]) -> None:
        """Afterwards these people exist with all their columns; `people` knows their ids."""
        if not rows:
            return
        taken = statements.rows("take_person_ids", params={"count": len(rows)})
        people |= {row.who: person for row, (person,) in zip(rows, taken, strict=True)}
        environment, at = self._scope.environment_id, self._at.isoformat()
        start, end = f"\t{environment}\tper_{self._id_start}", f"\t{at}\n"
        numbered = [(people[row.who], row) for row in rows]
        _copy(_PEOPLE, [f"{person}{start}{_digits(row.line)}\t{row.identity}{end}" for person, row in numbered])
        _copy(_FACTS, [self._facts(person, row, environment, at) for person, row in numbered])
        start, end = f"{environment}\t", f"\t{at}\n"
        middle = f"\t{self._source}\t"
        _copy(_RECORDS, [f"{start}{person}{middle}{row.record}{end}" for person, row in numbered if row.record != "{}"])

    def _facts(self, person: int, row: Prepared, environment: int, at: str) -> str:
        stage = self._numbers[vocabulary.Kind.LIFECYCLE][row.stage] if row.stage else 0
        plan = self._numbers[vocabulary.Kind.PLAN][row.plan] if row.plan else 0
        roles = sum(1 << self._numbers[vocabulary.Kind.ROLE][role] for role in row.roles)
        since = at if stage else "\\N"
        return f"{person}\t{environment}\t{row.membership}\t{stage}\t{since}\t{plan}\t{row.consent}\t{row.address}\t{roles}\n"

    def _wait(self, rows: Sequence[Prepared], fresh: set[str], people: dict[str, int]) -> None:
        """What needs more than the new rows: people known before, and everybody's segments."""
        lines = [
            f"{people[row.who]}\t{row.who in fresh}\t{row.record}\t{{{','.join(row.segments)}}}\n"
            for row in rows
            if row.segments or row.who not in fresh
        ]
        if lines:
            _copy(_WAITING, lines)

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

    def _learn(self, rows: Sequence[Prepared]) -> None:
        """Every stage, plan, role and segment has a number before the first row needs it."""
        kinds = vocabulary.Kind
        names = {(kinds.LIFECYCLE, row.stage) for row in rows if row.stage}
        names |= {(kinds.PLAN, row.plan) for row in rows if row.plan}
        names |= {(kinds.ROLE, role) for row in rows for role in row.roles}
        if missing := [(kind, name) for kind, name in names if name not in self._numbers[kind]]:
            vocabulary.learn(scope=self._scope, names=missing, now=self._now)
            self._numbers = vocabulary.numbers(scope=self._scope)
        for slug in sorted({slug for row in rows for slug in row.segments} - self._slugs):
            title = slug.replace("-", " ").replace("_", " ").strip().capitalize() or slug
            vocabulary.new_segment(
                scope=self._scope, actor=self._actor, slug=slug, name=title, description="", now=self._now
            )
            self._slugs.add(slug)


def _copy(statement: LiteralString, lines: Sequence[str]) -> None:
    if lines:
        with statements.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write("".join(lines))


def _digits(line: int) -> str:
    return (
        DIGITS[line >> 20 & 31] + DIGITS[line >> 15 & 31] + DIGITS[line >> 10 & 31] + DIGITS[line >> 5 & 31]
        + DIGITS[line & 31]
    )  # fmt: skip
