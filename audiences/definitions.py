"""Audiences as people define them. A change of the rule adds an immutable version; nothing is ever rewritten."""

from datetime import datetime
from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery

from audiences import nested
from audiences.models import Audience, AudienceVersion
from audiences.rules.ast import Rule
from audiences.rules.parse import parse
from audiences.rules.sentence import sentence
from audiences.rules.vocabulary import Vocabulary, load
from audiences.uses import Use, uses_of
from audit.chain import Subject, record
from lamba_campaigns.lib.constraints import translated
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, NotFound, Stale
from lamba_campaigns.lib.sql import durable
from projects.scoping import Actor, Scope

NAME_LENGTH_MAX = 120
DESCRIPTION_LENGTH_MAX = 500


class NameTaken(Conflict):
    code = "AUDIENCE_NAME_TAKEN"


class AudienceInUse(Conflict):
    """A scheduled campaign or another audience needs this one: a change needs a yes, and a deletion waits."""

    code = "AUDIENCE_IN_USE"
    title = "The audience is in use"


def create(*, scope: Scope, actor: Actor, name: str, rule: Any, description: str = "", now: datetime) -> Audience:
    """A new audience with version 1. Invalid names every wrong place of the rule under `#/rule`."""
    with durable(), _names_are_unique(name):
        vocabulary = load(scope)
        read = parse(rule, vocabulary, at="#/rule")
        nested.require_sound(scope=scope, audience=None, rule=read, vocabulary=vocabulary)
        audience = Audience.objects.create(
            environment_id=scope.environment_id,
            name=_clean_name(name),
            description=_clean_description(description),
            created_by=actor.label,
            created_at=now,
            updated_at=now,
        )
        version = _add_version(scope, actor, audience, read, vocabulary, now)
        record(
            scope=scope,
            actor=actor,
            action="audience.created",
            subject=_subject(audience),
            after=_summary(audience, version),
            now=now,
        )
        return audience


def update(
    *,
    scope: Scope,
    actor: Actor,
    audience_id: str,
    state_version: int,
    name: str | None = None,
    description: str | None = None,
    rule: Any = None,
    confirmed: bool = False,
    now: datetime,
) -> Audience:
    """Change what is given. A rule that says something else becomes the next version.

    Stale if somebody changed the audience since `state_version`; AudienceInUse if a scheduled campaign takes the
    rule and the caller did not say `confirmed`.
    """
    with durable(), _names_are_unique(name or ""):
        audience = _lock(scope, audience_id, state_version)
        before = latest(audience)
        vocabulary = load(scope)
        read = parse(rule, vocabulary, at="#/rule") if rule is not None else None
        adds_version = read is not None and read.digest() != bytes(before.digest)
        if read and adds_version:
            nested.require_sound(scope=scope, audience=audience, rule=read, vocabulary=vocabulary)
        if adds_version and not confirmed:
            _require_no_schedule(scope, audience)
        old_summary = _summary(audience, before)
        if name is not None:
            audience.name = _clean_name(name)
        if description is not None:
            audience.description = _clean_description(description)
        audience.version += adds_version
        version = _add_version(scope, actor, audience, read, vocabulary, now) if read and adds_version else before
        new_summary = _summary(audience, version)
        if new_summary != old_summary:
            _store(scope, audience, now)
            record(
                scope=scope,
                actor=actor,
                action="audience.updated",
                subject=_subject(audience),
                before=old_summary,
                after=new_summary,
                now=now,
            )
        return audience


def archive(*, scope: Scope, actor: Actor, audience_id: str, state_version: int, now: datetime) -> None:
    """The audience leaves every list; its versions stay, because snapshots point to them."""
    with durable():
        audience = _lock(scope, audience_id, state_version)
        waiting = scheduled_uses(scope, audience)
        if waiting:
            raise AudienceInUse(
                f"{_listed([use.name for use in waiting])} will be sent to this audience.",
                next_step="Unschedule the campaign, or give it another audience; then delete this one.",
            )
        users = nested.users_of(scope).get(audience.public_id, [])
        if users:
            raise AudienceInUse(
                f"{_listed([user.name for user in users])} contains the people of this audience.",
                next_step="Take it out of that rule; then delete this one.",
            )
        audience.deleted_at = now
        _store(scope, audience, now)
        record(
            scope=scope,
            actor=actor,
            action="audience.deleted",
            subject=_subject(audience),
            before=_summary(audience, latest(audience)),
            now=now,
        )


def find(*, scope: Scope, audience_id: str) -> Audience:
    """The live audience with this public id, or NotFound."""
    found: Audience | None = Audience.objects.within(scope).filter(public_id=audience_id, deleted_at=None).first()
    if found is None:
        raise unknown(scope, audience_id)
    return found


def unknown(scope: Scope, audience_id: str) -> NotFound:
    """The refusal of an id that no live audience has."""
    return NotFound(
        f"There is no audience {audience_id} in {scope.path}.", next_step="Pick one from the list of audiences."
    )


def with_latest(*, scope: Scope) -> QuerySet[Any]:
    """Live audiences with `latest_rule`, `latest_sentence` and `latest_digest` of their newest version."""
    newest = AudienceVersion.objects.within(scope).filter(audience=OuterRef("pk"), number=OuterRef("version"))
    found: QuerySet[Any] = (
        Audience.objects.within(scope)
        .filter(deleted_at=None)
        .annotate(
            latest_rule=Subquery(newest.values("rule")[:1]),
            latest_sentence=Subquery(newest.values("sentence")[:1]),
            latest_digest=Subquery(newest.values("digest")[:1]),
        )
    )
    return found


def latest(audience: Audience) -> AudienceVersion:
    """The newest version of an audience."""
    rows = AudienceVersion.objects.across_environments("the versions of a loaded audience")
    found: AudienceVersion = rows.get(audience_id=audience.pk, number=audience.version)
    return found


def rule_of(version: AudienceVersion) -> Rule:
    """The stored rule. It was checked when it was stored; names are looked up again when it runs."""
    return parse(version.rule)


def scheduled_uses(scope: Scope, audience: Audience) -> list[Use]:
    """Scheduled campaigns of this audience, and of every audience that contains it."""
    keys = [audience.pk, *(user.pk for user in nested.all_users(scope, audience))]
    return [use for uses in uses_of(scope, keys).values() for use in uses if use.scheduled]


def _lock(scope: Scope, audience_id: str, state_version: int) -> Audience:
    find(scope=scope, audience_id=audience_id)
    audience: Audience = Audience.objects.within(scope).select_for_update().get(public_id=audience_id)
    if audience.state_version != state_version or audience.deleted_at is not None:
        raise Stale(
            f"“{audience.name}” was changed since you opened it: you have state {state_version},"
            f" it is at {audience.state_version}.",
            next_step="Load it again, look at what changed, then make your change.",
        )
    return audience


def _require_no_schedule(scope: Scope, audience: Audience) -> None:
    waiting = scheduled_uses(scope, audience)
    if waiting:
        raise AudienceInUse(
            f"{_listed([use.name for use in waiting])} will be sent to whoever matches the new rule.",
            next_step="Confirm the change (REST: `confirmed: true`), or save the rule as a new audience.",
            campaigns=[{"id": use.public_id, "name": use.name} for use in waiting],
        )


def _add_version(
    scope: Scope, actor: Actor, audience: Audience, rule: Rule, vocabulary: Vocabulary, now: datetime
) -> AudienceVersion:
    return AudienceVersion.objects.create(
        environment_id=scope.environment_id,
        audience=audience,
        number=audience.version,
        rule=rule.as_json(),
        digest=rule.digest(),
        sentence=sentence(rule, vocabulary),
        created_by=actor.label,
        created_at=now,
    )


def _store(scope: Scope, audience: Audience, now: datetime) -> None:
    """Compare-and-swap: the row is locked, and the version guards against a lock that was not taken."""
    moved = (
        Audience.objects.within(scope)
        .filter(pk=audience.pk, state_version=audience.state_version)
        .update(
            name=audience.name,
            description=audience.description,
            version=audience.version,
            deleted_at=audience.deleted_at,
            updated_at=now,
            state_version=F("state_version") + 1,
        )
    )
    assert moved == 1, "the row is locked by this transaction"
    audience.state_version += 1
    audience.updated_at = now


def _summary(audience: Audience, version: AudienceVersion) -> dict[str, Any]:
    """What the audit entry keeps: no person stands in a rule's sentence unless an operator typed a name into it."""
    return {
        "name": audience.name,
        "description": audience.description,
        "version": version.number,
        "ruleDigest": bytes(version.digest).hex(),
    }


def _subject(audience: Audience) -> Subject:
    return Subject("audience", audience.public_id, audience.name)


def _names_are_unique(name: str) -> Any:
    taken = NameTaken(
        f"There is an audience “{name.strip()}” already.",
        next_step="Choose another name.",
        problems=(FieldProblem("#/name", "taken", "Another audience has this name."),),
    )
    return translated({"audience_name_is_unique": taken})


def _clean_name(name: str) -> str:
    text = " ".join(name.split())
    if not text or len(text) > NAME_LENGTH_MAX:
        raise _wrong("name", f"A name has 1 to {NAME_LENGTH_MAX} characters.")
    return text


def _clean_description(description: str) -> str:
    text = description.strip()
    if len(text) > DESCRIPTION_LENGTH_MAX:
        raise _wrong("description", f"A description has up to {DESCRIPTION_LENGTH_MAX} characters.")
    return text


def _wrong(name: str, detail: str) -> Invalid:
    return Invalid(detail, next_step="Correct it.", problems=(FieldProblem(f"#/{name}", "invalid", detail),))


def _listed(titles: list[str]) -> str:
    names = [f"“{title}”" for title in titles]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
