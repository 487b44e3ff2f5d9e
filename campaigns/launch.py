"""From a person's word, or the clock, to a running send job: any step may crash and run again without a second effect.

The order of locks is: campaign row, limit counters in the order of their keys, job rows, the head of the audit chain.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from celery import current_app
from django.db import transaction
from django.db.models import F, Q

from audiences import snapshot
from audiences.models import Snapshot
from audit import refusals
from campaigns import drafts, holds, leaving_out, lifecycle, pacing, preflight, schedule, splitting
from campaigns.lifecycle import WrongState
from campaigns.models import Campaign, State
from delivery import jobs
from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.lib.sql import durable
from lamba_campaigns.web.problems import problem
from projects.scoping import SYSTEM, Actor, Scope

LAUNCH_LEASE: Final = timedelta(seconds=60)
LAUNCH_TRIES_MAX: Final = 5
RING_EXPIRES_SECONDS: Final = 60


class EmptyAudience(DomainError):
    """Nobody in the frozen audience may be contacted. A send to nobody would close its books over nothing."""

    code = "EMPTY_AUDIENCE"
    status = 422
    title = "The audience is empty"


class LaunchFailed(DomainError):
    """The launch broke again and again by a fault of ours, not of the campaign."""

    code = "LAUNCH_FAILED"
    status = 500
    title = "The launch did not work"


def request_launch(*, scope: Scope, actor: Actor, campaign_id: str, version: int | None, now: datetime) -> Campaign:
    """Launch a draft: it is `launching` afterwards and its limits are held; or nothing changed.

    Every refusal, 402 included, is written to the audit trail.
    """
    campaign = drafts.find(scope=scope, campaign_id=campaign_id)
    with refusals.recording(
        scope=scope, actor=actor, action="campaign.launched", subject=lifecycle.subject_of(campaign), now=now
    ):
        preflight.require_parts(campaign)
        with durable():
            move = lifecycle.swap(
                scope=scope,
                campaign_id=campaign.pk,
                action="launch",
                actor=actor,
                now=now,
                version=version,
                **_attempt(actor, now),
            )
            report = preflight.require(scope=scope, campaign=move.campaign, at=now, now=now)
            people = report.audience_count or 0
            _keep_evidence(scope, move.campaign, report)
            holds.take(scope=scope, actor=actor, campaign=move.campaign, audience=people, at=now, now=now)
            lifecycle.announce(scope=scope, move=move, actor=actor, now=now, facts={"audience": people})
            ring(move.campaign)
    return lifecycle.load(scope=scope, pk=campaign.pk)


def request_schedule(
    *, scope: Scope, actor: Actor, campaign_id: str, at: datetime, time_zone: str, version: int | None, now: datetime
) -> Campaign:
    """Schedule a draft for `at` (UTC). The limits of that period are held; everything is checked again then."""
    schedule.require_ahead(at=at, now=now)
    campaign = drafts.find(scope=scope, campaign_id=campaign_id)
    with refusals.recording(
        scope=scope, actor=actor, action="campaign.scheduled", subject=lifecycle.subject_of(campaign), now=now
    ):
        preflight.require_parts(campaign)
        with durable():
            move = lifecycle.swap(
                scope=scope,
                campaign_id=campaign.pk,
                action="schedule",
                actor=actor,
                now=now,
                version=version,
                scheduled_at=at,
                time_zone=time_zone,
                launch_number=F("launch_number") + 1,
                blockers=[],
                launched_by=asdict(actor),
            )
            report = preflight.require(scope=scope, campaign=move.campaign, at=at, now=now)
            people = report.audience_count or 0
            holds.take(scope=scope, actor=actor, campaign=move.campaign, audience=people, at=at, now=now)
            facts = {"scheduledAt": at.isoformat().replace("+00:00", "Z"), "timeZone": time_zone}
            lifecycle.announce(scope=scope, move=move, actor=actor, now=now, facts=facts)
    return move.campaign


def unschedule(*, scope: Scope, actor: Actor, campaign_id: str, version: int | None, now: datetime) -> Campaign:
    """Back to a draft; its holds are free again. The time stays in the draft as a proposal."""
    who: Any = {"scope": scope, "actor": actor, "campaign_id": campaign_id}
    with _moving("unschedule", version=version, now=now, **who) as move:
        holds.release(scope=scope, campaign=move.campaign, now=now)
    return move.campaign


def fire(*, scope: Scope, campaign_id: int, now: datetime) -> None:
    """Launch a scheduled campaign whose time has come. What blocks it now sends it back to a draft that says why."""
    campaign = lifecycle.load(scope=scope, pk=campaign_id)
    if campaign.state != State.SCHEDULED or campaign.scheduled_at is None or campaign.scheduled_at > now:
        return
    try:
        with durable():
            move = lifecycle.swap(
                scope=scope,
                campaign_id=campaign_id,
                action="fire",
                actor=SYSTEM,
                now=now,
                version=campaign.state_version,
                launch_tries=0,
                launch_lease_until=None,
                requested_at=now,
            )
            report = preflight.require(scope=scope, campaign=move.campaign, at=now, now=now, holds_counts=True)
            _keep_evidence(scope, move.campaign, report)
            lifecycle.announce(
                scope=scope, move=move, actor=SYSTEM, now=now, facts={"audience": report.audience_count or 0}
            )
            ring(move.campaign)
    except (WrongState, lifecycle.CampaignChanged):
        return  # another sweep was faster, or somebody unscheduled it in this second
    except DomainError as refusal:
        refuse(scope=scope, campaign_id=campaign_id, refusal=refusal, now=now)


def run_launch(*, scope: Scope, campaign_id: int, now: datetime) -> None:
    """Freeze the audience, then start the job in one short transaction. Safe to run twice and after any crash."""
    if not _lease(scope, campaign_id, now):
        return
    campaign = lifecycle.load(scope=scope, pk=campaign_id)
    if campaign.launch_tries > LAUNCH_TRIES_MAX:
        _give_up(scope, campaign, now)
        return
    try:
        frozen = _freeze(scope, campaign, now)
        with durable():
            _start(scope, campaign, frozen, now)
    except (WrongState, lifecycle.CampaignChanged, snapshot.TakeCancelled):
        return  # cancelled meanwhile, or started by another worker; either way its transaction did the rest
    except DomainError as refusal:
        refuse(scope=scope, campaign_id=campaign_id, refusal=refusal, now=now)


def refuse(*, scope: Scope, campaign_id: int, refusal: DomainError, now: datetime) -> None:
    """Back to a draft that carries the reason; every hold is free again. Does nothing if it is no longer launching."""
    try:
        with durable():
            move = lifecycle.swap(
                scope=scope,
                campaign_id=campaign_id,
                action="refuse",
                actor=SYSTEM,
                now=now,
                blockers=[problem(refusal, trace="")],
                scheduled_at=None,
                launch_lease_until=None,
                audience_version=None,
            )
            holds.release(scope=scope, campaign=move.campaign, now=now)
            lifecycle.announce(
                scope=scope,
                move=move,
                actor=actor_of(move.campaign),
                now=now,
                reason=refusal.detail,
                refused=True,
                facts={"errorCode": refusal.code},
            )
    except WrongState:
        return


def pause(
    *, scope: Scope, actor: Actor, campaign_id: str, version: int | None, now: datetime, reason: str = ""
) -> Campaign:
    """No further batch starts; what is on the wire is drained, then it is `paused`."""
    who: Any = {"scope": scope, "actor": actor, "campaign_id": campaign_id}
    with _moving("pause", version=version, now=now, reason=reason, **who) as move:
        jobs.pause(scope=scope, job=move.campaign.job, now=now)
    return move.campaign


def resume(*, scope: Scope, actor: Actor, campaign_id: str, version: int | None, now: datetime) -> Campaign:
    """Sending goes on with whoever was not contacted yet."""
    who: Any = {"scope": scope, "actor": actor, "campaign_id": campaign_id}
    with _moving("resume", version=version, now=now, blockers=[], **who) as move:
        jobs.resume(scope=scope, job=move.campaign.job, now=now)
    return move.campaign


def cancel(
    *, scope: Scope, actor: Actor, campaign_id: str, version: int | None, now: datetime, reason: str = ""
) -> Campaign:
    """Nobody else is contacted. Before the first message it is `cancelled` at once; while sending it drains first."""
    who: Any = {"scope": scope, "actor": actor, "campaign_id": campaign_id}
    with _moving("cancel", version=version, now=now, reason=reason, **who) as move:
        if move.campaign.state == State.CANCELLING:
            jobs.cancel(scope=scope, job=move.campaign.job, now=now)
        else:
            holds.release(scope=scope, campaign=move.campaign, now=now)
    snapshot.cancel(scope=scope, purpose=holds.purpose(move.campaign))
    return move.campaign


@contextmanager
def _moving(
    action: lifecycle.Action,
    *,
    scope: Scope,
    actor: Actor,
    campaign_id: str,
    version: int | None,
    now: datetime,
    reason: str = "",
    **changes: Any,
) -> Iterator[lifecycle.Move]:
    """The campaign moved, under its lock, for what goes with the move; told as the last thing of the transaction."""
    campaign = drafts.find(scope=scope, campaign_id=campaign_id)
    with durable():
        move = lifecycle.swap(
            scope=scope, campaign_id=campaign.pk, action=action, actor=actor, now=now, version=version, **changes
        )
        yield move
        lifecycle.announce(scope=scope, move=move, actor=actor, now=now, reason=reason)


def ring(campaign: Campaign) -> None:
    """Wake a worker after the commit. A lost ring costs seconds: the sweep rings again."""
    kwargs = {"environment_id": campaign.environment_id, "campaign_id": campaign.pk}
    transaction.on_commit(lambda: _send(kwargs), robust=True)


def actor_of(campaign: Campaign) -> Actor:
    """Who asked for the launch; the system for rows that never were launched."""
    return Actor(**campaign.launched_by) if campaign.launched_by else SYSTEM


def _send(kwargs: dict[str, int]) -> None:
    current_app.send_task(
        "campaigns.tasks.run_launch", kwargs=kwargs, queue="resolve", expires=RING_EXPIRES_SECONDS, retry=False
    )


def _attempt(actor: Actor, now: datetime) -> dict[str, Any]:
    return {
        "launch_number": F("launch_number") + 1,
        "launch_tries": 0,
        "launch_lease_until": None,
        "blockers": [],
        "scheduled_at": None,
        "requested_at": now,
        "launched_by": asdict(actor),
    }


def _keep_evidence(scope: Scope, campaign: Campaign, report: preflight.Report) -> None:
    """What was checked and found stays with the campaign; the audience is pinned to the version that was checked."""
    Campaign.objects.within(scope).filter(pk=campaign.pk).update(
        evidence=[check.as_json() for check in report.checks], audience_version=report.audience_version
    )


def _lease(scope: Scope, campaign_id: int, now: datetime) -> bool:
    free = Q(launch_lease_until=None) | Q(launch_lease_until__lte=now)
    with durable():
        taken = (
            Campaign.objects.within(scope)
            .filter(free, pk=campaign_id, state=State.LAUNCHING)
            .update(launch_lease_until=now + LAUNCH_LEASE, launch_tries=F("launch_tries") + 1)
        )
    return taken == 1


def _freeze(scope: Scope, campaign: Campaign, now: datetime) -> Snapshot:
    assert campaign.audience_version is not None and campaign.template_version is not None
    frozen = snapshot.take(
        scope=scope,
        version=campaign.audience_version,
        channel=campaign.channel,
        fields=splitting.fields_of(campaign),
        purpose=holds.purpose(campaign),
        now=now,
        exclusions=leaving_out.of(campaign),
        salt=campaign.public_id,
        split=splitting.points_of(campaign),
        still_wanted=lambda: _is_launching(scope, campaign),
    )
    if frozen.included == 0:
        raise EmptyAudience(
            f"Nobody in {campaign.audience_version.audience.name} can be contacted by {campaign.channel} now: "
            f"{frozen.planned:,} people match and every one of them is left out.",
            next_step="See in the audience why they are left out, or choose another one.",
            matched=frozen.planned,
            excluded=frozen.excluded_counts,
        )
    return frozen


def _is_launching(scope: Scope, campaign: Campaign) -> bool:
    rows = Campaign.objects.within(scope).filter(pk=campaign.pk, state=State.LAUNCHING)
    return bool(rows.filter(launch_number=campaign.launch_number).exists())


def _start(scope: Scope, campaign: Campaign, frozen: Snapshot, now: datetime) -> None:
    drafts.locked(scope=scope, campaign_id=campaign.public_id, version=campaign.state_version)
    assert campaign.template_version is not None
    actor = actor_of(campaign)
    holds.take(scope=scope, actor=actor, campaign=campaign, audience=frozen.included, at=now, now=now)
    job = jobs.create(
        scope=scope,
        actor=actor,
        subject=campaign.public_id,
        snapshot=frozen,
        content=splitting.content_of(scope=scope, campaign=campaign),
        content_id=campaign.template_version.pk,
        channel=campaign.channel,
        rate_per_minute=campaign.rate_per_minute,
        title=campaign.name,
        topic=campaign.topic,
        track_opens=campaign.track_opens,
        track_clicks=campaign.track_clicks,
        now=now,
        **pacing.of_new_job(scope=scope, campaign=campaign),
    )
    move = lifecycle.swap(
        scope=scope,
        campaign_id=campaign.pk,
        action="start",
        actor=actor,
        now=now,
        version=campaign.state_version,
        snapshot=frozen,
        job=job,
        launched_at=now,
        launch_lease_until=None,
    )
    facts = {"planned": frozen.planned, "included": frozen.included, "excluded": frozen.planned - frozen.included}
    lifecycle.announce(scope=scope, move=move, actor=SYSTEM, now=now, facts=facts)


def _give_up(scope: Scope, campaign: Campaign, now: datetime) -> None:
    failure = LaunchFailed(
        f"The launch broke {LAUNCH_TRIES_MAX} times before the first message. Nobody was contacted.",
        next_step="Copy the campaign and launch the copy; tell your operator to look at the worker's log.",
    )
    with durable():
        move = lifecycle.swap(
            scope=scope,
            campaign_id=campaign.pk,
            action="fail",
            actor=SYSTEM,
            now=now,
            version=campaign.state_version,
            blockers=[problem(failure, trace="")],
            finished_at=now,
        )
        holds.release(scope=scope, campaign=move.campaign, now=now)
        lifecycle.announce(scope=scope, move=move, actor=SYSTEM, now=now, reason=failure.detail)
