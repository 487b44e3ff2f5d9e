"""The closing balance of a campaign: what was planned, where every message stands, what differs, and its digest."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from audit import ledger
from campaigns.models import Campaign
from campaigns.recipients import NothingFrozen
from delivery.models import JobCounters
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.canonical import digest
from projects.scoping import Scope

OVERLAYS: Final = ("complained", "unsubscribed", "opened", "clicked")
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


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside the postings: the plan, the last comparison, facts about people, the newest statement."""

    planned: int
    score: int | None
    reconciled_at: datetime | None
    complained: int
    unsubscribed: int
    opened: int
    clicked: int
    breaks: int
    number: int | None  # of the newest signed statement, and so on
    issued_at: datetime | None
    key: bytes | None
    signature: bytes | None
    note: bytes | None


def beside(*, scope: Scope, campaign: Campaign) -> Beside:
    """NothingFrozen before sending began."""
    where = {"environment": scope.environment_id, "job": campaign.job_id}
    row = sql.one("campaigns", "books_beside", where) if campaign.job_id and campaign.snapshot_id else None
    if row is None:
        raise NothingFrozen(f"{campaign.name} has no books yet.", next_step="They open when it is launched.")
    return Beside(*row)


def statement(*, scope: Scope, campaign: Campaign, found: Beside | None = None) -> dict[str, Any]:
    """The books as JSON, read from the ledger itself. NothingFrozen before sending began."""
    known = found or beside(scope=scope, campaign=campaign)
    assert campaign.job is not None and campaign.snapshot is not None
    balance = ledger.balance(scope=scope, job_id=campaign.job.pk, planned=known.planned)
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
        **balance_as_json(balance),
        "overlays": {name: getattr(known, name) for name in OVERLAYS},
        "breaks": known.breaks,
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


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None
