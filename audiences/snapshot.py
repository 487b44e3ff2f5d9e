"""take(): freeze who an audience is, in one statement. Everyone matched is included or left out for exactly one reason.

A snapshot is written once and never edited. Taking it twice for one purpose gives the first one.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.db import OperationalError, connection
from django.db.models import QuerySet
from psycopg import sql as compose
from psycopg.errors import QueryCanceled

from audiences import erasure, exclusions, judging, partitions, people, statements, vocabulary
from audiences.exclusions import NOTHING, Exclusions
from audiences.models import Audience, AudienceVersion, Snapshot, SnapshotMember
from audiences.reasons import INCLUDED, REASONS
from audiences.rules.compile import Compiled, compiled
from audiences.rules.nesting import versions
from audiences.rules.parse import parse
from audiences.rules.vocabulary import Vocabulary, load
from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.cells import Line, safe_cell
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, NotFound
from projects.scoping import SYSTEM, Actor, Scope

FIELDS_MAX = 100
EXPORT_PAGE = 2_000
STEP_PEOPLE, STEPS_MAX = 5_000, 200  # between two signs of life of a freeze; each is a lock until it commits
SEALING = 2**31 - 1  # told instead of a number of people, when everybody is written


@dataclass(frozen=True, slots=True)
class Counts:
    """Everyone matched: included, or left out by reason name."""

    planned: int
    included: int
    excluded: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Verified:
    """What a second look at a snapshot's rows found. `problems` is empty when they are what was frozen."""

    snapshot: Snapshot
    members: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a snapshot is taken of, and for what."""

    version: AudienceVersion
    channel: str
    fields: tuple[str, ...]
    purpose: str
    exclusions: Exclusions
    salt: str
    split: int


@dataclass(frozen=True, slots=True)
class Freezing:
    """Where a snapshot is while it is being taken. `written` people, in whole steps, are included so far."""

    phase: Literal["matching", "writing", "sealing"]
    written: int


class TakeCancelled(Conflict):
    """Somebody stopped the taking of a snapshot. Nothing of it was stored."""

    code = "SNAPSHOT_CANCELLED"
    title = "The snapshot was cancelled"

    def __init__(self, purpose: str) -> None:
        super().__init__(f"Taking the snapshot for {purpose} was stopped; nothing of it is left.")


def take(
    *,
    scope: Scope,
    version: AudienceVersion,
    channel: str,
    fields: Sequence[str],
    purpose: str,
    now: datetime,
    actor: Actor = SYSTEM,
    exclusions: Exclusions = NOTHING,
    salt: str = "",
    split: int = 0,
    still_wanted: Callable[[], bool] = lambda: True,
) -> Snapshot:
    """Freeze the members of `version` as of `now`. `fields` are template variables kept with every member.

    Commits on its own. A second call for one purpose waits for the first and returns its snapshot. `salt` (the
    campaign's id) decides who is held out, and who is of variant b: `split` basis points of the people. TakeCancelled,
    and nothing is left of it, if `cancel` was called meanwhile or if it is not `still_wanted` at the end.
    """
    asked = Asked(version, channel, tuple(sorted(set(fields))), purpose, exclusions, salt, split)
    _require_known(asked.fields)
    with sql.durable():
        partitions.ensure(parent="audiences_snapshotmember", month=partitions.month_of(now))
    with _cancellable(purpose), sql.durable():
        sql.rows("audiences", "lock_purpose", {"purpose": _lock_name(scope, purpose)})
        earlier: Snapshot | None = Snapshot.objects.within(scope).filter(purpose=purpose).first()
        if earlier is not None:
            return earlier
        taken = _freeze(scope, asked, now, actor)
        _record(scope, actor, taken, now)
        if not still_wanted():
            raise TakeCancelled(purpose)
        return taken


def progress(*, scope: Scope, purpose: str) -> Freezing | None:
    """How far whoever takes the snapshot of this purpose is right now; None where nobody is."""
    found = sql.one("audiences", "freeze_progress", {"purpose": _lock_name(scope, purpose)})
    if found is None:
        return None
    written = int(found[0])
    if written == SEALING:
        return Freezing("sealing", 0)
    return Freezing("writing" if written else "matching", written)


def cancel(*, scope: Scope, purpose: str) -> bool:
    """Stop whoever is taking the snapshot of this purpose right now; False where nobody is. Nothing is left of it."""
    return bool(sql.rows("audiences", "cancel_taker", {"purpose": _lock_name(scope, purpose)}))


def get(*, scope: Scope, public_id: str) -> Snapshot:
    rows = Snapshot.objects.within(scope).select_related("audience_version__audience")
    found: Snapshot | None = rows.filter(public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such snapshot in this environment.")
    return found


def of_audience(*, scope: Scope, public_id: str, audience: Audience) -> Snapshot:
    """The snapshot, if it was taken of this audience; NotFound otherwise."""
    found = get(scope=scope, public_id=public_id)
    if found.audience_version.audience_id != audience.pk:
        raise NotFound(f"That snapshot was not taken of “{audience.name}”.", next_step="List its snapshots.")
    return found


def latest_of(*, scope: Scope, audience: Audience, limit: int) -> list[Snapshot]:
    """The newest snapshots of an audience, whatever they were taken for."""
    rows = Snapshot.objects.within(scope).filter(audience_version__audience=audience)
    return list(rows.select_related("audience_version").order_by("-id")[:limit])


def choices(*, scope: Scope, taken: Sequence[Snapshot]) -> list[tuple[str, str]]:
    """Snapshots to choose from: id, and when it was taken with how many are in."""
    moments = [(each, each.taken_at.astimezone(scope.zone)) for each in taken]
    return [(each.public_id, f"{at.day} {at:%b %Y, %H:%M}, {each.included:,} in") for each, at in moments]


def counts(snapshot: Snapshot) -> Counts:
    """As frozen; no row is counted again."""
    return Counts(snapshot.planned, snapshot.included, dict(snapshot.excluded_counts))


def members(*, scope: Scope, snapshot: Snapshot, included: bool, after: int = 0) -> QuerySet[Any]:
    """Members with their people in the order of their positions, beyond position `after`: 1, 2, … or -1, -2, …."""
    rows = SnapshotMember.objects.within(scope).filter(taken_month=snapshot.taken_month, snapshot_id=snapshot.pk)
    rows = rows.filter(position__gt=max(after, 0)) if included else rows.filter(position__lt=min(after, 0))
    found: QuerySet[Any] = rows.select_related("person").order_by("position" if included else "-position")
    return found


def export(*, scope: Scope, actor: Actor, snapshot: Snapshot, included: bool, now: datetime) -> Iterator[str]:
    """Members as lines of CSV, streamed by position; the audit entry is written before the first line leaves."""
    with sql.durable():
        chain.record(
            scope=scope,
            actor=actor,
            action="people.exported",
            subject=chain.Subject("snapshot", snapshot.public_id, snapshot.audience_version.audience.name),
            now=now,
            after={"what": "members" if included else "excluded"},
        )
    return _lines(scope, snapshot, included)


def _lines(scope: Scope, snapshot: Snapshot, included: bool) -> Iterator[str]:
    writer = csv.writer(Line())
    yield writer.writerow(["position", "person", "address", "reason"])
    after = 0
    while rows := list(members(scope=scope, snapshot=snapshot, included=included, after=after)[:EXPORT_PAGE]):
        for row in rows:
            reason = REASONS.get(row.reason, "")
            yield writer.writerow([row.position, *map(safe_cell, (row.person.external_id, row.address, reason))])
        after = rows[-1].position


def verify(*, scope: Scope, snapshot: Snapshot) -> Verified:
    """Read every stored row again and compare it with what the snapshot says of itself."""
    params = {"environment": scope.environment_id, "snapshot": snapshot.pk, "month": snapshot.taken_month}
    found = statements.rows("weigh", params=params)
    parts = erasure.restored(scope=scope, snapshot=snapshot, parts=[row[:4] for row in found])
    problems = [f"{row[6]} members are not people of {scope.path}, or were removed from it" for row in found if row[6]]
    stored = _counted(parts)
    if stored != counts(snapshot):
        problems.append(f"counts differ: stored {stored}, frozen {counts(snapshot)}")
    if member_digest(parts) != bytes(snapshot.member_digest):
        problems.append("the member digest differs: a row was changed, added or removed")
    included = [row for row in found if row[0] == INCLUDED]
    if any((row[4], row[5]) != (1, row[1]) for row in included):
        problems.append("the positions of included members have gaps")
    return Verified(snapshot, sum(row[1] for row in found), tuple(problems))


def member_digest(parts: Sequence[sql.Row]) -> bytes:
    """SHA-256 over count and sums per reason: any order of rows gives the same, any other row another."""
    text = "\n".join(f"{reason}|{count}|{first}|{second}" for reason, count, first, second in sorted(parts))
    return hashlib.sha256(text.encode()).digest()


@contextmanager
def _cancellable(purpose: str) -> Iterator[None]:
    try:
        yield
    except OperationalError as refusal:
        if isinstance(refusal.__cause__, QueryCanceled):
            raise TakeCancelled(purpose) from refusal
        raise


def _lock_name(scope: Scope, purpose: str) -> str:
    return f"{scope.environment_id}:{purpose}"


def _record(scope: Scope, actor: Actor, taken: Snapshot, now: datetime) -> None:
    version = taken.audience_version
    facts = {
        "audience": version.audience.public_id,
        "version": version.number,
        "planned": taken.planned,
        "included": taken.included,
        "excluded": taken.excluded_counts,
        "ruleDigest": bytes(taken.rule_digest).hex(),
        "memberDigest": bytes(taken.member_digest).hex(),
    }
    facts |= {"exclusions": taken.exclusions} if taken.exclusions else {}
    facts |= {"nested": taken.nested} if taken.nested else {}
    facts |= {"split": taken.split} if taken.split else {}
    subject = chain.Subject("snapshot", taken.public_id, version.audience.name)
    chain.record(scope=scope, actor=actor, action="snapshot.taken", subject=subject, now=now, after=facts)


def _freeze(scope: Scope, asked: Asked, now: datetime, actor: Actor) -> Snapshot:
    words = load(scope)
    read = parse(asked.version.rule, words)
    rule = compiled(read, scope=scope, now=now, vocabulary=words)
    ((snapshot_id,),) = sql.rows("audiences", "next_snapshot_id")
    where = {"snapshot": snapshot_id, "month": partitions.month_of(now)}
    watermark = _insert_members(scope, asked, rule, words, now, where)
    parts = _summed(where)
    found = _counted(parts)
    return Snapshot.objects.create(
        id=snapshot_id,
        environment_id=scope.environment_id,
        audience_version=asked.version,
        purpose=asked.purpose,
        channel=asked.channel,
        fields=list(asked.fields),
        exclusions=asked.exclusions.as_json(),
        salt=asked.salt,
        split=_split(asked, where),
        nested=versions(read, words),
        taken_at=now,
        taken_month=where["month"],
        planned=found.planned,
        included=found.included,
        excluded_counts=dict(found.excluded),
        rule_digest=bytes(asked.version.digest),
        member_digest=member_digest(parts),
        watermark=watermark,
        created_by=actor.label,
    )


def _insert_members(
    scope: Scope, asked: Asked, rule: Compiled, words: Vocabulary, now: datetime, where: Mapping[str, Any]
) -> str:
    """The watermark of the one statement that read the facts and wrote the members."""
    statement, params = judging.judged(
        "freeze",
        scope=scope,
        rule=rule,
        channel=asked.channel,
        vocabulary=words,
        now=now,
        exclusions=asked.exclusions,
        salt=asked.salt,
        kept={"truth": rule.truth, "fields": _fields(scope, asked)},
        in_order=True,
    )
    ((known,),) = statements.rows("people_in_table", params={})
    step = max(STEP_PEOPLE, known // STEPS_MAX)
    with connection.cursor() as cursor, judging.planned(cursor):
        cursor.execute(statement, {**params, **where, "step": step})
        ((watermark,),) = cursor.fetchall()
    sql.rows("audiences", "tell_written", {"written": SEALING})
    return str(watermark)


def _summed(where: Mapping[str, Any]) -> list[sql.Row]:
    """[(reason, people, digest sum, digest sum)] of what was stored. Twelve groups at most: no sort is worth it."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_sort = off")
        found = sql.rows("audiences", "sum_members", where)
        cursor.execute("SET LOCAL enable_sort = on")
        return found


def _counted(parts: Sequence[sql.Row]) -> Counts:
    people_by_reason = {row[0]: row[1] for row in parts}
    excluded = {name: people_by_reason[number] for number, name in REASONS.items() if number in people_by_reason}
    return Counts(sum(people_by_reason.values()), people_by_reason.get(INCLUDED, 0), excluded)


def _split(asked: Asked, where: Mapping[str, Any]) -> dict[str, int]:
    """How many basis points were asked for message B, and how many people got which; {} without a split."""
    if not asked.split:
        return {}
    return {"points": asked.split, **dict(sql.rows("audiences", "count_variants", where))}


def _fields(scope: Scope, asked: Asked) -> compose.Composable:
    """The merge fields asked for, as one jsonb: what templates call `person`. NULL when there are none."""
    names = asked.fields
    plain = [name.removeprefix("person.") for name in names if not name.startswith(people.TRAITS_PREFIX)]
    traits = [name.removeprefix(people.TRAITS_PREFIX) for name in names if name.startswith(people.TRAITS_PREFIX)]
    pairs = [compose.SQL("{}, {}").format(compose.Literal(name), _value(scope, name)) for name in plain]
    if traits:
        kept = [compose.SQL("{name}, p.traits -> {name}").format(name=compose.Literal(name)) for name in traits]
        inner = compose.SQL("jsonb_strip_nulls(jsonb_build_object({}))").format(compose.SQL(", ").join(kept))
        pairs.append(compose.SQL("'traits', {}").format(inner))
    if asked.split:
        chosen = exclusions.variant_sql(salt=asked.salt, points=asked.split)
        pairs.append(compose.SQL("{}, {}").format(compose.Literal(exclusions.VARIANT), chosen))
    if not pairs:
        return compose.SQL("NULL::jsonb")
    return compose.SQL("jsonb_build_object({})").format(compose.SQL(", ").join(pairs))


def _value(scope: Scope, name: str) -> compose.Composable:
    if name != "plan":
        return compose.SQL("p.{}").format(compose.Identifier(name))
    plans = vocabulary.numbers(scope=scope)[vocabulary.Kind.PLAN]
    named = json.dumps({str(number): plan for plan, number in plans.items()})
    return compose.SQL("coalesce({}::jsonb ->> f.plan::text, '')").format(compose.Literal(named))


def _require_known(names: tuple[str, ...]) -> None:
    unknown = [name for name in names if not people.is_merge_field(name)]
    if unknown or len(names) > FIELDS_MAX:
        raise Invalid(
            f"These are no fields of a person: {', '.join(unknown)}." if unknown else f"At most {FIELDS_MAX} fields.",
            next_step=f"Use {', '.join(sorted(people.FIELD_NAMES))} or person.traits.<name>.",
            problems=tuple(FieldProblem("#/fields", "unknown_field", name) for name in unknown),
        )
