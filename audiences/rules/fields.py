"""The field catalogue: what a rule may ask about, as data. Parser, compiler, explainer, console and REST share it.

`sql` is the only text that ever reaches a statement; it reads the aliases p (people) and f (their narrow fact rows).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, LiteralString

from audiences.rules.operators import FieldType

Storage = Literal[
    "number", "mask", "words", "text", "code", "column", "trait", "reached", "contacts", "events", "audience"
]
COLUMN_STORAGE: frozenset[Storage] = frozenset({"number", "mask", "text", "code", "column"})  # `sql` is one column
TRAIT_PREFIX = "trait."
REACHED_PREFIX = "reached."
TRAIT_TYPES: tuple[FieldType, ...] = ("text", "number", "date", "boolean")
_TRAIT_KEY = re.compile(r"[^\s.\x00-\x1f][^.\x00-\x1f]{0,62}")
_STAGE_KEY = re.compile(r"[^\s\x00-\x1f][^\x00-\x1f]{0,59}")


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that rules ask about.

    `storage` says how it lies in Postgres: `number`, `mask` and `words` (several masks) through a dictionary
    (`vocabulary` of the environment, or fixed `numbers`), `text` compared in lower case, `code` and `column` as they
    are, `trait` inside the jsonb of traits. The others lie in tables beside: `reached` in the history of facts,
    `events` there or in the history of contacts, `contacts` in the history of contacts; `audience` is another rule.
    """

    key: str
    label: str
    group: str
    type: FieldType
    storage: Storage
    sql: LiteralString
    vocabulary: str = ""  # kind of the environment's dictionary that names the numbers
    numbers: Mapping[str, int] = field(default_factory=dict)  # fixed name -> number (or bit)
    known: tuple[str, ...] = ()  # names that are accepted although no event has brought them yet
    unit: str = ""
    verb: str = ""  # how the sentence names it; the label in lower case by default
    help: str = ""

    @property
    def name(self) -> str:
        return self.verb or self.label[:1].lower() + self.label[1:]


WORD_BITS = 63  # bits of one word of segments; the sign bit stays free
SEGMENT_WORDS: tuple[LiteralString, ...] = (
    "f.segments_mask",
    "f.segments_mask_1",
    "f.segments_mask_2",
    "f.segments_mask_3",
)
MEMBERSHIP = {"invited": 1, "active": 2, "suspended": 3, "removed": 4}
CHANNEL_BITS = {"email": 0, "in_app": 1, "sms": 2, "webhook": 3}
_ROLES = ("owner", "admin", "developer", "billing", "support", "analyst", "viewer", "member")
_STAGES = ("trial", "activated", "customer", "churn_risk")

_FIELDS = (
    Field("membership", "Membership", "Membership", "choice", "number", "f.membership", numbers=MEMBERSHIP),
    Field("role", "Role", "Membership", "set", "mask", "f.roles_mask", vocabulary="role", known=_ROLES),
    Field("plan", "Plan", "Membership", "choice", "number", "f.plan", vocabulary="plan"),
    Field(
        "loyalty",
        "Loyalty state",
        "Membership",
        "text",
        "text",
        "CASE WHEN jsonb_typeof(p.traits -> 'loyalty') = 'string' THEN p.traits ->> 'loyalty' END",
        help="The trait loyalty",
    ),
    Field(
        "lifecycle",
        "Lifecycle stage",
        "Lifecycle",
        "choice",
        "number",
        "f.lifecycle",
        vocabulary="lifecycle",
        known=_STAGES,
    ),
    Field("lifecycle_at", "Stage reached", "Lifecycle", "moment", "column", "f.lifecycle_at"),
    Field("last_session", "Last session", "Sessions", "moment", "column", "f.last_session_at"),
    Field("session_count", "Sessions", "Sessions", "number", "column", "f.session_count", unit="sessions"),
    Field(
        "session_events",
        "Sessions in a period",
        "Sessions",
        "events",
        "events",
        "sessions",
        verb="sessions",
        help="[times, days]",
    ),
    Field("segment", "Segment", "Segments", "set", "words", "f.segments_mask", vocabulary="segment"),
    Field("audience", "Audience", "Segments", "audiences", "audience", "", help="People of another audience, aud_…"),
    Field(
        "consent",
        "Consent",
        "Contact",
        "set",
        "mask",
        "f.consent_mask",
        numbers=CHANNEL_BITS,
        verb="consent to contact",
    ),
    Field(
        "unsubscribed",
        "Unsubscribed",
        "Contact",
        "set",
        "mask",
        "f.unsubscribed_mask",
        numbers=CHANNEL_BITS,
        verb="unsubscribed channel",
    ),
    Field(
        "suppressed",
        "Suppressed",
        "Contact",
        "set",
        "mask",
        "f.suppressed_mask",
        numbers=CHANNEL_BITS,
        verb="suppressed channel",
    ),
    Field(
        "address_state",
        "Email address works",
        "Contact",
        "choice",
        "number",
        "f.address_state",
        numbers={"valid": 1, "invalid": 2},
        verb="email address state",
    ),
    Field("last_contacted", "Last contacted", "History", "moment", "column", "f.last_contacted_at"),
    Field("last_opened", "Last opened", "History", "moment", "column", "f.last_opened_at"),
    Field("last_clicked", "Last clicked", "History", "moment", "column", "f.last_clicked_at"),
    Field(
        "received",
        "Received",
        "History",
        "campaigns",
        "contacts",
        "c.contacted_at",
        verb="received campaign",
        help="cmp_…",
    ),
    Field(
        "opened",
        "Opened",
        "History",
        "campaigns",
        "contacts",
        "c.opened_at",
        verb="opened campaign",
        help="cmp_…",
    ),
    Field(
        "clicked",
        "Clicked",
        "History",
        "campaigns",
        "contacts",
        "c.clicked_at",
        verb="clicked campaign",
        help="cmp_…",
    ),
    Field(
        "contact_events",
        "Messages in a period",
        "History",
        "events",
        "events",
        "contacts",
        verb="messages received",
        help="[times, days]",
    ),
    Field("email", "Email address", "Person", "text", "text", "p.email", verb="email address"),
    Field("name", "Full name", "Person", "text", "text", "p.name"),
    Field("given_name", "Given name", "Person", "text", "text", "p.given_name"),
    Field("family_name", "Family name", "Person", "text", "text", "p.family_name"),
    Field("external_id", "User ID", "Person", "text", "text", "p.external_id", verb="user ID"),
    Field("created", "First seen", "Person", "moment", "column", "p.created_at"),
    Field("country", "Country", "Place", "choice", "code", "p.country", help="Two-letter code (ISO 3166)"),
    Field("locale", "Locale", "Place", "text", "text", "p.locale", help="For example de or de-AT"),
    Field("time_zone", "Time zone", "Place", "text", "text", "p.time_zone", help="For example Europe/Berlin"),
)
ANY_CAMPAIGN = "any"  # instead of one campaign's id, where a condition is about a period
LATEST: Mapping[str, str] = {"received": "last_contacted", "opened": "last_opened", "clicked": "last_clicked"}
CATALOGUE: Mapping[str, Field] = {each.key: each for each in _FIELDS}


def find(key: str, trait_type: FieldType | None = None) -> Field | None:
    """The field of a key. `trait.<name>` is a field of the type that the rule says; None for anything unknown.

    `reached.<stage>` is the moment at which a person was told to have reached that stage, the latest time.
    """
    if key.startswith(REACHED_PREFIX):
        stage = key.removeprefix(REACHED_PREFIX)
        return reached(stage, stage.replace("_", " ")) if _STAGE_KEY.fullmatch(stage) else None
    if not key.startswith(TRAIT_PREFIX):
        return CATALOGUE.get(key)
    name = key.removeprefix(TRAIT_PREFIX)
    if trait_type not in TRAIT_TYPES or not _TRAIT_KEY.fullmatch(name):
        return None
    return Field(key, name, "Traits", trait_type, "trait", "p.traits", verb=name)


def reached(stage: str, label: str) -> Field:
    """The field that asks when `stage` was reached."""
    key = f"{REACHED_PREFIX}{stage}"
    return Field(key, f"Became {label[:1].lower()}{label[1:]}", "Lifecycle", "moment", "reached", "")


def is_trait_name(name: str) -> bool:
    return _TRAIT_KEY.fullmatch(name) is not None
