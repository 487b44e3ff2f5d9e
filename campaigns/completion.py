"""When a job has nothing left to hand over: prove the books, settle the holds, end the campaign. Exactly once."""

from datetime import datetime
from typing import Any, Final

from audit import chain, ledger, reconciliation
from campaigns import books_outside, books_statements, drafts, holds, lifecycle
from campaigns.lifecycle import ENDED, Action
from campaigns.models import Campaign, State
from delivery import causes
from delivery.models import JobState, SendJob
from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.lib.sql import require_transaction
from lamba_campaigns.web.problems import problem
from projects.scoping import SYSTEM, Scope
from webhooks import outbox

EXCEPTIONS: Final = ("uncertain", "deferred", "rejected", "failed")


class SelfStopped(DomainError):
    """A rule about errors, bounces or complaints paused the campaign. It stands in `blockers` until it is resumed."""

    code = "CAMPAIGN_STOPPED"
    status = 409
    title = "The campaign stopped itself"


def settle(*, scope: Scope, campaign_id: str, now: datetime) -> Campaign | None:
    """The campaign ended, its holds settled and `campaign.sent` published; None if it is not time or was done before.

    Late receipts post to the same ledger afterwards; the next reconciliation reads them.
    """
    require_transaction()
    campaign = drafts.locked(scope=scope, campaign_id=campaign_id, version=None)
    job = campaign.job
    if job is None or job.state not in (JobState.FINISHED, JobState.CANCELLED):
        return None
    if campaign.state in ENDED:
        _reconcile_and_close(scope, campaign, now)  # failed messages were tried again: charge and compare anew
        return None
    found = ledger.balance(scope=scope, job_id=job.pk)
    closed = _reconcile_and_close(scope, campaign, now)
    move = lifecycle.swap(
        scope=scope,
        campaign_id=campaign.pk,
        action=_ending(campaign.state, found),
        actor=SYSTEM,
        now=now,
        finished_at=now,
        books_closed_at=now if closed else None,
    )
    lifecycle.announce(scope=scope, move=move, actor=SYSTEM, now=now, facts=closing_facts(found))
    if closed:
        books_statements.issue(scope=scope, campaign=move.campaign, now=now)
    return move.campaign


def review(*, scope: Scope, campaign_id: str, now: datetime) -> None:
    """Closed books after something came late: charged, compared and stated anew."""
    require_transaction()
    campaign = drafts.locked(scope=scope, campaign_id=campaign_id, version=None)
    if campaign.job is None or campaign.books_closed_at is None:
        return
    _reconcile_and_close(scope, campaign, now)
    books_statements.issue(scope=scope, campaign=campaign, now=now)


def close_late(*, scope: Scope, campaign_id: str, now: datetime) -> bool:
    """Close the books of an ended campaign once its uncertain messages and differences are explained."""
    require_transaction()
    campaign = drafts.locked(scope=scope, campaign_id=campaign_id, version=None)
    if campaign.state not in ENDED or campaign.job is None or campaign.books_closed_at is not None:
        return False
    if not _reconcile_and_close(scope, campaign, now):
        return False
    Campaign.objects.within(scope).filter(pk=campaign.pk).update(books_closed_at=now)
    books_statements.issue(scope=scope, campaign=lifecycle.load(scope=scope, pk=campaign.pk), now=now)
    return True


def settle_pause(*, scope: Scope, campaign_id: str, reason: str, now: datetime) -> Campaign | None:
    """`paused`, once the job has drained or stopped itself; None if nothing is to be done."""
    require_transaction()
    campaign = drafts.locked(scope=scope, campaign_id=campaign_id, version=None)
    if campaign.job is None or campaign.job.state not in (JobState.PAUSED, JobState.PAUSING):
        return None
    action: Action | None = {State.PAUSING: "settle_pause", State.SENDING: "stop"}.get(State(campaign.state))  # type: ignore[assignment]
    if action is None or (action == "settle_pause" and campaign.job.state != JobState.PAUSED):
        return None
    blockers = [problem(_stopped(scope, campaign.job), trace="")] if campaign.job.stop_code else []
    move = lifecycle.swap(scope=scope, campaign_id=campaign.pk, action=action, actor=SYSTEM, now=now, blockers=blockers)
    lifecycle.announce(scope=scope, move=move, actor=SYSTEM, now=now, reason=reason)
    return move.campaign


def _stopped(scope: Scope, job: SendJob) -> SelfStopped:
    """The rule that stopped the job, with what most of the failures say."""
    cause = causes.commonest(scope=scope, job=job)
    said = f"{job.stop_reason} Most failures say: {cause}" if cause else job.stop_reason
    return SelfStopped(said, next_step="Mend the cause, then resume or cancel.", rule=job.stop_code, cause=cause)


def tell_warning(*, scope: Scope, campaign_id: str, reason: str, now: datetime) -> None:
    """The campaign goes on; its timeline and its endpoints know what to look at."""
    require_transaction()
    campaign = drafts.find(scope=scope, campaign_id=campaign_id)
    subject = lifecycle.subject_of(campaign)
    chain.record(scope=scope, actor=SYSTEM, action="campaign.warned", subject=subject, now=now, reason=reason)
    data = lifecycle.event_data(campaign, reason, {})
    outbox.publish(scope=scope, type="campaign.warned", data=data, now=now)


def closing_facts(found: ledger.Balance) -> dict[str, Any]:
    """Planned, excluded and every account that holds something."""
    accounts = {name: n for name, n in found.accounts.items() if n and name != "excluded"}
    return {"planned": found.planned, "excluded": found.accounts["excluded"], "accounts": accounts}


def _reconcile_and_close(scope: Scope, campaign: Campaign, now: datetime) -> bool:
    assert campaign.job is not None
    found = ledger.balance(scope=scope, job_id=campaign.job.pk)
    holds.settle(scope=scope, campaign=campaign, accepted=found.handed_over, now=now)
    outside = books_outside.of_job(scope=scope, campaign=campaign, now=now)
    if campaign.channel == "email":
        outside.evidence["metering"] = {"handed_over": holds.used(scope=scope, campaign=campaign)}
    result = reconciliation.reconcile(
        scope=scope,
        job_id=campaign.job.pk,
        subject=campaign.public_id,
        evidence=outside.evidence,
        others=outside.findings,
        now=now,
    )
    if not result.balances or result.balance.open:
        return False
    reconciliation.close(scope=scope, job_id=campaign.job.pk, subject=lifecycle.subject_of(campaign), now=now)
    return True


def _ending(state: str, found: ledger.Balance) -> Action:
    if state == State.CANCELLING:
        return "settle_cancel"
    if not sum(found.accounts[name] for name in EXCEPTIONS):
        return "complete"
    nothing_went_out = found.handed_over == 0 and found.accounts["uncertain"] == 0
    return "fail" if nothing_went_out else "complete_with_exceptions"
