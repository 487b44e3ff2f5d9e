"""Templates: edit a draft, publish it as the next version. What was published is never edited."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import F

from audiences import people
from audiences.models import Person
from audit import chain
from campaigns import resolving
from campaigns.message import KNOWN_FIELDS, require_lengths
from campaigns.message import TEXTS as TEXTS
from campaigns.message import Message as Message
from campaigns.models import Channel, PartUse, PartVersion, Template, TemplateVersion
from campaigns.models.template import Format
from delivery.content import linting, rendering
from lamba_campaigns.lib.canonical import canonical_bytes, digest
from lamba_campaigns.lib.constraints import translated
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, NotFound, Stale
from lamba_campaigns.lib.sql import durable
from limits import reservations
from projects.models import Environment
from projects.scoping import Actor, Scope

NAME_LENGTH_MAX = 120
GAUGE = "templates"


class TemplateArchived(Conflict):
    """The template was archived; it keeps its versions but takes no new ones."""

    code = "TEMPLATE_ARCHIVED"


class TemplateNameTaken(Conflict):
    """Another active template has this name."""

    code = "TEMPLATE_NAME_TAKEN"


class TemplateChanged(Stale):
    """Somebody else saved or published the template since it was read."""

    code = "STALE_VERSION"


def create(
    *, scope: Scope, actor: Actor, name: str, message: Message, publish_it: bool, now: datetime, channel: str = "email"
) -> Template:
    """A new template, as a draft or with version 1. Takes one slot of the plan's templates, or 402."""
    _require_name(name)
    require_lengths(message)
    if publish_it:
        require_clean(scope=scope, message=message)
    with durable(), _named(name):
        template = Template(
            environment_id=scope.environment_id,
            name=name.strip(),
            channel=Channel(channel),
            created_by=actor.label,
            updated_by=actor.label,
            created_at=now,
            updated_at=now,
        )
        if not publish_it:
            _put_draft(template, message, now)
        template.save(force_insert=True)
        _hold_slot(scope, actor, template, now)
        version = _publish(scope, template, message, actor, now) if publish_it else None
        chain.record(
            scope=scope,
            actor=actor,
            action="template.created",
            subject=subject_of(template),
            now=now,
            after={"version": version.number if version else 0},
        )
    return template


def save_draft(
    *, scope: Scope, actor: Actor, template_id: str, name: str, message: Message, version: int, now: datetime
) -> Template:
    """Keep the editor's text. Nothing is sent from a draft, so it may hold errors."""
    _require_name(name)
    require_lengths(message)
    with durable(), _named(name):
        template = _locked(scope, template_id, version)
        before = {"name": template.name, "draft": _fingerprint(current(scope=scope, template=template))}
        _put_draft(template, message, now)
        template.name = name.strip()
        _save(scope, template, actor, now)
        after = {"name": template.name, "draft": _fingerprint(message)}
        chain.record(
            scope=scope,
            actor=actor,
            action="template.updated",
            subject=subject_of(template),
            now=now,
            before=before,
            after=after,
        )
    return template


def publish(
    *, scope: Scope, actor: Actor, template_id: str, message: Message, version: int, now: datetime
) -> TemplateVersion:
    """The next immutable version from `message`. Invalid names every error by JSON pointer."""
    require_lengths(message)
    require_clean(scope=scope, message=message)
    with durable():
        template = _locked(scope, template_id, version)
        published = _publish(scope, template, message, actor, now)
        chain.record(
            scope=scope,
            actor=actor,
            action="template.published",
            subject=subject_of(template),
            now=now,
            before={"version": published.number - 1},
            after={"version": published.number, "digest": bytes(published.digest).hex()},
        )
    return published


def archive(*, scope: Scope, actor: Actor, template_id: str, version: int, now: datetime) -> Template:
    """Out of the lists and out of the plan's count. Versions that were sent stay readable."""
    with durable():
        template = _locked(scope, template_id, version)
        template.status = Template.Status.ARCHIVED
        _save(scope, template, actor, now)
        reservations.release(scope=scope, purpose=_purpose(template), now=now)
        chain.record(
            scope=scope,
            actor=actor,
            action="template.archived",
            subject=subject_of(template),
            now=now,
            before={"status": "active"},
            after={"status": "archived"},
        )
    return template


@dataclass(frozen=True, slots=True)
class Checked:
    """A message as the channel gets it, what is wrong or doubtful in it, and the parts that it holds."""

    content: rendering.Content
    problems: tuple[linting.Problem, ...]
    parts: tuple[PartVersion, ...]


def check(
    *,
    scope: Scope,
    message: Message | TemplateVersion,
    fields: Mapping[str, Any] | None = None,
    library: Sequence[PartVersion] | None = None,
) -> Checked:
    """Errors and warnings, in the order of the text. It is filled with `fields`, or for a sample without traits.

    `library` are the newest parts, where the caller knows them already.
    """
    resolved = resolving.resolve(scope=scope, message=message, library=library)
    content = _content(scope, message, resolved)
    incomplete = {each.pointer for each in resolved.problems}
    found = linting.lint(content, KNOWN_FIELDS, fields)
    found = [resolved.placed(each) for each in found if each.pointer not in incomplete]
    return Checked(content, (*resolved.problems, *found), tuple(resolved.used.values()))


def lint(*, scope: Scope, message: Message | TemplateVersion, person: Person | None = None) -> list[linting.Problem]:
    """Everything wrong or doubtful in the message, filled for `person`, or for a sample without traits."""
    fields = people.merge_fields(person) if person else None
    return list(check(scope=scope, message=message, fields=fields).problems)


def require_clean(*, scope: Scope, message: Message) -> None:
    """Invalid when the message has errors, or can't be filled for the newest person here. Warnings pass."""
    newest = Person.objects.within(scope).filter(erased_at=None).order_by("-pk").first()
    errors = [each for each in lint(scope=scope, message=message, person=newest) if each.severity == "error"]
    if errors:
        raise Invalid(
            "The message can't be published as it is.",
            next_step="Correct the places named in errors.",
            problems=tuple(FieldProblem(each.pointer, each.code, each.placed) for each in errors),
        )


def content_of(*, scope: Scope, message: Message | TemplateVersion) -> rendering.Content:
    """The message as the channel sends it: its parts in place, with the environment's sender."""
    return _content(scope, message, resolving.resolve(scope=scope, message=message))


def find(*, scope: Scope, template_id: str) -> Template:
    found: Template | None = Template.objects.within(scope).filter(public_id=template_id).first()
    if found is None:
        raise NotFound("There is no such template here.", next_step="List the templates to see their ids.")
    return found


def latest(*, scope: Scope, template: Template) -> TemplateVersion | None:
    """The newest published version, None before the first."""
    found: TemplateVersion | None = (
        TemplateVersion.objects.within(scope).filter(template=template, number=template.latest_number).first()
    )
    return found


def current(*, scope: Scope, template: Template, newest: TemplateVersion | None = None) -> Message:
    """What the editor opens: the draft where there is one, else the newest version (looked up unless given)."""
    if template.draft_saved_at is not None:
        draft = (template.draft_subject, template.draft_preheader, template.draft_body, template.draft_text)
        return Message(*draft, template.draft_variants, template.draft_format, template.draft_layout)
    newest = newest or latest(scope=scope, template=template)
    if newest is None:
        return Message("", "", "")
    return message_of(newest)


def message_of(version: TemplateVersion) -> Message:
    """What a version says, to write on from."""
    return Message(
        version.subject, version.preheader, version.body, version.text, version.variants, version.format, version.layout
    )


def subject_of(template: Template) -> chain.Subject:
    return chain.Subject("template", template.public_id, template.name)


def _content(scope: Scope, message: Message | TemplateVersion, resolved: resolving.Resolved) -> rendering.Content:
    sender = Environment.objects.only("sender_name", "sender_address").get(pk=scope.environment_id)
    words = resolving.words_of(resolved, message)
    variants = words.pop("variants")
    return rendering.Content(
        **words,
        variants=canonical_bytes(variants).decode() if variants else "",
        format=message.format,
        layout=resolved.layout,
        from_name=sender.sender_name or scope.workspace_name,
        from_address=sender.sender_address,
        reply_to="",
    )


def _publish(scope: Scope, template: Template, message: Message, actor: Actor, now: datetime) -> TemplateVersion:
    checked = check(scope=scope, message=message)
    version = TemplateVersion(
        environment_id=scope.environment_id,
        template=template,
        number=template.latest_number + 1,
        subject=message.subject,
        preheader=message.preheader,
        body=message.body,
        text=message.text,
        variants=dict(message.variants),
        format=message.format,
        layout=message.layout,
        variables=sorted(rendering.variables(checked.content)),
        digest=digest(_words(message, checked.parts)),
        created_by=actor.label,
        created_at=now,
    )
    version.save(force_insert=True)
    for part in checked.parts:
        PartUse.objects.create(environment_id=scope.environment_id, template_version=version, part_version=part)
    template.latest_number = version.number
    template.draft_subject = template.draft_preheader = template.draft_body = template.draft_text = ""
    template.draft_variants, template.draft_layout, template.draft_format = {}, "", Format.MARKDOWN
    template.draft_saved_at = None
    _save(scope, template, actor, now)
    return version


def _save(scope: Scope, template: Template, actor: Actor, now: datetime) -> None:
    template.updated_by, template.updated_at = actor.label, now
    fields: dict[str, Any] = {
        name: getattr(template, name)
        for name in (
            "name",
            "status",
            "latest_number",
            "draft_subject",
            "draft_preheader",
            "draft_body",
            "draft_text",
            "draft_variants",
            "draft_format",
            "draft_layout",
            "draft_saved_at",
            "updated_by",
            "updated_at",
        )
    }
    touched = (
        Template.objects.within(scope)
        .filter(pk=template.pk, state_version=template.state_version)
        .update(**fields, state_version=F("state_version") + 1)
    )
    assert touched == 1, "the row is locked, or was inserted by this transaction"
    template.state_version += 1


def _locked(scope: Scope, template_id: str, version: int) -> Template:
    found: Template | None = (
        Template.objects.within(scope).select_for_update(no_key=True).filter(public_id=template_id).first()
    )
    if found is None:
        raise NotFound("There is no such template here.", next_step="List the templates to see their ids.")
    if found.state_version != version:
        raise TemplateChanged(
            f"You changed version {version} of the template; it is at version {found.state_version} now.",
            next_step=f"{found.updated_by} changed it. Read it again, then repeat your change.",
            etag=f'"{found.state_version}"',
        )
    if found.status == Template.Status.ARCHIVED:
        raise TemplateArchived(f"{found.name} is archived.", next_step="Create a new template from its last version.")
    return found


def _put_draft(template: Template, message: Message, now: datetime) -> None:
    template.draft_subject, template.draft_preheader = message.subject, message.preheader
    template.draft_body, template.draft_saved_at = message.body, now
    template.draft_text, template.draft_variants = message.text, dict(message.variants)
    template.draft_format, template.draft_layout = message.format, message.layout


def _fingerprint(message: Message) -> str:
    """What the trail says of a text: enough to tell two apart, nothing to read."""
    return digest(asdict(message)).hex()


def _hold_slot(scope: Scope, actor: Actor, template: Template, now: datetime) -> None:
    reservations.reserve(
        scope=scope,
        actor=actor,
        purpose=_purpose(template),
        asks=[reservations.Ask(GAUGE, 1)],
        at=now,
        accept_overage=None,
        now=now,
    )


def _purpose(template: Template) -> str:
    return f"template:{template.public_id}"


def _named(name: str) -> Any:
    return translated(
        {
            "template_name_is_unique": TemplateNameTaken(
                f"Another template is called {name.strip()}.", next_step="Choose another name, or edit that one."
            )
        }
    )


def _require_name(name: str) -> None:
    if not 1 <= len(name.strip()) <= NAME_LENGTH_MAX:
        raise Invalid(
            "A template needs a name.",
            problems=(FieldProblem("#/name", "length", f"Use 1 to {NAME_LENGTH_MAX} characters."),),
        )


def _words(message: Message, parts: Sequence[PartVersion]) -> dict[str, Any]:
    """What a digest is over. Versions without what came later keep the digest that they always had."""
    words: dict[str, Any] = {"subject": message.subject, "preheader": message.preheader, "body": message.body}
    more = {
        "text": message.text,
        "variants": dict(message.variants),
        "format": message.format if message.format != Format.MARKDOWN else "",
        "layout": message.layout,
        "parts": {f"{each.part.kind}/{each.part.name}": bytes(each.digest).hex() for each in parts},
    }
    return words | {name: value for name, value in more.items() if value}
