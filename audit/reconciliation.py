"""Three questions to every book: does it sum to the plan, is no account overdrawn, do the other records agree?

Each difference is a Break row: opened once, updated while it lasts, resolved by itself when it is gone, or by a person
with a reason; a resolution is a posting beside the balance. Score = floor(100 * (1 - (|residual| + messages in open
breaks) / planned)), never below 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import floor
from typing import Final

from audit import chain, ledger
from audit.models import Book, Break
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, NotFound
from projects.scoping import SYSTEM, Actor, Scope

QUANTITY_MAX: Final = 2**31 - 1  # of one posting
RULE_VERSION = 1  # of the score's formula
TOTALS = ("planned", "handed_over")  # what a source may state besides the accounts themselves
TYPES: Final[dict[str, str]] = {
    "conservation": "The accounts do not sum to what was planned.",
    "negative_balance": "An account is overdrawn.",
    "count_mismatch": "Another record counts otherwise.",
    "metering_drift": "The plan was charged for another number.",
    "missing_terminal": "Accepted long ago, and the outside never said what became of it.",
    "duplicate_send": "The outside took one message twice.",
    "state_conflict": "Two final words about one message contradict each other.",
    "late_event": "A receipt came after the settlement period.",
    "unsubscribed_but_sent": "Somebody who had unsubscribed before was contacted.",
    "orphan_receipt": "A receipt belongs to no message of ours.",
    "unmatched_event": "Lamba says that a campaign was sent, and names none of ours.",
    "scope_mismatch": "Something came here that belongs to another environment.",
}
NO_JOB: Final = 0  # the breaks of the environment itself
_Key = tuple[str, str, str]  # type, source, account


class BooksStayOpen(Conflict):
    code = "BOOKS_STAY_OPEN"
    title = "The books can't be closed yet"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What one run found. `breaks` counts the open ones; books balance when residual and breaks are 0."""

    residual: int
    breaks: int
    score: int
    balance: ledger.Balance
    findings: tuple[Break, ...] = ()

    @property
    def balances(self) -> bool:
        return self.residual == 0 and self.breaks == 0


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: `quantity` messages, as `source` tells it. `account` tells two findings of one type apart."""

    type: str
    source: str
    account: str
    quantity: int
    detail: str

    @property
    def key(self) -> _Key:
        return (self.type, self.source, self.account)


def reconcile(
    *,
    scope: Scope,
    job_id: int,
    subject: str,
    evidence: Mapping[str, Mapping[str, int]],
    now: datetime,
    others: Sequence[Finding] = (),
) -> Reconciliation:
    """Compare the ledger with each named source, account by account; the job's Break rows say the same afterwards.

    `evidence` is e.g. {"messages": {"delivered": 90, "bounced": 10}, "metering": {"handed_over": 100}}. A source is
    compared only on what it states. `others` are differences that the caller found message by message. Requires a
    transaction; two runs of one job take turns.
    """
    sql.require_transaction()
    book = Book.objects.within(scope).select_for_update().filter(job_id=job_id).first()
    if book is None:
        raise NotFound(f"There is no book for {subject}.", next_step="A book opens when sending starts.")
    found = ledger.balance(scope=scope, job_id=job_id, planned=book.planned)
    findings = {finding.key: finding for finding in (*_findings(found, evidence), *others)}
    still_open = _update_breaks(scope, book.job_id, book.subject, findings, now)
    points = score(planned=found.planned, residual=found.residual, differing=sum(row.quantity for row in still_open))
    book.accounts, book.residual, book.score, book.reconciled_at = found.accounts, found.residual, points, now
    book.save(update_fields=["accounts", "residual", "score", "reconciled_at"])
    return Reconciliation(found.residual, len(still_open), points, found, tuple(still_open))


def note(*, scope: Scope, others: Sequence[Finding], now: datetime) -> list[Break]:
    """The differences that belong to the environment and to no job: its Break rows say so afterwards."""
    sql.require_transaction()
    return _update_breaks(scope, NO_JOB, scope.environment, {finding.key: finding for finding in others}, now)


def score(*, planned: int, residual: int, differing: int) -> int:
    """0 to 100. `differing` is the sum of the open breaks' quantities."""
    return max(0, floor(100 * (1 - (abs(residual) + differing) / max(planned, 1))))


def assign(*, scope: Scope, actor: Actor, break_id: str, now: datetime) -> Break:
    """The caller looks into an open difference: its row says whose it is."""
    sql.require_transaction()
    found = _open_break(scope, break_id)
    found.owner, found.owner_label = actor.id, actor.label
    found.save(update_fields=["owner", "owner_label"])
    chain.record(
        scope=scope,
        actor=actor,
        action="break.assigned",
        subject=chain.Subject("break", found.public_id, found.detail),
        now=now,
    )
    return found


def resolve(*, scope: Scope, actor: Actor, break_id: str, reason: str, now: datetime) -> Break:
    """A person explains a difference: it counts no longer, unless its quantity changes."""
    sql.require_transaction()
    found = _open_break(scope, break_id)
    _resolve(scope, found, by=actor.id, reason=reason, now=now)
    chain.record(
        scope=scope,
        actor=actor,
        action="break.resolved",
        subject=chain.Subject("break", found.public_id, found.detail),
        now=now,
        before={"state": "open", **found.as_json()},
        after={"state": "resolved"},
        reason=reason,
    )
    return found


def explain(*, scope: Scope, job_id: int, type: str, by: str, reason: str, now: datetime) -> None:
    """Open differences of one type are explained by a document of ours, such as a statement's next number."""
    sql.require_transaction()
    for row in Break.objects.within(scope).filter(job_id=job_id, type=type, state="open"):
        _resolve(scope, row, by=by, reason=reason, now=now)


def close(*, scope: Scope, job_id: int, subject: chain.Subject, now: datetime, actor: Actor = SYSTEM) -> Book:
    """The book is closed and the chain says so. BooksStayOpen while messages or differences are open."""
    sql.require_transaction()
    book: Book = Book.objects.within(scope).select_for_update().get(job_id=job_id)
    if book.closed_at is not None:
        return book
    found = ledger.balance(scope=scope, job_id=job_id)
    differences = Break.objects.within(scope).filter(job_id=job_id, state="open").count()
    if found.open or found.residual or differences:
        raise BooksStayOpen(
            f"{found.open:,} messages have no outcome, the residual is {found.residual:,}, and {differences:,} "
            "differences are open.",
            next_step="Resolve uncertain messages and differences first.",
        )
    book.closed_at = now
    book.save(update_fields=["closed_at"])
    after = {"planned": found.planned, "accounts": found.accounts, "excluded": found.excluded_by_reason}
    chain.record(scope=scope, actor=actor, action="books.closed", subject=subject, now=now, after=after)
    return book


def breaks_of(*, scope: Scope, job_ids: Sequence[int]) -> dict[int, list[Break]]:
    """The differences of these jobs, open and resolved, oldest first."""
    found: dict[int, list[Break]] = {}
    for row in Break.objects.within(scope).filter(job_id__in=job_ids).order_by("pk"):
        found.setdefault(row.job_id, []).append(row)
    return found


def _open_break(scope: Scope, break_id: str) -> Break:
    found: Break | None = Break.objects.within(scope).select_for_update().filter(public_id=break_id).first()
    if found is None:
        raise NotFound("There is no such difference.")
    if found.state != "open":
        raise Conflict("This difference is resolved already.", next_step="Reload the page.")
    return found


def _findings(found: ledger.Balance, evidence: Mapping[str, Mapping[str, int]]) -> Iterator[Finding]:
    if found.residual:
        detail = f"The accounts sum to {found.planned - found.residual:,}, but {found.planned:,} were planned."
        yield Finding("conservation", "ledger", "", abs(found.residual), detail)
    for account, quantity in found.accounts.items():
        if quantity < 0:
            detail = f"The account {account} is overdrawn by {-quantity:,}."
            yield Finding("negative_balance", "ledger", account, -quantity, detail)
    ours = {**found.accounts, "planned": found.planned, "handed_over": found.handed_over}
    for source, stated in evidence.items():
        unknown = set(stated) - set(ours)
        assert not unknown, f"{source} speaks of {unknown}; known are the accounts and {TOTALS}"
        for account, quantity in stated.items():
            if quantity != ours[account]:
                verb = "count" if source.endswith("s") else "counts"
                detail = f"{source.capitalize()} {verb} {quantity:,} {account}, the ledger {ours[account]:,}."
                kind = "metering_drift" if source == "metering" else "count_mismatch"
                yield Finding(kind, source, account, abs(quantity - ours[account]), detail)


def _update_breaks(
    scope: Scope, job_id: int, subject: str, findings: Mapping[_Key, Finding], now: datetime
) -> list[Break]:
    rows = list(Break.objects.within(scope).filter(job_id=job_id).order_by("pk"))
    opened = {_key(row): row for row in rows if row.state == "open"}
    explained = {(*_key(row), row.quantity) for row in rows if row.state == "resolved" and row.resolved_by != SYSTEM.id}
    for key, row in opened.items():
        if key not in findings:
            _resolve(scope, row, by=SYSTEM.id, reason="The difference is gone.", now=now)
    still_open = []
    for key, finding in findings.items():
        if key in opened:
            still_open.append(_refresh(opened[key], finding))
        elif (*key, finding.quantity) not in explained:
            still_open.append(_open(scope, job_id, subject, finding, now))
    return still_open


def _key(row: Break) -> _Key:
    return (row.type, row.source, row.account)


def _open(scope: Scope, job_id: int, subject: str, finding: Finding, now: datetime) -> Break:
    return Break.objects.create(
        environment_id=scope.environment_id,
        job_id=job_id,
        subject=subject,
        type=finding.type,
        source=finding.source,
        account=finding.account,
        quantity=finding.quantity,
        detail=finding.detail,
        opened_at=now,
    )


def _refresh(row: Break, finding: Finding) -> Break:
    if row.quantity != finding.quantity:
        row.quantity, row.detail = finding.quantity, finding.detail
        row.save(update_fields=["quantity", "detail"])
    return row


def _resolve(scope: Scope, row: Break, *, by: str, reason: str, now: datetime) -> None:
    """The row says how it ended; so does a posting beside the balance, which the chain seals."""
    key = f"break:{row.public_id}"
    posting = ledger.Posting(key, "differs", "explained", min(row.quantity, QUANTITY_MAX), row.type)
    ledger.post(scope=scope, job_id=row.job_id, postings=[posting], now=now)
    row.state, row.resolved_at, row.resolved_by, row.reason = "resolved", now, by, reason
    row.save(update_fields=["state", "resolved_at", "resolved_by", "reason"])
