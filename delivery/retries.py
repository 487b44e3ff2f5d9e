"""Second attempts: a ladder kept in rows for what may pass, and two operator actions for what will not pass by itself.

Only messages that surely were not handed over are ever retried without a person deciding it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from audit import chain, ledger
from delivery import balances
from delivery.accounts import Account
from delivery.models import JobState, SendJob
from lamba_campaigns.lib.errors import Conflict, DomainError, NotFound
from lamba_campaigns.lib.ids import new_id
from lamba_campaigns.lib.sql import require_transaction, rows
from projects.scoping import Actor, Scope

LADDER = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=12),
)
ATTEMPTS_MAX = len(LADDER) + 1
RETRIED_AT_ONCE_MAX = 50_000
Decision = Literal["accepted", "resend", "failed"]
# decision -> account, rank and what the message says from then on
_DECISIONS: Mapping[Decision, tuple[Account, str]] = {
    "accepted": (Account.ACCEPTED, "An operator confirmed that it was handed over."),
    "resend": (Account.DEFERRED, "An operator asked for one more attempt."),
    "failed": (Account.FAILED, "An operator gave it up."),
}


class NothingToRetry(DomainError):
    code = "NOTHING_TO_RETRY"
    status = 409
    title = "Nothing to retry"


def next_attempt(*, attempts: int, now: datetime) -> datetime | None:
    """When the attempt after `attempts` ones is due; None when the ladder ends."""
    return now + LADDER[attempts - 1] if attempts < ATTEMPTS_MAX else None


def retry_failed(*, scope: Scope, actor: Actor, job: SendJob, now: datetime, reason: str = "") -> int:
    """Every failed message of the job waits for one more attempt, due now; returns how many. Rejected ones stay:
    the provider said no. An ended job sends again until they are through."""
    require_transaction()
    job = _lock(scope, job)
    _require_not_cancelled(job)
    found = rows(
        "delivery",
        "retry_failed",
        {"environment": scope.environment_id, "job": job.pk, "now": now, "most": RETRIED_AT_ONCE_MAX},
    )
    if not found:
        raise NothingToRetry("No message of this job failed.", next_step="Look at the rejected and uncertain ones.")
    _post(scope, job, Account.FAILED, Account.DEFERRED, len(found), retrying=len(found), now=now)
    _reopen(scope, job, now)
    chain.record(
        scope=scope,
        actor=actor,
        action="delivery.retried",
        subject=chain.Subject("job", job.public_id, job.title),
        now=now,
        after={"messages": len(found)},
        reason=reason,
    )
    return len(found)


def resolve_uncertain(
    *,
    scope: Scope,
    actor: Actor,
    job: SendJob,
    decision: Decision,
    now: datetime,
    positions: Sequence[int] | None = None,
    reason: str = "",
) -> int:
    """The uncertain messages (all, or those at `positions`) become accepted, wait for one more attempt, or fail.

    Returns how many moved. Messages that a receipt resolved meanwhile stay as they are.
    """
    require_transaction()
    job = _lock(scope, job)
    if decision == "resend":
        _require_not_cancelled(job)
    account, words = _DECISIONS[decision]
    resend = decision == "resend"
    found = rows(
        "delivery",
        "resolve_uncertain",
        {
            "environment": scope.environment_id,
            "job": job.pk,
            "positions": list(positions) if positions is not None else None,
            "account": int(account),
            # a decision is no fact: any receipt outranks giving up
            "rank": int(balances.rank_of(account, retrying=decision != "accepted")),
            "detail": words,
            "next": now if resend else None,
            "now": now,
        },
    )
    if not found:
        raise NotFound(
            "No uncertain message is here any more.", next_step="Reload the page: a receipt may have settled it."
        )
    count = len(found)
    _post(scope, job, Account.UNCERTAIN, account, count, retrying=count if resend else 0, now=now)
    if resend:
        _reopen(scope, job, now)
    chain.record(
        scope=scope,
        actor=actor,
        action="delivery.resolved",
        subject=chain.Subject("job", job.public_id, job.title),
        now=now,
        before={"uncertain": count},
        after={"decision": decision, "messages": count},
        reason=reason,
    )
    return count


def _lock(scope: Scope, job: SendJob) -> SendJob:
    """Decisions about one job come one after the other."""
    locked: SendJob = SendJob.objects.within(scope).select_for_update(no_key=True).get(pk=job.pk)
    return locked


def _require_not_cancelled(job: SendJob) -> None:
    if job.state in (JobState.CANCELLING, JobState.CANCELLED):
        raise Conflict("A cancelled job sends nothing any more.", next_step="Start a new campaign for these people.")


def _post(
    scope: Scope, job: SendJob, source: Account, target: Account, count: int, *, retrying: int, now: datetime
) -> None:
    key = f"operator:{new_id('act')}"
    posting = ledger.Posting(key, source.ledger, target.ledger, count, "operator")
    assert ledger.post(scope=scope, job_id=job.pk, postings=[posting], now=now) == 1
    balances.move(job_id=job.pk, changes={source: -count, target: count}, retrying=retrying, now=now)


def _reopen(scope: Scope, job: SendJob, now: datetime) -> None:
    """An ended job has work again; a paused one keeps waiting for its operator."""
    ended = SendJob.objects.within(scope).filter(pk=job.pk, state=JobState.FINISHED)
    ended.update(state=JobState.SENDING, state_version=job.state_version + 1, finished_at=None, next_ring_at=now)
