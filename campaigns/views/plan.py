"""The sending plan of a campaign: the simulator's days as a chart and a table."""

from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.http import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_GET

from campaigns import drafts, pacing, preflight, simulation
from campaigns.models import Campaign
from campaigns.simulation import NothingToSimulate, Simulation
from lamba_campaigns.web.charts import Bucket, Chart, Series, bar_chart
from lamba_campaigns.web.console import ConsoleRequest, console_view, page
from projects.scoping import Scope

DAYS_SHOWN: Final = 4  # on the campaign's own page
ZONES_SHOWN: Final = 3


@require_GET
@console_view(get="console.read")
def campaign_plan(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    found = drafts.find(scope=request.scope, campaign_id=campaign)
    context = plan_context(request.scope, found, shown=None)
    return page(request, "campaigns/plan.html", {"nav": "campaigns", "campaign": found, **context})


def plan_context(scope: Scope, campaign: Campaign, *, shown: int | None = DAYS_SHOWN) -> dict[str, Any]:
    """The plan as cards show it; without `plan_days` where nobody is there to plan for."""
    now = timezone.now()
    rules = pacing.effective(scope=scope, campaign=campaign)
    words = pacing.sentences(rules)
    past = pacing.past_words(rules)
    context: dict[str, Any] = {"plan_rules": words, "plan_past": past, "plan_zone": rules.time_zone}
    try:
        found = simulation.simulate(scope=scope, campaign=campaign, at=preflight.sends_at(campaign, now), now=now)
    except NothingToSimulate as refusal:
        return context | {"plan_nobody": refusal.detail}
    days = found.forecast.days
    return context | {
        "plan": found,
        "plan_days": [_row(day, found) for day in days[:shown]],
        "plan_more": max(0, len(days) - shown) if shown else 0,
        "plan_chart": _chart(found) if shown is None else None,
    }


def _row(day: Any, found: Simulation) -> dict[str, Any]:
    hours = day.clocks_move / timedelta(hours=1)
    zones = [name for name, _ in day.zones.most_common(ZONES_SHOWN)]
    more = len(day.zones) - len(zones)
    return {
        "label": f"{day.day:%a} {day.day.day} {day.day:%b}",
        "wave": day.wave,
        "limit": day.limit,
        "people": day.people,
        "skipped": day.skipped,
        "begins_at": _wall(day.begins_at, found.time_zone),
        "ends_at": _wall(day.ends_at, found.time_zone),
        "clocks": f"clocks go {'forward' if hours > 0 else 'back'}" if hours else "",
        "zones": ", ".join(zones) + (f" and {more} more" if more else "") if len(day.zones) > 1 else "",
    }


def _wall(moment: Any, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%H:%M}" if moment else ""


def _chart(found: Simulation) -> Chart:
    days = found.forecast.days
    return bar_chart(
        title="People a day",
        series=[Series("People", "ok"), Series("Left out", "mute")],
        buckets=[Bucket(f"{day.day.day} {day.day:%b}", (day.people, day.skipped)) for day in days],
    )
