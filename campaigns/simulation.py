"""What a campaign would send when: its audience, or who is left of it, through the engine's own rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from audiences import turns
from audiences.models import AudienceVersion
from audiences.rules.parse import parse
from audiences.turns import Turns
from campaigns import leaving_out, pacing
from campaigns.models import Campaign
from delivery.pacing import forecast as plan
from delivery.pacing import remaining
from delivery.pacing.forecast import Forecast, Group
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid
from projects.scoping import Scope


class NothingToSimulate(Conflict):
    """There is no audience to look at, or nobody is left to contact."""

    code = "NOTHING_TO_SIMULATE"


@dataclass(frozen=True, slots=True)
class Simulation:
    forecast: Forecast
    time_zone: str
    starts_at: datetime
    exact: bool
    without_zone: int  # people who count as living in the campaign's zone
    capped: int  # people whom the frequency cap leaves out when it starts

    def as_json(self) -> dict[str, Any]:
        found = self.forecast
        return {
            "timeZone": self.time_zone,
            "startsAt": self.starts_at,
            "exact": self.exact,
            "people": found.people,
            "skipped": found.skipped,
            "beyondCap": found.over_cap,
            "contactedTooOften": self.capped,
            "notReached": found.left,
            "withoutTimeZone": self.without_zone,
            "perMinute": found.per_minute,
            "paceIsAssumed": found.assumed,
            "beginsAt": found.begins_at,
            "endsAt": found.ends_at,
            "days": [_day(day) for day in found.days],
        }


def simulate(*, scope: Scope, campaign: Campaign, at: datetime, now: datetime) -> Simulation:
    """The plan of a draft that starts at `at`; of a campaign with a job, the plan for everybody who still waits."""
    rules = pacing.effective(scope=scope, campaign=campaign)
    taken, cap, capped = None, campaign.total_cap, 0
    if campaign.job is not None:
        groups, taken = remaining.by_turn(scope=scope, job=campaign.job), remaining.taken(job=campaign.job)
        exact, cap = True, None  # people beyond the cap were cancelled when the job was made
    else:
        asked = _audience(scope, campaign, tuple(rules.limits), at, now)
        groups, exact, capped = {Group(*each): count for each, count in asked.groups.items()}, asked.exact, asked.capped
    if not groups:
        too_often = f" {capped:,} were contacted too often." if capped else ""
        raise NothingToSimulate(
            f"Nobody of {campaign.name} waits to be contacted.{too_often}",
            next_step="Choose an audience that reaches somebody.",
        )
    found = plan.forecast(
        rules=rules, groups=groups, rate_per_minute=campaign.rate_per_minute, total_cap=cap, start=at, taken=taken
    )
    without = sum(count for group, count in groups.items() if not group.zone)
    return Simulation(found, rules.time_zone, at, exact, without if rules.local else 0, capped)


def vary(campaign: Campaign, changes: Mapping[str, Any]) -> None:
    """The campaign with other rules, in memory only. Invalid names every wrong place."""
    wanted = pacing.pacing_of(campaign) | {
        key: changes[key] for key in ("total_cap", "sending_rules") if key in changes
    }
    problems: list[FieldProblem] = []
    columns = pacing.resolve_pacing(
        cap=wanted["total_cap"], document=wanted["sending_rules"], time_zone=campaign.time_zone, problems=problems
    )
    if problems:
        raise Invalid(
            "These rules can't be used.",
            next_step="Correct the places named in errors.",
            problems=tuple(problems),
        )
    campaign.total_cap, campaign.sending_rules = columns["total_cap"], columns["sending_rules"]
    if "rate_per_minute" in changes:
        campaign.rate_per_minute = changes["rate_per_minute"]


def _audience(scope: Scope, campaign: Campaign, domains: tuple[str, ...], at: datetime, now: datetime) -> Turns:
    version = _version(scope, campaign)
    if version is None:
        raise NothingToSimulate(f"{campaign.name} has no audience yet.", next_step="Choose one.")
    return turns.by_turn(
        scope=scope,
        rule=parse(version.rule),
        channel=campaign.channel,
        domains=domains,
        at=at,
        now=now,
        exclusions=leaving_out.of(campaign),
        salt=campaign.public_id,
    )


def _version(scope: Scope, campaign: Campaign) -> AudienceVersion | None:
    if campaign.audience is None or campaign.audience.deleted_at is not None:
        return None
    found: AudienceVersion | None = (
        AudienceVersion.objects.within(scope)
        .filter(audience=campaign.audience, number=campaign.audience.version)
        .first()
    )
    return found


def _day(day: plan.Day) -> dict[str, Any]:
    return {
        "date": day.day.isoformat(),
        "wave": day.wave,
        "limit": day.limit,
        "people": day.people,
        "skipped": day.skipped,
        "beginsAt": day.begins_at,
        "endsAt": day.ends_at,
        "clocksMoveMinutes": round(day.clocks_move / timedelta(minutes=1)),
        "timeZones": [{"timeZone": zone, "people": count} for zone, count in day.zones.most_common()],
        "hours": [{"at": hour, "people": count} for hour, count in sorted(day.hours.items())],
    }
