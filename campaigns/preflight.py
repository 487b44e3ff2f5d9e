"""Every reason why a launch may not go ahead, as data: the same list in the console, in REST and in a refusal."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from audiences import preview
from audiences.models import AudienceVersion, Person
from audiences.rules.parse import parse
from campaigns import holds, leaving_out, lifecycle, limit_checks, listing, pacing, schedule, setup_checks
from campaigns.checks import Check, Fix
from campaigns.models import Campaign, State
from lamba_campaigns.lib.errors import DomainError, FieldProblem
from limits import entitlements, reservations
from limits.entitlements import Entitlements
from limits.keys import CHANNEL_PREFIX
from limits.reservations import LimitUsage, PlanLimitExceeded
from projects.scoping import Scope

_POINTERS: Final = {
    "template": "#/templateId",
    "audience": "#/audienceId",
    "schedule": "#/scheduledAt",
    "channel": "#/channel",
}


Rehearsed = Literal["launch", "schedule", "fire"]


class NotReady(DomainError):
    """Something is missing or wrong that no plan can mend. `checks` has the whole list."""

    code = "CAMPAIGN_NOT_READY"
    status = 422
    title = "The campaign is not ready"


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one campaign at one moment. `refusal` is the 402 that a launch would get."""

    checks: tuple[Check, ...]
    audience_count: int | None
    audience_version: AudienceVersion | None
    refusal: PlanLimitExceeded | None
    plan_name: str
    volume: LimitUsage | None
    total_cap: int | None = None

    @property
    def messages(self) -> int | None:
        """How many people get one: everybody who can be contacted, up to the send limit."""
        if self.audience_count is None or self.total_cap is None:
            return self.audience_count
        return min(self.audience_count, self.total_cap)

    @property
    def overage(self) -> int:
        """Messages beyond the plan that this launch would use."""
        if self.volume is None or self.volume.left is None or self.messages is None:
            return 0
        return max(0, self.messages - self.volume.left)

    @property
    def blocking(self) -> list[Check]:
        return [check for check in self.checks if check.state == "block"]

    @property
    def ready(self) -> bool:
        return all(check.state in ("pass", "warn") for check in self.checks)

    @property
    def open(self) -> list[Check]:
        """What a person should look at, the worst first."""
        order = ("block", "todo", "warn")
        found = [check for check in self.checks if check.state != "pass"]
        return sorted(found, key=lambda check: order.index(check.state))

    @property
    def decisions(self) -> list[Fix]:
        """The ways out that cost money, each once: the page asks before it takes them."""
        found = {fix.dialog: fix for check in self.open for fix in check.fixes if fix.dialog}
        return list(found.values())

    @property
    def passed(self) -> list[Check]:
        return [check for check in self.checks if check.state == "pass"]

    @property
    def verdict(self) -> str:
        """`1 check blocks the launch, 1 warning, 2 to do.`"""
        counts = {state: sum(check.state == state for check in self.checks) for state in ("block", "warn", "todo")}
        said = []
        if counts["block"]:
            said.append(
                "1 check blocks the launch" if counts["block"] == 1 else f"{counts['block']} checks block the launch"
            )
        if counts["warn"]:
            said.append("1 warning" if counts["warn"] == 1 else f"{counts['warn']} warnings")
        if counts["todo"]:
            said.append(f"{counts['todo']} to do")
        return ", ".join(said).capitalize() + "." if said else "Everything is in place."

    @property
    def _plan_lacks_channel(self) -> bool:
        """The channel is for sale: a 402 like any other limit."""
        asked = self.refusal.extra["violations"] if self.refusal else ()
        return any(each["limit"].startswith(CHANNEL_PREFIX) for each in asked)

    def require(self) -> None:
        """Refuse as a launch would: 402 with every limit at once, else 422 with every missing part."""
        if self.ready:
            return
        of_the_plan = {*limit_checks.LABELS, "channel"} if self._plan_lacks_channel else set(limit_checks.LABELS)
        missing = [check for check in self.checks if check.state in ("block", "todo") and check.key not in of_the_plan]
        if self.refusal is not None and not missing:
            raise self.refusal
        if missing:
            raise NotReady(
                " ".join(f"{check.label}: {check.detail}" for check in missing),
                next_step="Mend what the checks name, then launch again.",
                problems=tuple(
                    FieldProblem(_POINTERS.get(check.key, "#"), check.key, check.detail) for check in missing
                ),
                checks=[check.as_json() for check in self.checks],
            )

    def as_json(self) -> dict[str, Any]:
        return {
            "ready": self.ready,
            "audience": self.audience_count,
            "checks": [check.as_json() for check in self.checks],
        }


def report(*, scope: Scope, campaign: Campaign, at: datetime, now: datetime, holds_counts: bool = False) -> Report:
    """Check `campaign` for a send at `at`. With `holds_counts` what it holds already is not counted against it."""
    version = _audience_version(scope, campaign)
    counted = _count(scope, version, campaign, now) if version else None
    audience = counted.contactable if counted else None
    plan = entitlements.effective(scope=scope, at=at)
    usage = _usage(scope, campaign, at, holds_counts)
    refusal = reservations.refusal_of(
        scope=scope,
        asks=holds.asks_of(channel=campaign.channel, audience=audience, cap=campaign.total_cap),
        at=at,
        now=now,
        purpose=holds.purpose(campaign) if holds_counts else "",
        accept_overage=campaign.accept_overage,
    )
    if refusal is not None:
        holds.name_actions(campaign, refusal)
    somebody = _somebody(scope, version, campaign, now)
    checks = (
        setup_checks.scoped(scope),
        setup_checks.sender(scope, campaign),
        _channel(scope, campaign, plan, refusal),
        setup_checks.template(scope, campaign, somebody),
        *setup_checks.split(scope, campaign, somebody),
        *_audience(campaign, version, counted),
        *limit_checks.of(campaign, audience, plan, usage, refusal),
        _schedule(scope, campaign, at, now),
        *_pace(campaign, audience, at),
    )
    if audience is not None:
        listing.remember_count(campaign=campaign, contactable=audience)
    return Report(checks, audience, version, refusal, plan.plan_name, usage.get(holds.VOLUME), campaign.total_cap)


def require(*, scope: Scope, campaign: Campaign, at: datetime, now: datetime, holds_counts: bool = False) -> Report:
    """The report, if a launch may go ahead; else the refusal."""
    found = report(scope=scope, campaign=campaign, at=at, now=now, holds_counts=holds_counts)
    found.require()
    return found


def rehearse(*, scope: Scope, campaign: Campaign, action: Rehearsed | None, now: datetime) -> Report:
    """The report, or exactly the refusal that the step would get now: state, time, parts and limits.

    Without an action it is the next one: what is scheduled fires, a draft that proposes a time is scheduled, any other
    is launched.
    """
    at = sends_at(campaign, now)
    if action is None:
        action = "fire" if campaign.state == State.SCHEDULED else "schedule" if at > now else "launch"
    lifecycle.require(campaign=campaign, action=action)
    if action == "schedule":
        at = schedule.require_proposed(campaign)
        schedule.require_ahead(at=at, now=now)
    require_parts(campaign)
    at = now if action == "launch" else at
    return require(scope=scope, campaign=campaign, at=at, now=now, holds_counts=action == "fire")


def sends_at(campaign: Campaign, now: datetime) -> datetime:
    """When it would send: the proposed or scheduled time while that lies ahead, else now."""
    return campaign.scheduled_at if campaign.scheduled_at and campaign.scheduled_at > now else now


def require_parts(campaign: Campaign) -> None:
    """NotReady at once when there is no template or audience: the database would refuse the state otherwise."""
    missing = []
    if campaign.template_version_id is None:
        missing.append(FieldProblem("#/templateId", "template", "Choose a published template."))
    if campaign.audience_id is None:
        missing.append(FieldProblem("#/audienceId", "audience", "Choose an audience."))
    if missing and campaign.state == State.DRAFT:
        raise NotReady(
            " ".join(each.detail for each in missing),
            next_step="Mend what the checks name, then launch again.",
            problems=tuple(missing),
        )


def _audience_version(scope: Scope, campaign: Campaign) -> AudienceVersion | None:
    if campaign.audience is None or campaign.audience.deleted_at is not None:
        return None
    found: AudienceVersion | None = (
        AudienceVersion.objects.within(scope)
        .filter(audience=campaign.audience, number=campaign.audience.version)
        .select_related("audience")
        .first()
    )
    return found


def _count(scope: Scope, version: AudienceVersion, campaign: Campaign, now: datetime) -> preview.Preview:
    rule = parse(version.rule)
    return preview.count(
        scope=scope,
        rule=rule,
        channel=campaign.channel,
        now=now,
        with_people=False,
        exclusions=leaving_out.of(campaign),
        salt=campaign.public_id,
    )


def _somebody(scope: Scope, version: AudienceVersion | None, campaign: Campaign, now: datetime) -> Person | None:
    """A real person of the audience, to fill the message for."""
    if version is None or campaign.template_version_id is None:
        return None
    return preview.somebody(scope=scope, rule=parse(version.rule), channel=campaign.channel, now=now)


def _channel(scope: Scope, campaign: Campaign, plan: Entitlements, refusal: PlanLimitExceeded | None) -> Check:
    key = f"{CHANNEL_PREFIX}{campaign.channel}"
    lacks = refusal is not None and any(each["limit"] == key for each in refusal.extra["violations"])
    fixes = limit_checks.fixes_of(refusal, key) if refusal is not None and lacks else None
    return setup_checks.channel(scope, campaign, plan.plan_name, fixes)


def _audience(campaign: Campaign, version: AudienceVersion | None, counted: preview.Preview | None) -> Iterator[Check]:
    choose = Fix("edit", "Choose an audience", "campaigns.write", {"section": "audience"}, primary=True)
    if campaign.audience is None:
        yield Check("audience", "Audience", "todo", "Not chosen yet.", fixes=(choose,))
        return
    if version is None or counted is None:
        yield Check("audience", "Audience", "block", f"{campaign.audience.name} was deleted.", fixes=(choose,))
        return
    narrow = Fix("look", "Look at the audience", "console.read", {"audience": campaign.audience.public_id})
    left_out = sum(counted.excluded.values())
    if counted.contactable == 0:
        detail = (
            "Nobody matches." if not left_out else f"Nobody can be contacted: all {left_out:,} who match are left out."
        )
        yield Check("audience", "Audience", "block", detail, fixes=(narrow, choose))
        return
    yield Check("audience", "Audience", "pass", f"version {version.number}")
    yield Check("consent", "Consent", "pass", f"{left_out:,} left out" if left_out else "nobody left out")


def _usage(scope: Scope, campaign: Campaign, at: datetime, holds_counts: bool) -> dict[str, LimitUsage]:
    """How the limits stand in the period it sends in. With `holds_counts` its own volume is not in the way."""
    found = {each.key: each for each in reservations.usage(scope=scope, now=at)}
    own = holds.held_volume([campaign]).get(holds.purpose(campaign), 0) if holds_counts else 0
    line = found[holds.VOLUME]
    return found | {holds.VOLUME: replace(line, reserved=max(0, line.reserved - own))}


def _schedule(scope: Scope, campaign: Campaign, at: datetime, now: datetime) -> Check:
    if campaign.scheduled_at is None:
        return Check("schedule", "Send time", "pass", "at once")
    local = campaign.scheduled_at.astimezone(scope.zone)
    if campaign.scheduled_at <= now and campaign.state == State.DRAFT:
        fix = Fix("edit", "Choose another time", "campaigns.write", {"section": "schedule"})
        detail = f"{local.day} {local:%b, %H:%M} {scope.time_zone} is over. Launching sends at once."
        return Check("schedule", "Send time", "warn", detail, fixes=(fix,))
    return Check("schedule", "Send time", "pass", f"{local.day} {local:%b, %H:%M} {scope.time_zone}")


def _pace(campaign: Campaign, audience: int | None, at: datetime) -> Iterator[Check]:
    """Said only where something is ruled about pace; it never blocks."""
    said = pacing.sentences(found := pacing.rules_of(campaign))
    beyond = (audience or 0) - campaign.total_cap if campaign.total_cap else 0
    if campaign.total_cap:
        said.append(f"{campaign.total_cap:,} people at most")
    warning = pacing.warning(found, at)
    if beyond > 0:
        people = "1 person stands" if beyond == 1 else f"{beyond:,} people stand"
        warning = f"{warning} {people} behind the send limit and get nothing.".strip()
    if said:
        yield Check("pace", "Sending rules", "warn" if warning else "pass", warning or "; ".join(said))
