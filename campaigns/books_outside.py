"""What the outside says about each message of a job, beside plan and attempt: every difference by its type.

Three sides: the plan (ledger), our attempts (messages), the outside (receipts, a provider's report, Lamba's
campaign.sent). Each test reads the job's own rows once, and those that only few rows can fail read only those.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from audit.models import OutsideReport
from audit.reconciliation import Finding
from campaigns.models import Campaign
from delivery import tokens
from delivery.accounts import Account
from lamba_campaigns.lib import sql
from projects.scoping import Scope
from webhooks import process

SETTLEMENT: Final = timedelta(hours=72)  # how long the outside has to say what became of a message
RECEIPTS_PER_READ: Final = 5_000
_HOURS: Final = int(SETTLEMENT.total_seconds()) // 3600
_DETAILS: Final = {
    "missing_terminal": f"{{:,}} accepted messages were not heard of for {_HOURS} hours.",
    "duplicate_send": "{:,} messages were taken or delivered twice.",
    "state_conflict": "{:,} messages have final words that contradict each other.",
    "late_event": f"{{:,}} receipts came more than {_HOURS} hours after the last hand-off.",
    "unsubscribed_but_sent": "{:,} people had unsubscribed before their message was handed over.",
}
WITH_MESSAGE: Final = (  # accounts that are reached only by a message row; waiting and cancelled people may have none
    Account.IN_FLIGHT,
    Account.UNCERTAIN,
    Account.ACCEPTED,
    Account.DEFERRED,
    Account.DELIVERED,
    Account.BOUNCED,
    Account.REJECTED,
    Account.FAILED,
)


@dataclass(slots=True)
class Outside:
    """Message rows by account, what others stated, and the differences that were found message by message."""

    evidence: dict[str, dict[str, int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def of_job(*, scope: Scope, campaign: Campaign, now: datetime) -> Outside:
    """Everything but the plan's own metering. Requires a transaction: its memory is raised until the end."""
    sql.require_transaction()
    assert campaign.job is not None
    found = Outside({"messages": dict.fromkeys((account.ledger for account in WITH_MESSAGE), 0)})
    where = params(scope, campaign, now)
    sql.rows("campaigns", "more_memory")
    missing = 0
    for account, count, silent in sql.rows("campaigns", "messages_of_job", where):
        if Account(account) in WITH_MESSAGE:
            found.evidence["messages"][Account(account).ledger] = count
        missing += silent
    found.findings = list(
        _of_receipts(
            missing_terminal=missing if _number("expects_receipts", where) else 0,
            duplicate_send=_number("taken_twice", where),
            state_conflict=_number("contradicted", where),
            late_event=_number("late_receipts", where) if where["late_after"] < now else 0,
            unsubscribed_but_sent=_number("unsubscribed_but_sent", where),
        )
    )
    for report in _newest_reports(scope, campaign.job.pk):
        found.evidence[report.source] = report.counts
        found.findings += _of_report(report)
    return found


def of_environment(*, scope: Scope) -> list[Finding]:
    """Receipts that match no message of ours, and whatever came here although it belongs elsewhere."""
    orphans = strays = 0
    for message_id in _unmatched(scope):
        reference = tokens.read_message_id(message_id)
        elsewhere = reference is not None and reference.environment_id != scope.environment_id
        orphans, strays = orphans + (not elsewhere), strays + elsewhere
    rows = (
        ("orphan_receipt", "receipts", orphans, "{:,} receipts belong to no message of ours."),
        ("scope_mismatch", "receipts", strays, "{:,} receipts are about messages of another environment."),
        (
            "unmatched_event",
            "lamba",
            _set_aside(scope, "parked", process.UNMATCHED),
            "{:,} events name no campaign of ours.",
        ),
        (
            "scope_mismatch",
            "events",
            _set_aside(scope, "quarantined", process.FOREIGN),
            "{:,} events name another environment than their endpoint's.",
        ),
    )
    return [Finding(kind, source, "", count, detail.format(count)) for kind, source, count, detail in rows if count]


def params(scope: Scope, campaign: Campaign, now: datetime) -> dict[str, Any]:
    """What the statements of `outside.sql` ask for. A sending that goes on has no late receipts yet."""
    job = campaign.job
    assert job is not None
    return {
        "environment": scope.environment_id,
        "job": job.pk,
        "channel": campaign.channel,
        "topic": campaign.topic.slug if campaign.topic else "",
        "began": job.created_at,
        "overdue": now - SETTLEMENT,
        "late_after": job.finished_at + SETTLEMENT if job.finished_at else now + SETTLEMENT,
    }


def _number(statement: str, where: Mapping[str, Any]) -> int:
    found = sql.one("campaigns", statement, where)
    assert found is not None
    return int(found[0])


def _of_receipts(**counts: int) -> Iterator[Finding]:
    for kind, count in counts.items():
        if count:
            source = "consent" if kind == "unsubscribed_but_sent" else "receipts"
            yield Finding(kind, source, "", count, _DETAILS[kind].format(count))


def _of_report(report: OutsideReport) -> Iterator[Finding]:
    if report.unknown:
        detail = f"The {report.source}'s report has {report.unknown:,} lines about no message of this campaign."
        yield Finding("orphan_receipt", report.source, "", report.unknown, detail)
    if report.repeated:
        detail = f"The {report.source}'s report has {report.repeated:,} messages more than once."
        yield Finding("duplicate_send", report.source, "", report.repeated, detail)


def _newest_reports(scope: Scope, job_id: int) -> list[OutsideReport]:
    rows = OutsideReport.objects.within(scope).filter(job_id=job_id)
    return list(rows.order_by("source", "-id").distinct("source"))


def _set_aside(scope: Scope, state: str, begins: str) -> int:
    """How many events lie in this state for the reason that their error begins with."""
    return _number("events_set_aside", {"environment": scope.environment_id, "state": state, "begins": f"{begins}%"})


def _unmatched(scope: Scope) -> Iterator[str]:
    where: Mapping[str, Any] = {"environment": scope.environment_id, "limit": RECEIPTS_PER_READ}
    after = 0
    while rows := sql.rows("campaigns", "unmatched_receipts", {**where, "after": after}):
        yield from (message_id for _, message_id in rows)
        after = rows[-1][0]
