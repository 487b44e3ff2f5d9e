"""Layouts and snippets: edit a draft, publish it as the next version. What a template version holds never changes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from django.db.models import F

from audit import chain
from campaigns import resolving
from campaigns.message import KNOWN_FIELDS as KNOWN_FIELDS
from campaigns.models import Part, PartUse, PartVersion
from campaigns.models.part import PART_BODY_LENGTH_MAX
from delivery.content import linting, rendering, snippets
from lamba_campaigns.lib.canonical import digest
from lamba_campaigns.lib.constraints import translated
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, NotFound, Stale
from lamba_campaigns.lib.sql import durable
from projects.scoping import Actor, Scope

ACTIVE_MAX: Final = 100  # of each kind in one environment
USES_SHOWN: Final = 100
SAMPLE_BODY: Final = (
    '# A headline\n\nHello {{ person.given_name | default: "there" }},\n\nwhat you want to say.\n\n'
    "[Do it](button:https://example.com)\n"
)
_SECTIONS: Final = ("<mj-section", "<mj-wrapper", "<mj-hero", "<mj-raw")
_SENDER: Final = ("Sender", "sender@example.com")


class PartArchived(Conflict):
    """The part was archived; templates that hold it go on, no new one can."""

    code = "PART_ARCHIVED"


class PartNameTaken(Conflict):
    """Another active part of this kind has this name."""

    code = "PART_NAME_TAKEN"


class PartChanged(Stale):
    """Somebody else saved or published the part since it was read."""

    code = "STALE_VERSION"


def create(*, scope: Scope, actor: Actor, kind: str, name: str, body: str, publish_it: bool, now: datetime) -> Part:
    """A new layout or snippet, as a draft or with version 1."""
    _require_shape(name, body)
    if publish_it:
        require_clean(scope=scope, kind=kind, name=name, body=body)
    with durable(), _named(name):
        if Part.objects.within(scope).filter(kind=kind, status="active").count() >= ACTIVE_MAX:
            raise Conflict(f"There are {ACTIVE_MAX} {kind}s already.", next_step="Archive one that nothing uses.")
        part = Part(
            environment_id=scope.environment_id,
            kind=Part.Kind(kind),
            name=name,
            draft_body="" if publish_it else body,
            draft_saved_at=None if publish_it else now,
            created_by=actor.label,
            updated_by=actor.label,
            created_at=now,
            updated_at=now,
        )
        part.save(force_insert=True)
        version = _publish(scope, part, body, actor, now) if publish_it else None
        after = {"kind": kind, "version": version.number if version else 0}
        _record(scope, actor, "template_part.created", part, now, after=after)
    return part


def save_draft(*, scope: Scope, actor: Actor, part_id: str, body: str, version: int, now: datetime) -> Part:
    """Keep the editor's text. Nothing takes a draft, so it may hold errors."""
    _require_shape("name", body)
    with durable():
        part = _locked(scope, part_id, version)
        before = {"draft": digest(current(scope=scope, part=part)).hex()}
        _save(scope, part, actor, now, draft_body=body, draft_saved_at=now)
        _record(scope, actor, "template_part.updated", part, now, before=before, after={"draft": digest(body).hex()})
    return part


def publish(*, scope: Scope, actor: Actor, part_id: str, body: str, version: int, now: datetime) -> PartVersion:
    """The next immutable version. A template takes it when it is published next; until then it keeps what it has."""
    _require_shape("name", body)
    found = find(scope=scope, part_id=part_id)
    require_clean(scope=scope, kind=found.kind, name=found.name, body=body)
    with durable():
        part = _locked(scope, part_id, version)
        made = _publish(scope, part, body, actor, now)
        after = {"version": made.number, "digest": bytes(made.digest).hex()}
        _record(scope, actor, "template_part.published", part, now, before={"version": made.number - 1}, after=after)
    return made


def archive(*, scope: Scope, actor: Actor, part_id: str, version: int, now: datetime) -> Part:
    """No template can take it any more. Those that were published with it go on as they are."""
    with durable():
        part = _locked(scope, part_id, version)
        _save(scope, part, actor, now, status=Part.Status.ARCHIVED)
        before, after = {"status": "active"}, {"status": "archived"}
        _record(scope, actor, "template_part.archived", part, now, before=before, after=after)
    return part


def check(*, scope: Scope, kind: str, name: str, body: str) -> list[linting.Problem]:
    """Everything wrong or doubtful in the part, as a message that holds nothing else would show it."""
    bodies = resolving.bodies(scope=scope) if resolving.names_parts(body) else {}
    if kind == Part.Kind.SNIPPET:
        bodies[name] = body
    try:
        whole = snippets.expand(body, bodies).text
        if kind == Part.Kind.SNIPPET:  # in its own place, so that a circle through others shows
            snippets.expand(f"{{% render '{name}' %}}", bodies)
    except snippets.BadSnippet as problem:
        return [linting.Problem("#/body", "bad_snippet", str(problem), "error", *linting.place_of(body, problem.index))]
    found = linting.lint(as_content(kind, whole), KNOWN_FIELDS)
    return [replace(each, pointer="#/body") for each in found if each.pointer in ("#/body", "#/layout")]


def require_clean(*, scope: Scope, kind: str, name: str, body: str) -> None:
    """Invalid when the part has errors. Warnings pass."""
    errors = [each for each in check(scope=scope, kind=kind, name=name, body=body) if each.severity == "error"]
    if errors:
        raise Invalid(
            f"The {kind} can't be published as it is.",
            next_step="Correct the places named in errors.",
            problems=tuple(FieldProblem(each.pointer, each.code, each.placed) for each in errors),
        )


def find(*, scope: Scope, part_id: str) -> Part:
    found: Part | None = Part.objects.within(scope).filter(public_id=part_id).first()
    if found is None:
        raise NotFound("There is no such layout or snippet here.", next_step="List them to see their ids.")
    return found


def versions(*, scope: Scope, part: Part) -> Sequence[PartVersion]:
    """Newest first."""
    return list(PartVersion.objects.within(scope).filter(part=part).order_by("-number"))


def current(*, scope: Scope, part: Part) -> str:
    """What the editor opens: the draft where there is one, else the newest version."""
    if part.draft_saved_at is not None:
        return part.draft_body
    newest = PartVersion.objects.within(scope).filter(part=part, number=part.latest_number).first()
    return newest.body if newest else ""


def uses(*, scope: Scope, part: Part) -> list[PartUse]:
    """The template versions that hold it, the newest first."""
    rows = PartUse.objects.within(scope).filter(part_version__part=part)
    return list(rows.select_related("part_version", "template_version__template").order_by("-pk")[:USES_SHOWN])


def as_content(kind: str, body: str) -> rendering.Content:
    """The part as a message of its own: a layout around a sample, a snippet as the body."""
    if kind == Part.Kind.LAYOUT:
        return rendering.Content("Subject", "Preheader", SAMPLE_BODY, *_SENDER, layout=body)
    if body.lstrip().startswith("<mj-"):
        whole = (
            body if body.lstrip().startswith(_SECTIONS) else f"<mj-section><mj-column>{body}</mj-column></mj-section>"
        )
        page = f"<mjml><mj-body>{whole}<mj-raw>{{{{ unsubscribe_url }}}}</mj-raw></mj-body></mjml>"
        return rendering.Content("Subject", "", page, *_SENDER, format="mjml")
    return rendering.Content("Subject", "", body, *_SENDER)


def _publish(scope: Scope, part: Part, body: str, actor: Actor, now: datetime) -> PartVersion:
    version = PartVersion(
        environment_id=scope.environment_id,
        part=part,
        number=part.latest_number + 1,
        body=body,
        digest=digest(body),
        created_by=actor.label,
        created_at=now,
    )
    version.save(force_insert=True)
    _save(scope, part, actor, now, latest_number=version.number, draft_body="", draft_saved_at=None)
    return version


def _save(scope: Scope, part: Part, actor: Actor, now: datetime, **changes: Any) -> None:
    changes |= {"updated_by": actor.label, "updated_at": now}
    touched = (
        Part.objects.within(scope)
        .filter(pk=part.pk, state_version=part.state_version)
        .update(**changes, state_version=F("state_version") + 1)
    )
    assert touched == 1, "the row is locked, or was inserted by this transaction"
    for name, value in changes.items():
        setattr(part, name, value)
    part.state_version += 1


def _locked(scope: Scope, part_id: str, version: int) -> Part:
    found: Part | None = Part.objects.within(scope).select_for_update(no_key=True).filter(public_id=part_id).first()
    if found is None:
        raise NotFound("There is no such layout or snippet here.", next_step="List them to see their ids.")
    if found.state_version != version:
        raise PartChanged(
            f"You changed version {version} of {found.name}; it is at version {found.state_version} now.",
            next_step=f"{found.updated_by} changed it. Read it again, then repeat your change.",
            etag=f'"{found.state_version}"',
        )
    if found.status == Part.Status.ARCHIVED:
        raise PartArchived(f"{found.name} is archived.", next_step="Create a new one with its last text.")
    return found


def _record(scope: Scope, actor: Actor, action: str, part: Part, now: datetime, **facts: Any) -> None:
    subject = chain.Subject("template_part", part.public_id, part.name)
    chain.record(scope=scope, actor=actor, action=action, subject=subject, now=now, **facts)


def _named(name: str) -> Any:
    taken = PartNameTaken(f"Another one is called {name}.", next_step="Choose another name, or edit that one.")
    return translated({"part_name_is_unique": taken})


def _require_shape(name: str, body: str) -> None:
    problems = []
    if not snippets.NAME.fullmatch(name):
        detail = "Use 1 to 60 small letters, digits, - and _: templates write this name."
        problems.append(FieldProblem("#/name", "name", detail))
    if len(body) > PART_BODY_LENGTH_MAX:
        problems.append(FieldProblem("#/body", "too_long", f"Use at most {PART_BODY_LENGTH_MAX:,} characters."))
    if problems:
        raise Invalid("It can't be kept as it is.", problems=tuple(problems))
