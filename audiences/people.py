"""People as pages, templates and REST see them: found by index, read with their facts, erased on request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet
from django.db.models.functions import Lower

from audiences import erasure, facts, vocabulary
from audiences.channels import CHANNEL_BITS
from audiences.facts import Known
from audiences.models import Person, PersonFacts, Segment, Vocabulary
from audiences.models.facts import Membership
from audiences.models.segments import WORD_BITS
from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import NotFound
from projects.scoping import Actor, Scope
from webhooks import outbox

HISTORY_SHOWN_MAX = 200
FIND_MAX = 50


@dataclass(frozen=True, slots=True)
class Field:
    """A variable that a template may use: `{{ person.given_name }}`."""

    name: str  # person.given_name
    label: str
    sample: str


FIELDS: Final = (
    Field("person.name", "Full name", "Ada Lovelace"),
    Field("person.given_name", "Given name", "Ada"),
    Field("person.family_name", "Family name", "Lovelace"),
    Field("person.email", "Email address", "ada@example.com"),
    Field("person.locale", "Locale", "en-GB"),
    Field("person.time_zone", "Time zone", "Europe/London"),
    Field("person.country", "Country", "GB"),
    Field("person.plan", "Plan", "green"),
    Field("person.external_id", "User ID", "usr_1042"),
)
FIELD_NAMES: Final[frozenset[str]] = frozenset(field.name for field in FIELDS)
TRAITS_PREFIX: Final = "person.traits."  # and any trait: person.traits.company


@dataclass(frozen=True, slots=True)
class Profile:
    """One person with everything that rules may ask about, in words."""

    person: Person
    membership: str
    roles: tuple[str, ...]
    lifecycle: str
    plan: str
    last_session_at: datetime | None
    last_contacted_at: datetime | None
    session_count: int
    segments: tuple[Segment, ...]
    consent: Mapping[str, bool]
    unsubscribed: Mapping[str, bool]
    suppressed: Mapping[str, bool]
    facts: Sequence[Known]


def get(*, scope: Scope, public_id: str) -> Person:
    found: Person | None = Person.objects.within(scope).filter(public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such person in this environment.", next_step="Look the person up by address.")
    return found


def matching(*, scope: Scope, text: str) -> QuerySet[Any]:
    """People whose address starts with `text`, or whose public or external id is `text`; everyone for no text.

    Each way reads an index, however many people there are. An address counts without regard to case.
    """
    rows: QuerySet[Any] = Person.objects.within(scope)
    wanted = text.strip()
    if not wanted:
        return rows
    if wanted.startswith("per_"):
        return rows.filter(public_id=wanted)
    if "@" in wanted:
        rows = rows.alias(address=Lower("email")).filter(address=wanted.lower())
    else:
        rows = rows.filter(external_id=wanted)
    return rows


def find(*, scope: Scope, text: str, limit: int = FIND_MAX) -> list[Person]:
    """The people that `text` names, newest first; nobody for no text."""
    return list(matching(scope=scope, text=text).order_by("-id")[:limit]) if text.strip() else []


def profile(*, scope: Scope, person: Person) -> Profile:
    """Everything known of a person, with the origin of every value."""
    row = PersonFacts.objects.within(scope).get(pk=person.pk)
    names = {
        kind: {number: name for name, number in known.items()}
        for kind, known in vocabulary.numbers(scope=scope).items()
    }
    roles = names[vocabulary.Kind.ROLE]
    return Profile(
        person=person,
        membership=Membership(row.membership).name.lower(),
        roles=tuple(roles[bit] for bit in sorted(roles) if row.roles_mask >> bit & 1),
        lifecycle=names[vocabulary.Kind.LIFECYCLE].get(row.lifecycle, ""),
        plan=names[vocabulary.Kind.PLAN].get(row.plan, ""),
        last_session_at=row.last_session_at,
        last_contacted_at=row.last_contacted_at,
        session_count=row.session_count,
        segments=tuple(each for each in Segment.objects.within(scope).order_by("name") if is_in(row, each.number)),
        consent=_channels(row.consent_mask),
        unsubscribed=_channels(row.unsubscribed_mask),
        suppressed=_channels(row.suppressed_mask),
        facts=facts.of_person(scope=scope, person_id=person.pk),
    )


def is_in(row: PersonFacts, number: int) -> bool:
    """Whether the segment's bit is set."""
    words = (row.segments_mask, row.segments_mask_1, row.segments_mask_2, row.segments_mask_3)
    return bool(words[number // WORD_BITS] >> (number % WORD_BITS) & 1)


def merge_fields(person: Person) -> dict[str, Any]:
    """What a template sees: `{"person": {"name": …, "traits": {…}}}`. Strings are never None."""
    row = PersonFacts.objects.across_environments("the row of a loaded person").filter(pk=person.pk).first()
    plan = ""
    if row is not None and row.plan:
        plan = _plan_name(person, row.plan)
    names = ("name", "given_name", "family_name", "email", "locale", "time_zone", "country", "external_id")
    return {"person": {name: getattr(person, name) for name in names} | {"plan": plan, "traits": dict(person.traits)}}


def is_merge_field(name: str) -> bool:
    """Whether templates may use this variable."""
    return name in FIELD_NAMES or (name.startswith(TRAITS_PREFIX) and len(name) > len(TRAITS_PREFIX))


def erase(*, scope: Scope, actor: Actor, public_id: str, now: datetime) -> None:
    """Afterwards nothing personal is left but Lamba's user id and what forbids contact, in snapshots neither."""
    with sql.durable():
        person = get(scope=scope, public_id=public_id)
        told = facts.Change(person.pk, "deleted", True, now, f"{actor.origin}:{actor.id}")
        removed = facts.Change(person.pk, "membership", "removed", now, f"{actor.origin}:{actor.id}")
        facts.apply(scope=scope, changes=[told, removed], now=now)
        erasure.blank_memberships(scope=scope, person=person, now=now)
        chain.record(
            scope=scope, actor=actor, action="person.erased", subject=chain.Subject("person", person.public_id), now=now
        )
        # what other apps keep of the person goes too
        outbox.publish(scope=scope, type="delivery.person_changed", data={"userId": person.external_id}, now=now)


def _channels(mask: int) -> dict[str, bool]:
    return {channel: bool(mask & bit) for channel, bit in CHANNEL_BITS.items()}


def _plan_name(person: Person, number: int) -> str:
    rows = Vocabulary.objects.across_environments("the environment of a loaded person")
    found = rows.filter(environment_id=person.environment_id, kind="plan", number=number).values_list("name", flat=True)
    return found.first() or ""
