"""What happened to campaigns, told as a story: the lines of the audit trail in the words of this trade."""

from dataclasses import replace
from typing import Any, Final

from audit import timeline, wording
from audit.chain import chain_key
from audit.models import AuditEntry
from audit.timeline import Line
from campaigns.models import Campaign
from projects.scoping import Scope

NEWEST_SHOWN: Final = 8
_ROUTINE: Final = ("ledger.sealed", "checkpoint.signed")
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
    "campaign.warned": ("triangle-alert", "warn"),
    "delivery.auto_paused": ("shield-alert", "warn"),
    "delivery.resolved": ("circle-check", ""),
    "delivery.woken": ("bell", ""),
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


def of_campaign(*, scope: Scope, campaign: Campaign) -> list[Line]:
    """One campaign's own story, newest first."""
    return [_told(line) for line in timeline.for_subject(scope, "campaign", campaign.public_id)]


def newest(scope: Scope) -> list[Line]:
    """What happened last in the environment, whatever it was about; each line names its object."""
    rows = AuditEntry.objects.filter(chain__key=chain_key(scope=scope)).exclude(action__in=_ROUTINE)
    lines = timeline.lines(scope, rows.select_related("label").order_by("-sequence")[:NEWEST_SHOWN])
    return [replace(_told(line), target=line.target) for line in lines]


def _told(line: Line) -> Line:
    """The verb fits the step, and the target is what it was about beside the campaign itself."""
    what, target = _words(line, line.entry.before or {}, line.entry.after or {})
    told = replace(line, what=what or line.what, target=target, note=line.entry.reason)
    if line.entry.outcome == "refused" or line.entry.action not in _ICONS:
        return told
    icon, tone = _ICONS[line.entry.action]
    return replace(told, icon=icon, tone=tone)


def _words(line: Line, before: dict[str, Any], after: dict[str, Any]) -> tuple[str, str]:
    """Verb and target; an empty verb where the trail's own will do."""
    people = after.get("audience")
    if line.entry.action == "campaign.launched" and line.entry.outcome == "done" and people:
        return f"launched to {line.entry.environment_name}", f"{people:,} people"
    if line.entry.action == "books.closed":
        return "closed the books", "residual 0"
    if line.entry.action != "campaign.updated" or not after:
        return "", ""
    machine = _MACHINE_WORDS.get((before.get("state", ""), after.get("state", "")))
    if machine:
        included = after.get("included")
        return machine, f"to {included:,} people" if included else ""
    if len(after) == 1:
        (name,) = after
        return _SETUP_WORDS.get(name, f"changed {name}"), (line.changes[0].after if line.changes else "") or "nothing"
    return "changed", ", ".join(sorted(wording.words(name).lower() for name in after))
