"""How a job stands, read from its counters row and its minutes alone: the page may ask every two seconds."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from delivery.accounts import ACCOUNT_NAMES
from delivery.models import JobCounters, JobMinute, JobState, SendJob
from lamba_campaigns.lib.sql import one
from projects.scoping import Scope

PACE_WINDOW = timedelta(minutes=5)
SERIES_MINUTES_MAX = 240
QUIET_AFTER = timedelta(seconds=20)  # nothing moved for so long: say why
PLANNED_WAITS = frozenset({"send_window", "wave", "turns_waiting"})
OPEN_STATES = frozenset({JobState.SENDING, JobState.PAUSING, JobState.CANCELLING})
StuckCode = Literal[
    "no_workers",
    "rate_window",
    "provider_down",
    "lease_lost",
    "retries_waiting",
    "send_window",
    "wave",
    "turns_waiting",
    "stopped",
]


@dataclass(frozen=True, slots=True)
class Minute:
    """Outcomes of one minute."""

    at: datetime
    accepted: int
    deferred: int
    rejected: int
    failed: int
    uncertain: int
    excluded: int


@dataclass(frozen=True, slots=True)
class Stuck:
    """Why nothing moves, and what to do about it."""

    code: StuckCode
    detail: str
    next_step: str
    until: datetime | None = None

    @property
    def can_be_woken(self) -> bool:
        """Whether trying again at once may help."""
        return self.code in ("provider_down", "lease_lost", "no_workers")


@dataclass(frozen=True, slots=True)
class Progress:
    """The balance of a job. `accounts` has every account and adds up to `planned`; overlays count beside it."""

    planned: int
    excluded: int
    accounts: dict[str, int]
    excluded_by_reason: dict[str, int]
    overlays: dict[str, int]
    retrying: int
    state: str
    per_minute: tuple[Minute, ...]
    pace: int  # messages a minute, over the last five minutes
    finishes_at: datetime | None
    why_stuck: Stuck | None

    @property
    def settled(self) -> int:
        """People whose fate is known or out of our hands."""
        return self.planned - self.accounts["pending"] - self.accounts["in_flight"] - self.retrying

    @property
    def is_planned_wait(self) -> bool:
        """Whether it waits because its own rules say so: nothing is wrong, and nothing is to be done."""
        return self.why_stuck is not None and self.why_stuck.code in PLANNED_WAITS

    @property
    def waiting(self) -> int:
        return self.planned - self.settled


def progress(*, scope: Scope, job: SendJob, now: datetime) -> Progress:
    """Three small reads, whatever the size of the job."""
    counters = JobCounters.objects.within(scope).get(pk=job.pk)
    series = _series(scope, job)
    accounts = {name: getattr(counters, name) for name in ACCOUNT_NAMES}
    waiting = counters.pending + counters.in_flight
    pace = _pace(series, now)
    sending = job.state == JobState.SENDING
    return Progress(
        planned=counters.planned,
        excluded=counters.excluded,
        accounts=accounts,
        excluded_by_reason=dict(counters.excluded_reasons),
        overlays={name: getattr(counters, name) for name in ("complained", "unsubscribed", "opened", "clicked")},
        retrying=counters.retrying,
        state=job.state,
        per_minute=series,
        pace=pace,
        finishes_at=now + timedelta(minutes=waiting / pace) if sending and pace and waiting else None,
        why_stuck=_why_stuck(scope, job, counters, now),
    )


def why_stuck(*, scope: Scope, job: SendJob, now: datetime) -> Stuck | None:
    """Why this job does not move, or None while it moves or has nothing to do."""
    return _why_stuck(scope, job, JobCounters.objects.within(scope).get(pk=job.pk), now)


def _series(scope: Scope, job: SendJob) -> tuple[Minute, ...]:
    rows = (
        JobMinute.objects.filter(environment_id=scope.environment_id, job_id=job.pk)
        .order_by("-minute")
        .values_list("minute", "accepted", "deferred", "rejected", "failed", "uncertain", "excluded")
    )
    return tuple(Minute(*row) for row in reversed(list(rows[:SERIES_MINUTES_MAX])))


def _pace(series: tuple[Minute, ...], now: datetime) -> int:
    recent = [minute for minute in series if minute.at > now - PACE_WINDOW - timedelta(minutes=1)]
    if not recent:
        return 0
    total = sum(minute.accepted + minute.deferred + minute.rejected + minute.failed for minute in recent)
    span = max((now - recent[0].at).total_seconds() / 60, 1.0)
    return round(total / span)


def _why_stuck(scope: Scope, job: SendJob, counters: JobCounters, now: datetime) -> Stuck | None:
    if job.stop_code and job.state in (JobState.PAUSING, JobState.PAUSED):
        return Stuck("stopped", f"It stopped itself: {job.stop_reason}", "Find the cause, then resume or cancel.")
    if job.state not in OPEN_STATES:
        return None
    if job.held_until is not None and job.held_until > now:
        if job.held_code in ("send_window", "wave"):
            return Stuck(job.held_code, job.held_reason, "Nothing is to be done.", job.held_until)  # type: ignore[arg-type]
        return Stuck(
            "provider_down",
            f"The mail provider takes nothing: {job.held_reason}",
            "It is tried again by itself. Check the relay if this lasts.",
            job.held_until,
        )
    if counters.pending + counters.in_flight == 0:
        return _waiting_for_retries(scope, job, counters)
    if counters.last_outcome_at is not None and now - counters.last_outcome_at < QUIET_AFTER:
        return None
    if counters.paced_until is not None and counters.paced_until > now:
        return Stuck(
            "rate_window",
            f"The limit of {job.rate_per_minute:,} messages a minute is used up.",
            "It goes on by itself.",
            counters.paced_until,
        )
    return _nobody_works(scope, job, now)


def _waiting_for_retries(scope: Scope, job: SendJob, counters: JobCounters) -> Stuck | None:
    if not counters.retrying:
        return None
    found = one("delivery", "next_retry", {"environment": scope.environment_id, "job": job.pk})
    until = found[0] if found else None
    people = "1 person waits" if counters.retrying == 1 else f"{counters.retrying:,} people wait"
    if job.pacing:
        return Stuck("turns_waiting", f"{people} for their turn.", "Nothing is to be done.", until)
    return Stuck("retries_waiting", f"{people} for the next attempt.", "It is tried again by itself.", until)


def _nobody_works(scope: Scope, job: SendJob, now: datetime) -> Stuck | None:
    found = one("delivery", "leases", {"environment": scope.environment_id, "job": job.pk})
    assert found is not None
    live, lost = found
    if lost:
        return Stuck(
            "lease_lost",
            "A worker stopped in the middle of a micro-batch.",
            "Its open window is listed as uncertain within seconds; the rest goes on.",
        )
    quiet_since = counters_quiet_since(job)
    if live or now - quiet_since < QUIET_AFTER:
        return None
    return Stuck(
        "no_workers",
        "No worker has taken this job.",
        "Start a worker of the delivery queue: celery -A lamba_campaigns worker -Q delivery.",
    )


def counters_quiet_since(job: SendJob) -> datetime:
    """Since when nothing can have moved for lack of a worker: its last start."""
    return max(moment for moment in (job.created_at, job.resumed_at) if moment is not None)
