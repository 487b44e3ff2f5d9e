"""A message as one real person would get it. Nothing is sent, counted or stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from audiences import people
from audiences.models import Person
from campaigns import brief_previews, templates
from campaigns.brief_previews import BriefPreview
from campaigns.models import PartVersion
from campaigns.templates import Message
from delivery.content import linting, locales, rendering
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from projects.scoping import Scope

SAMPLE_PEOPLE: Final = 12
UNSUBSCRIBE_SAMPLE: Final = "https://example.com/unsubscribe"
_STAND_IN: Final = {
    "name": "Ada Lovelace",
    "given_name": "Ada",
    "family_name": "Lovelace",
    "email": "ada@example.com",
    "locale": "en",
    "country": "GB",
    "plan": "",
    "traits": {},
}


@dataclass(frozen=True, slots=True)
class Preview:
    """What the mailbox shows. `problems` says what would stop publishing (errors) and what is doubtful (warnings)."""

    person: str
    person_name: str
    subject: str
    preheader: str
    html: str
    text: str
    locale: str  # the variant that this person reads; empty is the message itself
    problems: tuple[linting.Problem, ...]
    brief: BriefPreview  # the same message on the channels without a mail layout
    sender: str  # `Acme <hello@acme.example>`; empty while nobody set it

    @property
    def errors(self) -> list[linting.Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def warnings(self) -> list[linting.Problem]:
        return [problem for problem in self.problems if problem.severity == "warning"]

    def as_json(self) -> dict[str, Any]:
        return {
            "person": self.person,
            "subject": self.subject,
            "preheader": self.preheader,
            "html": self.html,
            "text": self.text,
            "locale": self.locale,
            "problems": [
                {
                    "pointer": each.pointer,
                    "code": each.code,
                    "detail": each.detail,
                    "severity": each.severity,
                    "line": each.line,
                    "column": each.column,
                }
                for each in self.problems
            ],
            "brief": self.brief.as_json(),
        }


def preview(
    *,
    scope: Scope,
    message: Message,
    person_id: str | None,
    library: Sequence[PartVersion] | None = None,
    known: Sequence[Person] = (),
) -> Preview:
    """Render `message` for a person of this environment (our id or the external one), or for a sample person.

    A message that can't be read has problems and no body. Unknown variables stand out as ⟨name⟩. `library` and `known`
    are the newest parts and a few people, where the caller has them already.
    """
    person = next((each for each in known if person_id in (None, each.public_id)), None) or _person(scope, person_id)
    fields: Mapping[str, Any] = people.merge_fields(person) if person else {"person": _STAND_IN}
    checked = templates.check(scope=scope, message=message, fields=fields if person else None, library=library)
    content = checked.content
    shown = _render(content, fields)
    short = brief_previews.of(
        content, _with_stand_ins(fields, shown_paths(content)), unsubscribe_url=UNSUBSCRIBE_SAMPLE
    )
    locale = locales.choose(fields.get("person", {}).get("locale"), message.variants)
    return Preview(
        person=person.public_id if person else "",
        person_name=person.label if person else "Ada Lovelace",
        subject=shown.subject,
        preheader=_line(dict(rendering.variants_of(content)).get(locale, content).preheader, fields),
        html=shown.html,
        text=shown.text,
        locale=locale,
        problems=checked.problems,
        brief=short,
        sender=f"{content.from_name} <{content.from_address}>" if content.from_address else "",
    )


def shown_paths(content: rendering.Content) -> frozenset[str]:
    """The variables that the content names; none while it can't be read."""
    try:
        return rendering.compile(content).variables
    except Invalid:
        return frozenset()


def rendered(*, scope: Scope, content: rendering.Content, person_id: str | None) -> rendering.Rendered:
    """The message as this person (or a sample) would get it."""
    person = _person(scope, person_id)
    return _render(content, people.merge_fields(person) if person else {"person": _STAND_IN})


def sample_people(*, scope: Scope) -> list[Person]:
    """A few people to preview as: the newest."""
    return list(Person.objects.within(scope).filter(erased_at=None).order_by("-pk")[:SAMPLE_PEOPLE])


def _person(scope: Scope, person_id: str | None) -> Person | None:
    everybody = Person.objects.within(scope).filter(erased_at=None)
    if not person_id:
        return everybody.order_by("-pk").first()
    found: Person | None = (
        everybody.filter(public_id=person_id).first() or everybody.filter(external_id=person_id).first()
    )
    if found is None:
        detail = f"There is no person {person_id} here."
        raise Invalid(detail, problems=(FieldProblem("#/personId", "unknown", detail),))
    return found


def _render(content: rendering.Content, fields: Mapping[str, Any]) -> rendering.Rendered:
    try:
        compiled = rendering.compile(content)
        return compiled.render(_with_stand_ins(fields, compiled.variables), unsubscribe_url=UNSUBSCRIBE_SAMPLE)
    except (Invalid, rendering.RenderFailed):
        return rendering.Rendered(subject=content.subject, html="", text="")


def _line(source: str, fields: Mapping[str, Any]) -> str:
    """The preheader as the inbox shows it."""
    probe = rendering.Content(source or " ", "", "-", "-", "sender@example.com")
    return rendering.one_line(_render(probe, fields).subject)


def _with_stand_ins(fields: Mapping[str, Any], paths: frozenset[str]) -> dict[str, Any]:
    """Every path that the message names has a value: ⟨path⟩ where nothing is known of it."""
    data = rendering.nested(fields)
    for path in paths - rendering.BUILT_IN:
        if path.startswith("person.traits."):
            continue
        *parents, leaf = path.split(".")
        place: Any = data
        for parent in parents:
            place = place.setdefault(parent, {}) if isinstance(place, dict) else None
        if isinstance(place, dict) and leaf not in place:
            place[leaf] = f"⟨{leaf}⟩"
    return data
