"""take(): freeze who an audience is, in one statement. Everyone matched is included or left out for exactly one reason.

A snapshot is written once and never edited. Taking it twice for one purpose gives the first one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from psycopg import sql as compose

from audiences import partitions, people, statements, vocabulary
from audiences.channels import ADDRESSES, CHANNEL_BITS, VALID_ADDRESSES
from audiences.models import AudienceVersion, Snapshot, SnapshotMember
from audiences.reasons import INCLUDED, REASONS
from audiences.rules.compile import Compiled, compiled
from audiences.rules.parse import parse
from audiences.rules.vocabulary import load
from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import FieldProblem, Invalid, NotFound
from projects.scoping import SYSTEM, Actor, Scope

FIELDS_MAX = 100
FREEZE_MEMORY = "64MB"  # of each sort of the freezing statement


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


def take(
    *,
    scope: Scope,
    version: AudienceVersion,
    channel: str,
    fields: Sequence[str],
    purpose: str,
    now: datetime,
    actor: Actor = SYSTEM,
) -> Snapshot:
    """Freeze the members of `version` as of `now`. `fields` are template variables kept with every member.

    Commits on its own. A second call for one purpose waits for the first and returns its snapshot.
    """
    asked = tuple(sorted(set(fields)))
    _require_known(asked)
    with sql.durable():
        partitions.ensure(parent="audiences_snapshotmember", month=partitions.month_of(now))
    with sql.durable():
        sql.rows("audiences", "lock_purpose", {"purpose": f"{scope.environment_id}:{purpose}"})
        earlier: Snapshot | None = Snapshot.objects.within(scope).filter(purpose=purpose).first()
        if earlier is not None:
            return earlier
        taken = _freeze(scope, version, channel, asked, purpose, now, actor)
        chain.record(
            scope=scope,
            actor=actor,
            action="snapshot.taken",
            subject=chain.Subject("snapshot", taken.public_id, version.audience.name),
            now=now,
            after={
                "audience": version.audience.public_id,
                "version": version.number,
                "planned": taken.planned,
                "included": taken.included,
                "excluded": taken.excluded_counts,
                "ruleDigest": bytes(taken.rule_digest).hex(),
                "memberDigest": bytes(taken.member_digest).hex(),
            },
        )
        return taken


def get(*, scope: Scope, public_id: str) -> Snapshot:
    rows = Snapshot.objects.within(scope).select_related("audience_version__audience")
    found: Snapshot | None = rows.filter(public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such snapshot in this environment.")
    return found


def counts(snapshot: Snapshot) -> Counts:
    """As frozen; no row is counted again."""
    return Counts(snapshot.planned, snapshot.included, dict(snapshot.excluded_counts))


def members(*, scope: Scope, snapshot: Snapshot, included: bool, after: int = 0) -> QuerySet[Any]:
    """Members with their people in the order of their positions, beyond position `after`: 1, 2, … or -1, -2, …."""
    rows = SnapshotMember.objects.within(scope).filter(taken_month=snapshot.taken_month, snapshot_id=snapshot.pk)
    rows = rows.filter(position__gt=max(after, 0)) if included else rows.filter(position__lt=min(after, 0))
    found: QuerySet[Any] = rows.select_related("person").order_by("position" if included else "-position")
    return found


def verify(*, scope: Scope, snapshot: Snapshot) -> Verified:
    """Read every stored row again and compare it with what the snapshot says of itself."""
    params = {"environment": scope.environment_id, "snapshot": snapshot.pk, "month": snapshot.taken_month}
    found = statements.rows("weigh", params=params)
    parts = [row[:4] for row in found]
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


def _freeze(
    scope: Scope,
    version: AudienceVersion,
    channel: str,
    fields: tuple[str, ...],
    purpose: str,
    now: datetime,
    actor: Actor,
) -> Snapshot:
    words = load(scope)
    rule = compiled(parse(version.rule, words), scope=scope, now=now, vocabulary=words)
    ((snapshot_id,),) = sql.rows("audiences", "next_snapshot_id")
    month = partitions.month_of(now)
    parts, watermark = _insert_members(scope, rule, channel, fields, snapshot_id, month)
    found = _counted(parts)
    return Snapshot.objects.create(
        id=snapshot_id,
        environment_id=scope.environment_id,
        audience_version=version,
        purpose=purpose,
        channel=channel,
        fields=list(fields),
        taken_at=now,
        taken_month=month,
        planned=found.planned,
        included=found.included,
        excluded_counts=dict(found.excluded),
        rule_digest=bytes(version.digest),
        member_digest=member_digest(parts),
        watermark=watermark,
        created_by=actor.label,
    )


def _insert_members(
    scope: Scope, rule: Compiled, channel: str, fields: tuple[str, ...], snapshot_id: int, month: date
) -> tuple[list[sql.Row], str]:
    """[(reason, people, digest sum, digest sum)], and the watermark of the statement that read the facts."""
    statement = statements.composed("freeze").format(
        address=compose.SQL(ADDRESSES[channel]),
        valid=compose.SQL(VALID_ADDRESSES[channel]),
        truth=rule.truth,
        predicate=rule.predicate,
        fields=_fields(scope, fields),
    )
    params = {
        **rule.params,
        "environment": scope.environment_id,
        "channel": CHANNEL_BITS[channel],
        "snapshot": snapshot_id,
        "month": month,
    }
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL work_mem = '{FREEZE_MEMORY}'")
        cursor.execute(statement, params)
        found = cursor.fetchall()
    watermark = found[0][4] if found else sql.rows("audiences", "watermark")[0][0]
    return [row[:4] for row in found], watermark


def _counted(parts: Sequence[sql.Row]) -> Counts:
    people_by_reason = {row[0]: row[1] for row in parts}
    excluded = {name: people_by_reason[number] for number, name in REASONS.items() if number in people_by_reason}
    return Counts(sum(people_by_reason.values()), people_by_reason.get(INCLUDED, 0), excluded)


def _fields(scope: Scope, names: tuple[str, ...]) -> compose.Composable:
    """The merge fields asked for, as one jsonb: what templates call `person`. NULL when there are none."""
    plain = [name.removeprefix("person.") for name in names if not name.startswith(people.TRAITS_PREFIX)]
    traits = [name.removeprefix(people.TRAITS_PREFIX) for name in names if name.startswith(people.TRAITS_PREFIX)]
    pairs = [compose.SQL("{}, {}").format(compose.Literal(name), _value(scope, name)) for name in plain]
    if traits:
        kept = [compose.SQL("{name}, p.traits -> {name}").format(name=compose.Literal(name)) for name in traits]
        inner = compose.SQL("jsonb_strip_nulls(jsonb_build_object({}))").format(compose.SQL(", ").join(kept))
        pairs.append(compose.SQL("'traits', {}").format(inner))
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
