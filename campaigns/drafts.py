"""Drafts: only a draft can be edited, and only with things of its own environment."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import F

from audiences.models import Audience
from audit import chain
from campaigns import holds, templates
from campaigns.about import about_of, about_said, resolve_about
from campaigns.leaving_out import exclusions_of, exclusions_said, resolve_exclusions
from campaigns.lifecycle import CampaignChanged, WrongState, load, subject_of
from campaigns.models import Campaign, Channel, State, Template, TemplateVersion
from campaigns.models.campaign import RATE_PER_MINUTE_MAX
from campaigns.pacing import pacing_of, pacing_said, resolve_pacing
from campaigns.schedule import AHEAD_MAX
from campaigns.splitting import resolve_split, split_of, split_said
from lamba_campaigns.lib.errors import FieldProblem, Invalid, NotFound
from lamba_campaigns.lib.sql import durable
from projects.scoping import Actor, Scope

NAME_LENGTH_MAX = 120
OVERAGE_MAX = 100_000_000


@dataclass(frozen=True, slots=True)
class Setup:
    """What a draft says, by public ids. `template_version` None means the newest published one."""

    name: str
    channel: str = "email"
    template: str | None = None
    template_version: int | None = None
    audience: str | None = None
    scheduled_at: datetime | None = None
    time_zone: str = ""
    rate_per_minute: int | None = None
    accept_overage: int | None = None
    frequency_cap: Mapping[str, int] | None = None  # {"messages": 2, "days": 7}
    hold_out_percent: float | None = None
    excluded_segments: tuple[str, ...] = ()  # their slugs, as rules name them
    total_cap: int | None = None
    sending_rules: Mapping[str, Any] | None = None  # the document of delivery.pacing.rules
    topic: str | None = None  # its slug
    track_opens: bool = False
    track_clicks: bool = False
    split: Mapping[str, Any] | None = None  # {"template": tpl_…, "version": 2, "percent": 20}: message B


def create(*, scope: Scope, actor: Actor, setup: Setup, now: datetime) -> Campaign:
    """A new draft. Invalid names every unknown id and wrong value at once."""
    values = _resolve(scope, setup, now)
    with durable():
        campaign = Campaign(
            environment_id=scope.environment_id,
            created_by=actor.label,
            updated_by=actor.label,
            created_at=now,
            updated_at=now,
            **values,
        )
        campaign.save(force_insert=True)
        _audit(scope, actor, "campaign.created", campaign, now, after=_said(campaign))
        if campaign.accept_overage:
            holds.record_acceptance(scope=scope, actor=actor, campaign=campaign, now=now)
    return load(scope=scope, pk=campaign.pk)


def edit(
    *, scope: Scope, actor: Actor, campaign_id: str, changes: Mapping[str, Any], version: int, now: datetime
) -> Campaign:
    """Change the named fields of Setup. WrongState unless it is a draft, CampaignChanged on an old version."""
    with durable():
        campaign = locked(scope=scope, campaign_id=campaign_id, version=version)
        _require_draft(campaign, "be edited")
        before = _said(campaign)
        values = _resolve(scope, _merged(setup_of(campaign), changes), now, proposed=campaign.scheduled_at)
        Campaign.objects.within(scope).filter(pk=campaign.pk).update(
            **values, blockers=[], state_version=F("state_version") + 1, updated_at=now, updated_by=actor.label
        )
        edited = load(scope=scope, pk=campaign.pk)
        after = _said(edited)
        changed = {key for key in after if after[key] != before[key]}
        _audit(
            scope,
            actor,
            "campaign.updated",
            edited,
            now,
            before={key: before[key] for key in sorted(changed)},
            after={key: after[key] for key in sorted(changed)},
        )
        if "acceptOverage" in changed and edited.accept_overage:
            holds.record_acceptance(scope=scope, actor=actor, campaign=edited, now=now)
    return edited


def delete(*, scope: Scope, actor: Actor, campaign_id: str, version: int, now: datetime) -> None:
    """Forget a draft. What was ever launched stays for good."""
    with durable():
        campaign = locked(scope=scope, campaign_id=campaign_id, version=version)
        _require_draft(campaign, "be deleted")
        Campaign.objects.within(scope).filter(pk=campaign.pk).delete()
        _audit(scope, actor, "campaign.deleted", campaign, now, before=_said(campaign))


def copy(*, scope: Scope, actor: Actor, campaign_id: str, now: datetime) -> Campaign:
    """A new draft with the same setup, unscheduled, on the same template version."""
    source = find(scope=scope, campaign_id=campaign_id)
    name = f"{source.name[: NAME_LENGTH_MAX - 7]} (copy)"
    setup = asdict(setup_of(source)) | {"name": name, "scheduled_at": None, "accept_overage": None}
    return create(scope=scope, actor=actor, setup=Setup(**setup), now=now)


def find(*, scope: Scope, campaign_id: str) -> Campaign:
    found: Campaign | None = (
        Campaign.objects.within(scope)
        .select_related("template_version__template", "split_version__template")
        .select_related("audience", "audience_version", "snapshot", "job", "environment")
        .filter(public_id=campaign_id)
        .first()
    )
    if found is None:
        raise NotFound("There is no such campaign here.", next_step="List the campaigns to see their ids.")
    return found


def locked(*, scope: Scope, campaign_id: str, version: int | None) -> Campaign:
    """The campaign under a row lock, at `version` or CampaignChanged."""
    pk = (
        Campaign.objects.within(scope)
        .select_for_update(no_key=True)
        .filter(public_id=campaign_id)
        .values_list("pk", flat=True)
        .first()
    )
    if pk is None:
        raise NotFound("There is no such campaign here.", next_step="List the campaigns to see their ids.")
    found = load(scope=scope, pk=pk)
    if version is not None and found.state_version != version:
        raise CampaignChanged(
            f"You changed version {version}; the campaign is at version {found.state_version} now.",
            next_step=f"{found.updated_by} changed it. Read it again, then repeat your change.",
            etag=f'"{found.state_version}"',
        )
    return found


def setup_of(campaign: Campaign) -> Setup:
    version = campaign.template_version
    return Setup(
        name=campaign.name,
        channel=campaign.channel,
        template=version.template.public_id if version else None,
        template_version=version.number if version else None,
        audience=campaign.audience.public_id if campaign.audience else None,
        scheduled_at=campaign.scheduled_at,
        time_zone=campaign.time_zone,
        rate_per_minute=campaign.rate_per_minute,
        accept_overage=campaign.accept_overage,
        **exclusions_of(campaign),
        **pacing_of(campaign),
        **about_of(campaign),
        **split_of(campaign),
    )


SETUP_FIELDS = tuple(each.name for each in fields(Setup))


def _require_draft(campaign: Campaign, verb: str) -> None:
    if campaign.state != State.DRAFT:
        raise WrongState(
            f"{campaign.name} is {campaign.state.replace('_', ' ')}; only a draft can {verb}.",
            next_step="Unschedule it first." if campaign.state == State.SCHEDULED else "Copy it into a new draft.",
            state=str(campaign.state),
        )


def _merged(setup: Setup, changes: Mapping[str, Any]) -> Setup:
    """Another template starts at its newest version: the old number belongs to the old template."""
    merged = asdict(setup) | dict(changes)
    if "template_version" not in changes and merged["template"] != setup.template:
        merged["template_version"] = None
    return Setup(**merged)


def _resolve(scope: Scope, setup: Setup, now: datetime, proposed: datetime | None = None) -> dict[str, Any]:
    """The columns of the draft. A time that it proposed before may have passed meanwhile; a new one lies ahead."""
    problems: list[FieldProblem] = []
    zone = setup.time_zone or scope.time_zone
    values = {
        "name": setup.name.strip(),
        "channel": setup.channel,
        "template_version": _template_version(scope, setup, problems),
        "audience": _audience(scope, setup, problems),
        "scheduled_at": setup.scheduled_at,
        "time_zone": zone,
        "rate_per_minute": setup.rate_per_minute,
        "accept_overage": setup.accept_overage,
        "exclusions": resolve_exclusions(
            scope=scope,
            cap=setup.frequency_cap,
            hold_out_percent=setup.hold_out_percent,
            segments=setup.excluded_segments,
            problems=problems,
        ),
        **resolve_pacing(cap=setup.total_cap, document=setup.sending_rules, time_zone=zone, problems=problems),
        **resolve_about(
            scope=scope,
            channel=setup.channel,
            topic=setup.topic,
            track_opens=setup.track_opens,
            track_clicks=setup.track_clicks,
            problems=problems,
        ),
        **resolve_split(scope=scope, split=setup.split, is_whole=setup.template is not None, problems=problems),
    }
    if setup.scheduled_at is not None and setup.scheduled_at != proposed:
        _require_ahead(setup.scheduled_at, now, problems)
    if not 1 <= len(setup.name.strip()) <= NAME_LENGTH_MAX:
        problems.append(FieldProblem("#/name", "length", f"Use 1 to {NAME_LENGTH_MAX} characters."))
    if setup.channel not in Channel.values:
        problems.append(FieldProblem("#/channel", "unknown", f"Use one of {', '.join(Channel.values)}."))
    if not _is_zone(zone):
        problems.append(FieldProblem("#/timeZone", "unknown", "Use an IANA name such as Europe/Berlin."))
    if setup.rate_per_minute is not None and not 1 <= setup.rate_per_minute <= RATE_PER_MINUTE_MAX:
        problems.append(FieldProblem("#/ratePerMinute", "range", f"Use 1 to {RATE_PER_MINUTE_MAX:,}."))
    if setup.accept_overage is not None and not 0 <= setup.accept_overage <= OVERAGE_MAX:
        problems.append(FieldProblem("#/acceptOverage", "range", f"Use 0 to {OVERAGE_MAX:,}."))
    if problems:
        raise Invalid(
            "Some values are not valid; nothing was changed.",
            next_step="Correct the places named in errors and send it again.",
            problems=tuple(problems),
        )
    return values


def _require_ahead(at: datetime, now: datetime, problems: list[FieldProblem]) -> None:
    if at <= now:
        detail = f"{_clock(at)} is over: it is {_clock(now)} here. Choose a time ahead."
        problems.append(FieldProblem("#/scheduledAt", "past", detail))
    elif at - now > AHEAD_MAX:
        detail = f"A campaign can be scheduled {AHEAD_MAX.days} days ahead at most."
        problems.append(FieldProblem("#/scheduledAt", "far", detail))


def _template_version(scope: Scope, setup: Setup, problems: list[FieldProblem]) -> TemplateVersion | None:
    if setup.template is None:
        if setup.template_version is not None:
            problems.append(FieldProblem("#/templateVersion", "alone", "Say templateId too: a version of what?"))
        return None
    template: Template | None = Template.objects.within(scope).filter(public_id=setup.template).first()
    if template is None:
        problems.append(FieldProblem("#/templateId", "unknown", f"There is no template {setup.template} here."))
        return None
    if setup.template_version is None:
        found = templates.latest(scope=scope, template=template)
    else:
        found = (
            TemplateVersion.objects.within(scope)
            .filter(template=template, number=setup.template_version)
            .select_related("template")
            .first()
        )
    if found is None and template.latest_number == 0:
        problems.append(FieldProblem("#/templateId", "unpublished", f"{template.name} has no published version yet."))
    elif found is None:
        problems.append(
            FieldProblem("#/templateVersion", "unknown", f"{template.name} has versions 1 to {template.latest_number}.")
        )
    return found


def _audience(scope: Scope, setup: Setup, problems: list[FieldProblem]) -> Audience | None:
    if setup.audience is None:
        return None
    found: Audience | None = Audience.objects.within(scope).filter(public_id=setup.audience, deleted_at=None).first()
    if found is None:
        problems.append(FieldProblem("#/audienceId", "unknown", f"There is no audience {setup.audience} here."))
    return found


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _said(campaign: Campaign) -> dict[str, Any]:
    """The setup in words that an auditor reads."""
    version = campaign.template_version
    return {
        "name": campaign.name,
        "channel": campaign.channel,
        "template": f"{version.template.name} v{version.number}" if version else None,
        "audience": campaign.audience.name if campaign.audience else None,
        "scheduledAt": campaign.scheduled_at.isoformat() if campaign.scheduled_at else None,
        "timeZone": campaign.time_zone,
        "ratePerMinute": campaign.rate_per_minute,
        "acceptOverage": campaign.accept_overage,
        **exclusions_said(campaign),
        **pacing_said(campaign),
        **about_said(campaign),
        **split_said(campaign),
    }


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _audit(scope: Scope, actor: Actor, action: str, campaign: Campaign, now: datetime, **facts: Any) -> None:
    chain.record(scope=scope, actor=actor, action=action, subject=subject_of(campaign), now=now, **facts)
