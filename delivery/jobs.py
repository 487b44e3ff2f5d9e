"""Send jobs: made once for a subject, frozen from then on, and steered only by compare-and-swap on their state."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db.models import F

from audiences import contacts
from audiences.models import Snapshot
from audit import chain, ledger
from delivery import breaker
from delivery.content.rendering import Content
from delivery.models import JobCounters, JobState, SendJob, Topic
from delivery.progress import OPEN_STATES, Progress, Stuck, progress, why_stuck
from delivery.retries import Decision, resolve_uncertain, retry_failed
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, NotFound
from lamba_campaigns.lib.sql import execute, require_transaction
from projects.scoping import Actor, Scope

__all__ = [
    "CHUNK_MESSAGES_MAX",
    "Decision",
    "Progress",
    "Stuck",
    "cancel",
    "create",
    "get",
    "pause",
    "progress",
    "resolve_uncertain",
    "resume",
    "retry_failed",
    "wake",
    "why_stuck",
]

CHUNK_MESSAGES_MIN, CHUNK_MESSAGES_MAX = 1_000, 5_000
CHUNKS_WANTED = 16  # of a job: enough that all its workers stay busy to the end
CHANNELS = ("email", "in_app", "sms", "webhook")
RATE_PER_MINUTE_MAX = 1_000_000
BEYOND_CAP = "send_limit"  # why somebody was cancelled when the job was made


def create(
    *,
    scope: Scope,
    actor: Actor,
    subject: str,
    snapshot: Snapshot,
    content: Content,
    content_id: int,
    channel: str,
    rate_per_minute: int | None,
    now: datetime,
    title: str = "",
    topic: Topic | None = None,
    track_opens: bool = False,
    track_clicks: bool = False,
    pacing: Mapping[str, Any] | None = None,
    total_cap: int | None = None,
    stop_limits: Mapping[str, Any] | None = None,
) -> SendJob:
    """The job of `subject`: its book is open, every included member is pending in a chunk, the sweep will ring it.
    Who stands behind `total_cap` is cancelled from the start; `pacing` is a document of `pacing.rules.frozen`, and
    `stop_limits` one of that module.

    Calling it again for the same subject and snapshot returns the job that is there; another snapshot is a Conflict.
    """
    require_transaction()
    _check(channel=channel, rate_per_minute=rate_per_minute)
    found: SendJob | None = SendJob.objects.within(scope).filter(subject=subject).first()
    if found is not None:
        return _same(found, snapshot)
    job = SendJob.objects.create(
        environment_id=scope.environment_id,
        subject=subject,
        title=title[:200],
        snapshot=snapshot,
        snapshot_month=snapshot.taken_month,
        channel=channel,
        content=asdict(content),
        content_id=content_id,
        rate_per_minute=rate_per_minute,
        topic=topic,
        track_opens=track_opens,
        track_clicks=track_clicks,
        pacing=dict(pacing or {}),
        total_cap=total_cap,
        stop_limits=dict(stop_limits or {}),
        created_at=now,
        created_by=actor.label[:200],
        next_ring_at=now,
    )
    contacts.introduce(scope=scope, subject=subject, name=job.title or subject, month=snapshot.taken_month, now=now)
    _open(scope=scope, job=job, snapshot=snapshot, now=now)
    return job


def get(*, scope: Scope, public_id: str) -> SendJob:
    """The job with this public id, or NotFound."""
    found: SendJob | None = SendJob.objects.within(scope).select_related("snapshot").filter(public_id=public_id).first()
    if found is None:
        raise NotFound(f"There is no send job {public_id} in this environment.")
    return found


def pause(*, scope: Scope, job: SendJob, now: datetime) -> SendJob:
    """`pausing` from now on: workers stop before their next micro-batch, then it becomes `paused` by itself."""
    return _move(scope, job, {JobState.SENDING}, JobState.PAUSING, "pause", now, pause_asked_at=now)


def resume(*, scope: Scope, job: SendJob, now: datetime) -> SendJob:
    """`sending` again. Nobody is repeated: chunks go on behind their watermark."""
    changes = {"resumed_at": now, "held_until": None, "held_reason": ""}
    breaker.begin_anew(scope=scope, job_id=job.pk)
    return _move(scope, job, {JobState.PAUSED, JobState.PAUSING}, JobState.SENDING, "resume", now, **changes)


def cancel(*, scope: Scope, job: SendJob, now: datetime) -> SendJob:
    """`cancelling` from now on: what is in flight lands, then everything that waits becomes cancelled, once."""
    states = {JobState.SENDING, JobState.PAUSING, JobState.PAUSED}
    return _move(scope, job, states, JobState.CANCELLING, "cancel", now, cancel_asked_at=now)


def wake(*, scope: Scope, actor: Actor, job: SendJob, now: datetime, reason: str = "") -> SendJob:
    """A job that waits for its provider, a worker or a lease tries again at once: nothing holds it any more, and the
    doorbell rings. Its own rules about pace stay; nobody is repeated."""
    require_transaction()
    rows = SendJob.objects.within(scope).filter(pk=job.pk)
    woken = rows.filter(state__in=OPEN_STATES).update(next_ring_at=now)
    current: SendJob = rows.get()
    if not woken:
        raise Conflict(f"This job is {current.state}; there is nothing to try.", next_step="Reload the page.")
    rows.filter(held_until__isnull=False, held_code="").update(held_until=None, held_reason="")
    chain.record(
        scope=scope,
        actor=actor,
        action="delivery.woken",
        subject=chain.Subject("job", job.public_id, job.title),
        now=now,
        before={"held": job.held_reason},
        reason=reason,
    )
    return current


def _move(
    scope: Scope, job: SendJob, expected: set[JobState], target: JobState, verb: str, now: datetime, **changes: Any
) -> SendJob:
    require_transaction()
    rows = SendJob.objects.within(scope).filter(pk=job.pk)
    moved = rows.filter(state__in=expected).update(
        state=target, state_version=F("state_version") + 1, next_ring_at=now, **changes
    )
    current: SendJob = rows.get()
    if not moved:
        raise Conflict(
            f"This job is {current.state}; only {' or '.join(sorted(expected))} jobs can {verb}.",
            next_step="Reload the page and look at its state.",
            state=current.state,
        )
    return current


def _check(*, channel: str, rate_per_minute: int | None) -> None:
    if channel not in CHANNELS:
        raise Invalid(
            f"The channel {channel!r} can't send here; this installation sends {', '.join(CHANNELS)}.",
            problems=(FieldProblem("#/channel", "channel_unavailable", f"{channel!r} is not connected."),),
        )
    if rate_per_minute is not None and not 1 <= rate_per_minute <= RATE_PER_MINUTE_MAX:
        detail = f"Messages a minute go from 1 to {RATE_PER_MINUTE_MAX:,}."
        raise Invalid(detail, problems=(FieldProblem("#/ratePerMinute", "out_of_range", detail),))


def _same(found: SendJob, snapshot: Snapshot) -> SendJob:
    if found.snapshot_id != snapshot.pk:
        raise Conflict(f"{found.subject} already has the send job {found.public_id} with another snapshot.")
    return found


def _open(*, scope: Scope, job: SendJob, snapshot: Snapshot, now: datetime) -> None:
    excluded = excluded_by_reason(snapshot)
    out = sum(excluded.values())
    assert snapshot.planned == snapshot.included + out, "a snapshot counts everybody once"
    wanted = snapshot.included if job.total_cap is None else min(job.total_cap, snapshot.included)
    beyond = snapshot.included - wanted
    JobCounters.objects.create(
        job=job,
        environment_id=scope.environment_id,
        planned=snapshot.planned,
        excluded=out,
        pending=wanted,
        cancelled=beyond,
        excluded_reasons=excluded,
    )
    where = {"environment": scope.environment_id, "job": job.pk}
    size = max(CHUNK_MESSAGES_MIN, min(wanted // CHUNKS_WANTED, CHUNK_MESSAGES_MAX))
    execute("delivery", "insert_chunks", where | {"included": wanted, "size": size})
    ledger.open_book(
        scope=scope,
        job_id=job.pk,
        subject=job.subject,
        planned=snapshot.planned,
        pending=snapshot.included,
        excluded=excluded,
        now=now,
    )
    if beyond:
        execute("delivery", "cap_chunk", where | {"cap": wanted, "included": snapshot.included})
        capped = ledger.Posting("cap:pending", "pending", "cancelled", beyond, BEYOND_CAP)
        ledger.post(scope=scope, job_id=job.pk, postings=[capped], now=now)


def excluded_by_reason(snapshot: Snapshot) -> dict[str, int]:
    """Reason name -> how many the snapshot left out for it."""
    return {str(reason): int(count) for reason, count in snapshot.excluded_counts.items() if count}
