"""Templates: edit a draft, publish it as the next version. What was published is never edited."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db.models import F

from audiences import people
from audiences.models import Person
from audit import chain
from campaigns.models import Channel, Template, TemplateVersion
from campaigns.models.template import BODY_LENGTH_MAX, PREHEADER_LENGTH_MAX, SUBJECT_LENGTH_MAX
from delivery import linting, locales, rendering
from lamba_campaigns.lib.canonical import canonical_bytes, digest
from lamba_campaigns.lib.constraints import translated
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, NotFound, Stale
from lamba_campaigns.lib.sql import durable
from limits import reservations
from projects.models import Environment
from projects.scoping import Actor, Scope

NAME_LENGTH_MAX = 120
GAUGE = "templates"
TEXTS = ("subject", "preheader", "body", "text")
VARIANTS_MAX = 20
KNOWN_FIELDS = people.FIELD_NAMES | {f"{people.TRAITS_PREFIX}*"}


@dataclass(frozen=True, slots=True)
class Message:
    """What an operator writes: subject and preheader in Liquid, body in Markdown with Liquid, the plain text in Liquid
    (made from the body when empty). `variants` are the same four texts for other locales.
    """

    subject: str
    preheader: str
    body: str
    text: str = ""
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def in_locale(self, locale: str) -> "Message":
        """The variant of a locale; a copy of the message itself to begin with where there is none."""
        if not locale:
            return self
        words = self.variants.get(locale) or {name: getattr(self, name) for name in TEXTS}
        return Message(*(words.get(name, "") for name in TEXTS))  # type: ignore[arg-type]  # four texts

    def with_locale(self, locale: str, words: "Message | None") -> "Message":
        """The message with these words in that locale; None takes the locale away."""
        others = {key: value for key, value in self.variants.items() if key != locale}
        if words is None:
            return replace(self, variants=others)
        if not locale:
            return replace(words, variants=self.variants)
        return replace(self, variants=others | {locale: {name: getattr(words, name) for name in TEXTS}})


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
    _require_lengths(message)
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
    _require_lengths(message)
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
    _require_lengths(message)
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


def lint(*, scope: Scope, message: Message | TemplateVersion, person: Person | None = None) -> list[linting.Problem]:
    """Everything wrong or doubtful in the message, errors and warnings, in the order of the text.

    It is filled for `person`, or for a sample without traits.
    """
    fields = people.merge_fields(person) if person else None
    return linting.lint(content_of(scope=scope, message=message), KNOWN_FIELDS, fields)


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
    """The message as the channel sends it, with the environment's sender."""
    sender = Environment.objects.only("sender_name", "sender_address").get(pk=scope.environment_id)
    return rendering.Content(
        subject=message.subject,
        preheader=message.preheader,
        body=message.body,
        text=message.text,
        variants=canonical_bytes(message.variants).decode() if message.variants else "",
        from_name=sender.sender_name or scope.workspace_name,
        from_address=sender.sender_address,
        reply_to="",
    )


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


def versions(*, scope: Scope, template: Template) -> Sequence[TemplateVersion]:
    """Newest first."""
    return list(TemplateVersion.objects.within(scope).filter(template=template).order_by("-number"))


def current(*, scope: Scope, template: Template) -> Message:
    """What the editor opens: the draft where there is one, else the newest version."""
    if template.draft_saved_at is not None:
        draft = (template.draft_subject, template.draft_preheader, template.draft_body, template.draft_text)
        return Message(*draft, template.draft_variants)
    newest = latest(scope=scope, template=template)
    if newest is None:
        return Message("", "", "")
    return Message(newest.subject, newest.preheader, newest.body, newest.text, newest.variants)


def subject_of(template: Template) -> chain.Subject:
    return chain.Subject("template", template.public_id, template.name)


def _publish(scope: Scope, template: Template, message: Message, actor: Actor, now: datetime) -> TemplateVersion:
    version = TemplateVersion(
        environment_id=scope.environment_id,
        template=template,
        number=template.latest_number + 1,
        subject=message.subject,
        preheader=message.preheader,
        body=message.body,
        text=message.text,
        variants=dict(message.variants),
        variables=sorted(rendering.variables(content_of(scope=scope, message=message))),
        digest=digest(_words(message)),
        created_by=actor.label,
        created_at=now,
    )
    version.save(force_insert=True)
    template.latest_number = version.number
    template.draft_subject = template.draft_preheader = template.draft_body = template.draft_text = ""
    template.draft_variants = {}
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


def _require_lengths(message: Message) -> None:
    limits = (
        ("subject", SUBJECT_LENGTH_MAX),
        ("preheader", PREHEADER_LENGTH_MAX),
        ("body", BODY_LENGTH_MAX),
        ("text", BODY_LENGTH_MAX),
    )
    problems = [
        FieldProblem(f"#/{name}", "too_long", f"Use at most {most:,} characters.")
        for name, most in limits
        if len(getattr(message, name)) > most
    ]
    if len(message.variants) > VARIANTS_MAX:
        problems.append(FieldProblem("#/variants", "too_many", f"Use at most {VARIANTS_MAX} languages."))
    for locale, words in message.variants.items():
        where = f"#/variants/{locale[:40]}"
        if not locale or locales.normal(locale) != locale:
            problems.append(FieldProblem(where, "unknown", "Use a locale such as de or de-CH."))
        for name, most in limits:
            if len(words.get(name, "")) > most:
                problems.append(FieldProblem(f"{where}/{name}", "too_long", f"Use at most {most:,} characters."))
    if problems:
        raise Invalid("The message can't be kept as it is.", problems=tuple(problems))


def _words(message: Message) -> dict[str, Any]:
    """What a digest is over. Versions of one language with a text of the body keep the digest that they always had."""
    words: dict[str, Any] = {"subject": message.subject, "preheader": message.preheader, "body": message.body}
    more = {"text": message.text, "variants": dict(message.variants)}
    return words | {name: value for name, value in more.items() if value}
