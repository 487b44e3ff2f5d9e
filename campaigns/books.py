"""The closing balance of a campaign: what was planned, where every message stands, what differs, and its digest."""

from datetime import UTC, datetime
from typing import Any, Final

from audit import ledger
from audit.models import Break
from campaigns.models import Campaign
from campaigns.recipients import NothingFrozen
from delivery.models import JobCounters
from lamba_campaigns.lib.canonical import digest
from projects.scoping import Scope

# What the console and the statement call each account, in the order of a message's life.
ACCOUNT_LABELS: Final[dict[str, str]] = {
    "pending": "Waiting",
    "in_flight": "In flight",
    "uncertain": "Uncertain",
    "accepted": "Accepted, no receipt yet",
    "deferred": "Deferred",
    "delivered": "Delivered",
    "bounced": "Bounced",
    "rejected": "Rejected",
    "failed": "Failed",
    "cancelled": "Cancelled",
}


def statement(*, scope: Scope, campaign: Campaign) -> dict[str, Any]:
    """The books as JSON, read from the ledger itself. NothingFrozen before sending began."""
    if campaign.job is None or campaign.snapshot is None:
        raise NothingFrozen(f"{campaign.name} has no books yet.", next_step="They open when it is launched.")
    found = ledger.balance(scope=scope, job_id=campaign.job.pk)
    body: dict[str, Any] = {
        "campaign": campaign.public_id,
        "name": campaign.name,
        "workspace": scope.workspace,
        "project": scope.project,
        "environment": scope.environment,
        "state": str(campaign.state),
        "snapshot": campaign.snapshot.public_id,
        "memberDigest": bytes(campaign.snapshot.member_digest).hex(),
        "launchedAt": _moment(campaign.launched_at),
        "closedAt": _moment(campaign.books_closed_at),
        **balance_as_json(found),
        "overlays": _overlays(scope, campaign),
        "breaks": Break.objects.within(scope).filter(job_id=campaign.job.pk, state="open").count(),
    }
    return body | {"digest": digest(body).hex()}


def balance_as_json(found: ledger.Balance) -> dict[str, Any]:
    return {
        "planned": found.planned,
        "excluded": found.accounts["excluded"],
        "accounts": {name: found.accounts[name] for name in ACCOUNT_LABELS},
        "excludedByReason": {reason: n for reason, n in sorted(found.excluded_by_reason.items()) if n},
        "residual": found.residual,
    }


def live_balance(*, scope: Scope, campaign: Campaign) -> dict[str, Any] | None:
    """The same numbers from the counters row: one read, whatever the size. None before sending began."""
    if campaign.job_id is None:
        return None
    row = JobCounters.objects.within(scope).get(pk=campaign.job_id)
    accounts = {name: getattr(row, name) for name in ACCOUNT_LABELS}
    return {
        "planned": row.planned,
        "excluded": row.excluded,
        "accounts": accounts,
        "excludedByReason": {reason: n for reason, n in sorted(row.excluded_reasons.items()) if n},
        "residual": row.planned - row.excluded - sum(accounts.values()),
    }


def _overlays(scope: Scope, campaign: Campaign) -> dict[str, int]:
    assert campaign.job is not None
    row = JobCounters.objects.within(scope).get(pk=campaign.job.pk)
    return {name: getattr(row, name) for name in ("complained", "unsubscribed", "opened", "clicked")}


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None
