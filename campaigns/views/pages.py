"""Parts that several campaign pages share: what was done, what is set up, what a person may do next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from audit.actions import sentence
from audit.chain import chain_key
from audit.models import AuditEntry
from campaigns import lifecycle
from campaigns.models import Campaign, State
from limits.keys import CHANNEL_LABELS
from projects.access import Access
from projects.models import Environment
from projects.scoping import Scope

ACTIVITY_MAX: Final = 12
CHANNEL_ICONS: Final = {"email": "mail", "in_app": "bell", "webhook": "webhook", "sms": "message-square"}
_ICONS: Final[dict[str, tuple[str, str]]] = {
    "campaign.created": ("plus", ""),
    "campaign.updated": ("pencil-line", ""),
    "campaign.scheduled": ("calendar-clock", "info"),
    "campaign.unscheduled": ("calendar-x", ""),
    "campaign.launched": ("send", "live"),
    "campaign.paused": ("pause", "warn"),
    "campaign.resumed": ("play", "live"),
    "campaign.cancelled": ("ban", ""),
    "campaign.completed": ("circle-check", "ok"),
    "campaign.failed": ("octagon-x", "bad"),
    "books.closed": ("scale", "ok"),
    "snapshot.taken": ("users", ""),
    "people.exported": ("download", ""),
    "export.made": ("download", ""),
    "delivery.auto_paused": ("shield-alert", "warn"),
    "delivery.retried": ("rotate-cw", ""),
    "delivery.woken": ("bell", ""),
    "delivery.resolved": ("circle-check", ""),
    "limit.overage_accepted": ("badge-dollar-sign", ""),
}
_SETUP_WORDS: Final = {
    "name": "renamed it to",
    "template": "picked the template",
    "audience": "picked the audience",
    "scheduledAt": "proposed the time",
    "ratePerMinute": "set the pace to",
    "acceptOverage": "accepted overage of",
    "frequencyCap": "set the frequency cap to",
    "holdOutPercent": "set the hold-out percentage to",
    "excludedSegments": "left out the segments",
    "channel": "chose the channel",
    "timeZone": "chose the time zone",
}
_MACHINE_WORDS: Final = {
    ("launching", "sending"): "started sending",
    ("pausing", "paused"): "paused; nothing is on its way",
    ("cancelling", "cancelled"): "stopped; nothing is on its way",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline."""

    icon: str
    tone: str
    who: str
    what: str
    target: str
    note: str
    at: Any


def activity(*, scope: Scope, campaign: Campaign) -> list[Entry]:
    """What happened to the campaign, newest first, from the audit trail itself."""
    found = (
        AuditEntry.objects.filter(
            chain__key=chain_key(scope=scope), subject_type="campaign", subject_id=campaign.public_id
        )
        .select_related("label")
        .order_by("-sequence")[:ACTIVITY_MAX]
    )
    return [entry_of(row) for row in found]


def sender_of(scope: Scope) -> str:
    """`Acme <hello@acme.example>`, or '' while nobody set it."""
    row = Environment.objects.only("sender_name", "sender_address").get(pk=scope.environment_id)
    return f"{row.sender_name or scope.workspace_name} <{row.sender_address}>" if row.sender_address else ""


def channel_label(channel: str) -> str:
    return CHANNEL_LABELS.get(channel, channel)


def channel_icon(channel: str) -> str:
    return CHANNEL_ICONS.get(channel, "send")


def moves(*, access: Access, campaign: Campaign) -> Sequence[str]:
    """What this person may do with the campaign now."""
    if not access.may("campaigns.launch"):
        return []
    return [str(action) for action in lifecycle.allowed(campaign.state)]


def typed_word(*, scope: Scope, action: str, campaign: Campaign) -> str:
    """The word that confirms a step that can't be taken back; '' where a click is enough."""
    if not scope.is_production:
        return ""
    if action in ("launch", "schedule"):
        return "production"
    running = campaign.state not in (State.SCHEDULED, State.DRAFT)
    return campaign.name if action == "cancel" and running else ""


def entry_of(row: AuditEntry, *, named: bool = False) -> Entry:
    """An audit entry as a line of a timeline; `named` says which thing it was about, where the page does not."""
    icon, tone = _ICONS.get(row.action, ("circle", ""))
    before, after = row.before or {}, row.after or {}
    what, target = _words(row, before, after)
    if row.outcome == "refused":
        icon, tone = "octagon-x", "bad"
    label = getattr(row, "label", None)
    who = label.actor_label if label else row.actor_id
    about = label.subject_name if named and label else ""
    return Entry(icon, tone, who, what, about or target, row.reason, row.occurred_at)


def _words(row: AuditEntry, before: dict[str, Any], after: dict[str, Any]) -> tuple[str, str]:
    machine = _MACHINE_WORDS.get((before.get("state", ""), after.get("state", "")))
    if row.action == "campaign.updated" and machine:
        included = after.get("included")
        return machine, f"to {included:,} people" if included else ""
    if row.action == "campaign.updated" and len(after) == 1:
        key, value = next(iter(after.items()))
        return _SETUP_WORDS.get(key, f"changed {key}"), _said(value)
    if row.action == "campaign.updated" and after:
        return "changed", ", ".join(sorted(_plain(key) for key in after))
    people = after.get("audience")
    if row.action == "campaign.launched" and row.outcome == "done" and people:
        return f"launched to {row.environment_name}", f"{people:,} people"
    if row.action == "books.closed":
        return "closed the books", "residual 0"
    return sentence(row.action, row.outcome), ""


def _said(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plain(key: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in key)
