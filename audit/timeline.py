"""An object's own history, and an entry in words: who, what, before and after, from where."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.urls import NoReverseMatch

from audit import wording
from audit.actions import sentence
from audit.chain import chain_key
from audit.models import AuditEntry, EntryLabel
from lamba_campaigns.web import navigation
from projects.scoping import Scope

TIMELINE_LENGTH: Final = 12
CHANGES_SHOWN_MAX: Final = 4
ERASED: Final = "Erased"
ORIGINS: Final = {"console": "Console", "api": "API", "webhook": "Webhook", "system": "System"}
_PAGES: Final[Mapping[str, str]] = {
    "campaign": "campaign-detail",
    "template": "template-detail",
    "audience": "audience-detail",
    "person": "person-detail",
    "import": "import-detail",
    "segment": "segment-detail",
    "endpoint": "endpoint-detail",
    "event": "event-detail",
    "break": "break-detail",
}
_WHOLE_PAGES: Final[Mapping[str, str]] = {  # objects without a page of their own
    "api_key": "settings-keys",
    "member": "settings-members",
    "environment": "settings",
    "project": "settings",
    "workspace": "plan-and-limits",
    "add_on": "plan-and-limits",
    "reservation": "plan-and-limits",
    "suppression": "suppression-list",
}
_ICONS: Final[Mapping[str, tuple[str, str]]] = {
    "campaign": ("send", ""),
    "template": ("layout-template", ""),
    "audience": ("users", ""),
    "segment": ("users", ""),
    "snapshot": ("camera", ""),
    "people": ("users", ""),
    "person": ("user", ""),
    "delivery": ("rotate-cw", ""),
    "consent": ("mail-check", ""),
    "suppression": ("shield-off", ""),
    "limit": ("gauge", "warn"),
    "plan": ("gauge", ""),
    "addon": ("circle-plus", ""),
    "webhook": ("webhook", ""),
    "endpoint": ("webhook", ""),
    "secret": ("key-round", ""),
    "key": ("key-round", ""),
    "member": ("user-cog", ""),
    "settings": ("settings-2", ""),
    "sign_in": ("log-in", ""),
    "signed_out": ("log-out", ""),
    "export": ("download", ""),
    "ledger": ("stamp", ""),
    "checkpoint": ("stamp", ""),
    "verification": ("shield-check", "ok"),
    "books": ("scale", "ok"),
    "statement": ("stamp", "ok"),
    "report": ("scale", ""),
    "retention": ("archive", ""),
    "signing_key": ("key-round", ""),
    "break": ("scale", ""),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One entry as a page shows it. `who`, `target` and `ip` are empty words once erased."""

    entry: AuditEntry
    icon: str
    tone: str
    who: str
    what: str
    target: str
    kind: str
    url: str
    note: str
    origin: str
    ip: str
    changes: tuple[wording.Change, ...]
    more_changes: int
    at: datetime


def for_subject(scope: Scope, type: str, id: str, *, limit: int = TIMELINE_LENGTH) -> list[Line]:
    """What happened to one object, newest first."""
    rows = AuditEntry.objects.filter(chain__key=chain_key(scope=scope), subject_type=type, subject_id=id)
    return lines(scope, rows.select_related("label").order_by("-sequence")[:limit])


def lines(scope: Scope, entries: Iterable[AuditEntry]) -> list[Line]:
    """Entries in words, in the order given."""
    found = list(entries)
    called = names(scope, {id for entry in found for id in wording.ids(entry)})
    return [_line(scope, entry, called) for entry in found]


def names(scope: Scope, ids: Iterable[str]) -> dict[str, str]:
    """The name that each object had in its newest entry."""
    wanted = set(ids)
    if not wanted:
        return {}
    rows = (
        EntryLabel.objects.filter(
            entry__chain__key=chain_key(scope=scope), entry__subject_id__in=wanted, subject_name__gt=""
        )
        .order_by("entry__subject_type", "entry__subject_id", "-entry__sequence")
        .distinct("entry__subject_type", "entry__subject_id")
    )
    return dict(rows.values_list("entry__subject_id", "subject_name"))


def url_of(scope: Scope, type: str, id: str) -> str:
    """The page of an object, or "" where there is none."""
    try:
        if type in _PAGES:
            return navigation.url_of(scope, _PAGES[type], id)
        return navigation.url_of(scope, _WHOLE_PAGES[type]) if type in _WHOLE_PAGES else ""
    except NoReverseMatch:
        return ""


def _line(scope: Scope, entry: AuditEntry, called: Mapping[str, str]) -> Line:
    words: EntryLabel | None = getattr(entry, "label", None)
    icon, tone = _ICONS.get(entry.action.partition(".")[0], ("circle", ""))
    refused = entry.outcome == "refused"
    found = [] if refused else wording.changes(entry, called)  # nothing changed; the reason says why
    return Line(
        entry=entry,
        icon="octagon-x" if refused else icon,
        tone="bad" if refused else tone,
        who=words.actor_label if words else ERASED,
        what=sentence(entry.action, entry.outcome),
        target=words.subject_name if words else "",
        kind=wording.words(entry.subject_type).lower(),
        url=url_of(scope, entry.subject_type, entry.subject_id),
        note=entry.reason or wording.as_text(found[:CHANGES_SHOWN_MAX]),
        origin=ORIGINS.get(entry.origin, entry.origin),
        ip=words.actor_ip if words else "",
        changes=tuple(found[:CHANGES_SHOWN_MAX]),
        more_changes=max(0, len(found) - CHANGES_SHOWN_MAX),
        at=entry.occurred_at,
    )
