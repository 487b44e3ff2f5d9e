"""The environment's dictionaries: which number or bit stands for a role, stage, plan or segment, and its label."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from typing import Any, Final

from django.db.models import Value

from audiences.models.audiences import Audience, AudienceVersion
from audiences.models.contacts import ContactSubject
from audiences.models.segments import Segment
from audiences.models.segments import Vocabulary as VocabularyRow
from audiences.places import countries
from audiences.rules.fields import CATALOGUE, Field, reached
from projects.scoping import Scope

CHOICES_MAX: Final = 200  # campaigns and audiences to choose from; any other one is accepted by its id too
_CHANNELS = {"email": "email", "in_app": "in-app", "sms": "SMS", "webhook": "webhook"}
_IDS: Final[Mapping[str, re.Pattern[str]]] = {
    "campaigns": re.compile(r"[A-Za-z0-9_:-]{1,80}"),
    "audiences": re.compile(r"aud_[A-Za-z0-9]{1,30}"),
}


@dataclass(frozen=True, slots=True)
class Contacted:
    """What people were contacted about: where its contacts lie, and its name."""

    number: int
    month: date
    name: str


@dataclass(frozen=True, slots=True)
class Nested:
    """Another audience inside a rule: the version that is meant, and its rule as JSON."""

    name: str
    version: int
    rule: Any


def _nothing(_: str) -> None:
    """Knows no campaign and no audience."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`numbers[kind][name]` as Postgres stores it; `labels[kind][name]` where the name has a better one for people.

    Campaigns and audiences are looked up one by one when a rule names them: there may be thousands.
    """

    numbers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    campaign: Callable[[str], Contacted | None] = _nothing
    audience: Callable[[str], Nested | None] = _nothing
    recent: Callable[[str], Mapping[str, str]] = lambda _: {}  # field type -> id -> name, the newest ones

    def fields(self) -> tuple[Field, ...]:
        """The whole catalogue of this environment: each stage has its own date."""
        stages = [reached(name, label) for name, label in self.choices(CATALOGUE["lifecycle"]).items()]
        return (*CATALOGUE.values(), *stages)

    def accepts(self, asked: Field, name: str) -> bool:
        """Whether a rule of this environment may name this value."""
        if asked.type == "campaigns":
            return self.campaign(name) is not None
        return self.audience(name) is not None if asked.type == "audiences" else name in self.choices(asked)

    def number(self, asked: Field, name: str) -> int | None:
        """The number of a name; None where nobody here has ever had it."""
        return self.numbers_of(asked).get(name)

    def numbers_of(self, asked: Field) -> Mapping[str, int]:
        return self.numbers.get(asked.vocabulary, {}) if asked.vocabulary else asked.numbers

    def choices(self, asked: Field) -> dict[str, str]:
        """Every name that this field accepts, with its label, in the order of labels. Empty for free values."""
        if asked.key == "country":
            return dict(countries())
        if asked.type in _IDS:
            return dict(self.recent(asked.type))
        if asked.type not in ("choice", "set"):
            return {}
        if not asked.vocabulary:
            return {name: self.label(asked, name) for name in asked.numbers}
        names = {*self.numbers_of(asked), *asked.known}
        return dict(sorted(((name, self.label(asked, name)) for name in names), key=lambda pair: pair[1].casefold()))

    def label(self, asked: Field, name: str) -> str:
        """How a name is shown: `churn_risk` is "Churn risk", `DE` is "Germany"."""
        if asked.key == "country":
            return countries().get(name.upper(), name)
        if asked.key in ("consent", "unsubscribed", "suppressed"):
            return _CHANNELS.get(name, name)
        if asked.type in _IDS:
            found = self.campaign(name) if asked.type == "campaigns" else self.audience(name)
            return f"“{found.name}”" if found else name
        given = self.labels.get(asked.vocabulary, {}).get(name)
        if given or asked.storage in ("text", "code", "trait"):
            return given or name
        words = name.replace("_", " ").replace("-", " ").strip()
        return words[:1].upper() + words[1:]


NO_VOCABULARY = Vocabulary()


def is_id(asked: Field, text: str) -> bool:
    """Whether this could name a campaign or an audience."""
    return _IDS[asked.type].fullmatch(text) is not None


def load(scope: Scope, *, versions: Mapping[str, int] | None = None) -> Vocabulary:
    """The dictionaries of one environment. One query, and one for each campaign or audience that a rule names.

    `versions` pins other audiences to the versions that a snapshot saw; without it the newest ones are meant.
    """
    numbers: dict[str, dict[str, int]] = {}
    segments: dict[str, str] = {}
    known = VocabularyRow.objects.within(scope).values_list("kind", "name", "number", Value(""))
    labels = Segment.objects.within(scope).values_list(Value(""), "slug", Value(0), "name")
    for kind, name, number, label in known.union(labels, all=True):
        if kind:
            numbers.setdefault(kind, {})[name] = number
        else:
            segments[name] = label

    @cache
    def campaign(subject: str) -> Contacted | None:
        rows = ContactSubject.objects.within(scope).filter(subject=subject)
        found = rows.values_list("pk", "month", "name").first()
        return Contacted(*found) if found else None

    @cache
    def recent(kind: str) -> Mapping[str, str]:
        return _recent(scope, kind)

    return pinned(Vocabulary(numbers, {"segment": segments}, campaign, recent=recent), scope=scope, versions=versions)


def pinned(vocabulary: Vocabulary, *, scope: Scope, versions: Mapping[str, int] | None) -> Vocabulary:
    """The same words, with other audiences as a snapshot saw them; their newest versions without one."""

    @cache
    def audience(public_id: str) -> Nested | None:
        return _nested(scope, public_id, (versions or {}).get(public_id))

    return replace(vocabulary, audience=audience)


def _nested(scope: Scope, public_id: str, version: int | None) -> Nested | None:
    """A deleted audience is found by a pinned version alone."""
    rows = AudienceVersion.objects.within(scope).filter(audience__public_id=public_id)
    rows = rows.filter(audience__deleted_at=None) if version is None else rows.filter(number=version)
    found = rows.order_by("-number").values_list("audience__name", "number", "rule").first()
    return Nested(*found) if found else None


def _recent(scope: Scope, kind: str) -> Mapping[str, str]:
    if kind == "campaigns":
        newest = ContactSubject.objects.within(scope).order_by("-active_at")
        return dict(newest.values_list("subject", "name")[:CHOICES_MAX])
    live = Audience.objects.within(scope).filter(deleted_at=None).order_by("-updated_at")
    return dict(live.values_list("public_id", "name")[:CHOICES_MAX])
