"""Static lists: named, filled and emptied by people. What Lamba's events keep is theirs to change."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet

from audiences import facts, statements, vocabulary
from audiences.models import Fact, Segment
from audit import chain
from lamba_campaigns.lib import ids, sql
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, NotFound, Stale
from projects.scoping import Actor, Scope

NAME_LENGTH_MAX = 120
DESCRIPTION_LENGTH_MAX = 500
SLUG_LENGTH_MAX = 60
CHANGE_PEOPLE_MAX = 1_000
COUNT_MAX = 10_000  # counts stop here and say "10,000+"
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,60}")
_NOT_SLUG: Final = re.compile(r"[^a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Listed:
    """A segment with how many people are in it; `capped` when there are more than `people`."""

    segment: Segment
    people: int

    @property
    def capped(self) -> bool:
        return self.people > COUNT_MAX


def every(*, scope: Scope) -> list[Listed]:
    """All segments by name, with capped counts from the index of members."""
    counts: dict[int, int] = dict(
        statements.rows("count_segments", params={"environment": scope.environment_id, "most": COUNT_MAX + 1})
    )
    rows = Segment.objects.within(scope).order_by("name", "id")
    return [Listed(segment, counts.get(segment.pk, 0)) for segment in rows]


def get(*, scope: Scope, public_id: str) -> Segment:
    found: Segment | None = Segment.objects.within(scope).filter(public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such segment in this environment.")
    return found


def count(*, scope: Scope, segment: Segment) -> int:
    """People in the segment, up to `COUNT_MAX` + 1."""
    return members(scope=scope, segment=segment)[: COUNT_MAX + 1].count()


def members(*, scope: Scope, segment: Segment) -> QuerySet[Any]:
    """The facts that make people members, by person id; `.person` is loaded. Reads the index of members."""
    field = f"segment.{segment.slug}"
    rows: QuerySet[Any] = Fact.objects.within(scope).filter(field=field, field__startswith="segment.", value=True)
    return rows.select_related("person").order_by("person_id")


def create(*, scope: Scope, actor: Actor, name: str, slug: str = "", description: str = "", now: datetime) -> Segment:
    """An empty list. Without a slug the name makes one. Conflict if the slug is taken."""
    title, short = _name(name), slug.strip() or _NOT_SLUG.sub("-", name.strip().lower()).strip("-")[:SLUG_LENGTH_MAX]
    if not _SLUG.fullmatch(short):
        raise _wrong("slug", "Use 1 to 60 letters, digits, - and _.")
    with sql.durable():
        made = vocabulary.new_segment(
            scope=scope, actor=actor, slug=short, name=title, description=_description(description), now=now
        )
        _record(scope, actor, "segment.created", made, now, {"slug": short})
        return made


def update(
    *, scope: Scope, actor: Actor, public_id: str, state_version: int, name: str, description: str, now: datetime
) -> Segment:
    """Another name or description. The slug, which events and rules use, stays."""
    with sql.durable():
        segment = _locked(scope, public_id)
        if segment.state_version != state_version:
            raise Stale(
                f"“{segment.name}” was changed since you opened it.", next_step="Load it again, then make your change."
            )
        before = {"name": segment.name, "description": segment.description}
        segment.name, segment.description = _name(name), _description(description)
        segment.state_version, segment.updated_at = state_version + 1, now
        segment.save(update_fields=["name", "description", "state_version", "updated_at"])
        after = {"name": segment.name, "description": segment.description}
        _record(scope, actor, "segment.updated", segment, now, after, before)
        return segment


def change_members(
    *,
    scope: Scope,
    actor: Actor,
    public_id: str,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
    now: datetime,
) -> Segment:
    """Put people in or take them out, by Lamba's user id or an address. All of them, or nobody."""
    if len(add) + len(remove) > CHANGE_PEOPLE_MAX:
        raise _wrong("add", f"At most {CHANGE_PEOPLE_MAX:,} people at a time. Import a file for more.")
    with sql.durable():
        segment = _locked(scope, public_id)
        if segment.origin != Segment.Origin.LIST:
            raise Conflict(
                f"“{segment.name}” is kept by Lamba's events.", next_step="Create a list of your own for these people."
            )
        source = f"{actor.origin}:{actor.id[:40]}:{ids.ulid()}"
        field = f"segment.{segment.slug}"
        changes = [
            facts.Change(person, field, into, now, source)
            for who, into, pointer in ((add, True, "add"), (remove, False, "remove"))
            for person in _people(scope, who, pointer)
        ]
        facts.apply(scope=scope, changes=changes, now=now)
        if changes:
            Segment.objects.within(scope).filter(pk=segment.pk).update(updated_at=now)
            _record(scope, actor, "segment.updated", segment, now, {"added": len(add), "removed": len(remove)})
    return get(scope=scope, public_id=public_id)


def _people(scope: Scope, given: Sequence[str], pointer: str) -> list[int]:
    wanted = sorted({each.strip() for each in given if each.strip()})
    params = {"environment": scope.environment_id, "asked": wanted}
    found = statements.rows("people_by_names", params=params) if wanted else []
    known = {name for name, _ in found}
    problems = tuple(
        FieldProblem(f"#/{pointer}", "unknown_person", f"{each[:100]} is nobody here.")
        for each in wanted
        if each not in known
    )
    if problems:
        raise Invalid(
            f"{len(problems)} of {len(wanted)} people are not known here. {problems[0].detail}",
            next_step="Import them first, or correct the list. Nothing was changed.",
            problems=problems[:50],
        )
    return sorted({person for _, person in found})


def _locked(scope: Scope, public_id: str) -> Segment:
    found: Segment | None = Segment.objects.within(scope).select_for_update().filter(public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such segment in this environment.")
    return found


def _record(
    scope: Scope,
    actor: Actor,
    action: str,
    segment: Segment,
    now: datetime,
    after: dict[str, Any],
    before: dict[str, Any] | None = None,
) -> None:
    subject = chain.Subject("segment", segment.public_id, segment.name)
    chain.record(scope=scope, actor=actor, action=action, subject=subject, now=now, before=before, after=after)


def _name(text: str) -> str:
    cleaned = " ".join(text.split())
    if not 0 < len(cleaned) <= NAME_LENGTH_MAX:
        raise _wrong("name", f"A name has 1 to {NAME_LENGTH_MAX} characters.")
    return cleaned


def _description(text: str) -> str:
    if len(text) > DESCRIPTION_LENGTH_MAX:
        raise _wrong("description", f"A description has at most {DESCRIPTION_LENGTH_MAX} characters.")
    return text.strip()


def _wrong(field: str, detail: str) -> Invalid:
    return Invalid(detail, problems=(FieldProblem(f"#/{field}", "invalid", detail),))
