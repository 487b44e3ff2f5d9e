"""How fast and when a campaign sends, as drafts, forms, REST and pages say it. `delivery.pacing` does it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from campaigns.models import Campaign
from delivery import defaults, stop_limits
from delivery.pacing import calendar, rules
from delivery.pacing.rules import EVERY_DAY, PAST, Rules
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from projects.scoping import Scope

TOTAL_CAP_MAX: Final = 100_000_000
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def pacing_of(campaign: Campaign) -> dict[str, Any]:
    """The two fields of drafts.Setup."""
    return {"total_cap": campaign.total_cap, "sending_rules": campaign.sending_rules}


def rules_of(campaign: Campaign) -> Rules:
    return rules.read(campaign.sending_rules, time_zone=campaign.time_zone)


def pacing_said(campaign: Campaign) -> dict[str, Any]:
    """The same for an auditor, by the names that REST uses."""
    return {"totalCap": campaign.total_cap, "sendingRules": " · ".join(sentences(rules_of(campaign))) or None}


def resolve_pacing(
    *, cap: int | None, document: Mapping[str, Any] | None, time_zone: str, problems: list[FieldProblem]
) -> dict[str, Any]:
    """The columns of Campaign; every wrong place is added to `problems`."""
    if cap is not None and not 1 <= cap <= TOTAL_CAP_MAX:
        problems.append(FieldProblem("#/totalCap", "range", f"Use 1 to {TOTAL_CAP_MAX:,}."))
    known = time_zone if rules.zone_named(time_zone) else "UTC"  # a wrong zone is named elsewhere
    try:
        found = rules.read(document or {}, time_zone=known)
    except Invalid as refusal:
        problems.extend(refusal.problems)
        return {"total_cap": cap, "sending_rules": {}}
    kept = rules.as_document(found) if found != Rules(time_zone=known) else {}
    return {"total_cap": cap, "sending_rules": kept}


def effective(*, scope: Scope, campaign: Campaign) -> Rules:
    """The rules of the campaign, and the environment's domain limits where it has none of its own."""
    return defaults.with_domains(rules_of(campaign), scope=scope)


def of_new_job(*, scope: Scope, campaign: Campaign) -> dict[str, Any]:
    """What a job keeps of all that."""
    found = effective(scope=scope, campaign=campaign)
    return {"pacing": rules.kept(found), "stop_limits": found.stop_limits, "total_cap": campaign.total_cap}


def sentences(found: Rules) -> list[str]:
    """The rules in plain words, one for each."""
    said = []
    place = "each person's own time" if found.local else found.time_zone
    if found.window or found.days != EVERY_DAY:
        span = f"{found.window.start:%H:%M} to {found.window.end:%H:%M}" if found.window else "all day"
        said.append(f"{_days(found.days)} {span}, {place}")
    if found.quiet:
        said.append(f"never from {found.quiet.start:%H:%M} to {found.quiet.end:%H:%M}, {place}")
    if found.waves:
        said.append("at most " + ", ".join(f"{wave:,}" for wave in found.waves) + " a day, then everybody")
    said += [f"{domain}: {rate:,} a minute" for domain, rate in found.domains]
    return said + stop_limits.sentences(found.stop_limits)


def past_words(found: Rules) -> str:
    """What happens to people whose window is over; '' where nothing can be over."""
    return PAST[found.past] if found.window else ""


def warning(found: Rules, at: datetime) -> str:
    """What somebody should know who sends at this moment; '' when nothing is special about it."""
    if found.local or not found.clocked:
        return ""
    turn = calendar.decide(found, "", at)
    if turn.kind == "skip":
        return "The send window is over then: everybody would be left out."
    if turn.kind == "wait" and turn.until is not None:
        local = turn.until.astimezone(rules.zone_named(found.time_zone))
        return f"The send window is closed then. It begins {local:%a} {local.day} {local:%b, %H:%M} {found.time_zone}."
    return ""


def _days(days: tuple[int, ...]) -> str:
    if days == EVERY_DAY:
        return "Every day"
    if days == tuple(range(days[0], days[-1] + 1)) and len(days) > 2:
        return f"{_DAYS[days[0] - 1]} to {_DAYS[days[-1] - 1]}"
    return ", ".join(_DAYS[day - 1] for day in days)
