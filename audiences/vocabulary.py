"""The numbers of names: a bit for roles and segments, a value for stages and plans. A number never changes hands."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from audiences.models import Segment, Vocabulary
from audiences.models.segments import NUMBERS_MAX, ROLES_MAX, SEGMENTS_MAX
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict
from projects.scoping import SYSTEM, Actor, Scope

Kind = Vocabulary.Kind
_FIRST: Mapping[str, int] = {Kind.ROLE: 0, Kind.SEGMENT: 0, Kind.LIFECYCLE: 1, Kind.PLAN: 1}
_LAST: Mapping[str, int] = {
    Kind.ROLE: ROLES_MAX - 1,
    Kind.SEGMENT: SEGMENTS_MAX - 1,
    Kind.LIFECYCLE: NUMBERS_MAX,
    Kind.PLAN: NUMBERS_MAX,
}


class VocabularyFull(Conflict):
    """No number is left for another name of this kind."""

    code = "VOCABULARY_FULL"


def numbers(*, scope: Scope) -> dict[str, dict[str, int]]:
    """kind -> name -> number, of everything that this environment has a number for."""
    found: dict[str, dict[str, int]] = {kind: {} for kind in Kind.values}
    for kind, name, number in Vocabulary.objects.within(scope).values_list("kind", "name", "number"):
        found[kind][name] = number
    return found


def learn(*, scope: Scope, names: Iterable[tuple[str, str]], now: datetime) -> None:
    """Afterwards every (kind, name) has a number. Segments that are new here become rows "from Lamba"."""
    sql.require_transaction()
    asked = set(names)
    if not asked:
        return
    missing = asked - _known(scope)
    if not missing:
        return
    # One numberer at a time per environment. Names are rare, so nobody waits in practice.
    sql.execute("audiences", "lock_vocabulary", {"environment": scope.environment_id})
    for kind, name in sorted(missing - _known(scope)):
        number = _next(scope, kind)
        Vocabulary.objects.create(environment_id=scope.environment_id, kind=kind, name=name, number=number)
        if kind == Kind.SEGMENT:
            _add_segment(scope, name, number, now)


def new_segment(*, scope: Scope, actor: Actor, slug: str, name: str, description: str, now: datetime) -> Segment:
    """A list that operators keep. Conflict if the slug is taken or no bit is left."""
    sql.require_transaction()
    sql.execute("audiences", "lock_vocabulary", {"environment": scope.environment_id})
    if (Kind.SEGMENT, slug) in _known(scope):
        raise Conflict(f"There is a segment {slug!r} already.", next_step="Choose another name, or use that segment.")
    number = _next(scope, Kind.SEGMENT)
    Vocabulary.objects.create(environment_id=scope.environment_id, kind=Kind.SEGMENT, name=slug, number=number)
    return Segment.objects.create(
        environment_id=scope.environment_id,
        slug=slug,
        name=name,
        description=description,
        origin=Segment.Origin.LIST,
        number=number,
        created_by=actor.label,
        created_at=now,
        updated_at=now,
    )


def _known(scope: Scope) -> set[tuple[str, str]]:
    return set(Vocabulary.objects.within(scope).values_list("kind", "name"))


def _next(scope: Scope, kind: str) -> int:
    rows = Vocabulary.objects.within(scope).filter(kind=kind)
    last = rows.order_by("-number").values_list("number", flat=True).first()
    number = _FIRST[kind] if last is None else last + 1
    if number > _LAST[kind]:
        raise VocabularyFull(
            f"An environment may have {_LAST[kind] - _FIRST[kind] + 1} different values of {kind}; all are in use.",
            next_step=f"Use one of the {kind} names that exist.",
        )
    return int(number)


def _add_segment(scope: Scope, slug: str, number: int, now: datetime) -> None:
    Segment.objects.create(
        environment_id=scope.environment_id,
        slug=slug,
        name=slug.replace("-", " ").replace("_", " ").strip().capitalize() or slug,
        origin=Segment.Origin.LAMBA,
        number=number,
        created_by=SYSTEM.label,
        created_at=now,
        updated_at=now,
    )
