"""Three questions to every book: does it sum to the plan, is no account overdrawn, do the other records agree?

Each difference is a Break row: opened once, updated while it lasts, resolved by itself when it is gone, or by a person
with a reason. Score = floor(100 * (1 - (|residual| + differing messages) / planned)), never below 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import floor

from audit import chain, ledger
from audit.models import Book, Break
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, NotFound
from projects.scoping import SYSTEM, Actor, Scope

RULE_VERSION = 1  # of the score's formula
TOTALS = ("planned", "handed_over")  # what a source may state besides the accounts themselves
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
class _Finding:
    type: str
    source: str
    account: str
    quantity: int
    detail: str

    @property
    def key(self) -> _Key:
        return (self.type, self.source, self.account)


def reconcile(
    *, scope: Scope, job_id: int, subject: str, evidence: Mapping[str, Mapping[str, int]], now: datetime
) -> Reconciliation:
    """Compare the ledger with each named source, account by account; the job's Break rows say the same afterwards.

    `evidence` is e.g. {"messages": {"delivered": 90, "bounced": 10}, "metering": {"handed_over": 100}}. A source is
    compared only on what it states. Requires a transaction; two runs of one job take turns.
    """
    sql.require_transaction()
    book = Book.objects.within(scope).select_for_update().filter(job_id=job_id).first()
    if book is None:
        raise NotFound(f"There is no book for {subject}.", next_step="A book opens when sending starts.")
    found = ledger.balance(scope=scope, job_id=job_id)
    findings = {finding.key: finding for finding in _findings(found, evidence)}
    still_open = _update_breaks(scope, book, findings, now)
    points = score(planned=found.planned, residual=found.residual, differing=sum(row.quantity for row in still_open))
    book.accounts, book.residual, book.score, book.reconciled_at = found.accounts, found.residual, points, now
    book.save(update_fields=["accounts", "residual", "score", "reconciled_at"])
    return Reconciliation(found.residual, len(still_open), points, found, tuple(still_open))


def score(*, planned: int, residual: int, differing: int) -> int:
    """0 to 100. `differing` is the sum of the open breaks' quantities."""
    return max(0, floor(100 * (1 - (abs(residual) + differing) / max(planned, 1))))


def resolve(*, scope: Scope, actor: Actor, break_id: str, reason: str, now: datetime) -> Break:
    """A person explains a difference: it counts no longer, unless its quantity changes."""
    sql.require_transaction()
    found: Break | None = Break.objects.within(scope).select_for_update().filter(public_id=break_id).first()
    if found is None:
        raise NotFound("There is no such difference.")
    if found.state != "open":
        raise Conflict("This difference is resolved already.", next_step="Reload the page.")
    _resolve(found, by=actor.id, reason=reason, now=now)
    chain.record(
        scope=scope,
        actor=actor,
        action="break.resolved",
        subject=chain.Subject("break", found.public_id),
        now=now,
        before={"state": "open", **found.as_json()},
        after={"state": "resolved"},
        reason=reason,
    )
    return found


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


def _findings(found: ledger.Balance, evidence: Mapping[str, Mapping[str, int]]) -> Iterator[_Finding]:
    if found.residual:
        detail = f"The accounts sum to {found.planned - found.residual:,}, but {found.planned:,} were planned."
        yield _Finding("conservation", "ledger", "", abs(found.residual), detail)
    for account, quantity in found.accounts.items():
        if quantity < 0:
            detail = f"The account {account} is overdrawn by {-quantity:,}."
            yield _Finding("negative_balance", "ledger", account, -quantity, detail)
    ours = {**found.accounts, "planned": found.planned, "handed_over": found.handed_over}
    for source, stated in evidence.items():
        unknown = set(stated) - set(ours)
        assert not unknown, f"{source} speaks of {unknown}; known are the accounts and {TOTALS}"
        for account, quantity in stated.items():
            if quantity != ours[account]:
                detail = f"{source.capitalize()} count {quantity:,} {account}, the ledger {ours[account]:,}."
                kind = "metering_drift" if source == "metering" else "count_mismatch"
                yield _Finding(kind, source, account, abs(quantity - ours[account]), detail)


def _update_breaks(scope: Scope, book: Book, findings: Mapping[_Key, _Finding], now: datetime) -> list[Break]:
    rows = list(Break.objects.within(scope).filter(job_id=book.job_id).order_by("pk"))
    opened = {_key(row): row for row in rows if row.state == "open"}
    explained = {(*_key(row), row.quantity) for row in rows if row.state == "resolved" and row.resolved_by != SYSTEM.id}
    for key, row in opened.items():
        if key not in findings:
            _resolve(row, by=SYSTEM.id, reason="The difference is gone.", now=now)
    still_open = []
    for key, finding in findings.items():
        if key in opened:
            still_open.append(_refresh(opened[key], finding))
        elif (*key, finding.quantity) not in explained:
            still_open.append(_open(scope, book, finding, now))
    return still_open


def _key(row: Break) -> _Key:
    return (row.type, row.source, row.account)


def _open(scope: Scope, book: Book, finding: _Finding, now: datetime) -> Break:
    return Break.objects.create(
        environment_id=scope.environment_id,
        job_id=book.job_id,
        subject=book.subject,
        type=finding.type,
        source=finding.source,
        account=finding.account,
        quantity=finding.quantity,
        detail=finding.detail,
        opened_at=now,
    )


def _refresh(row: Break, finding: _Finding) -> Break:
    if row.quantity != finding.quantity:
        row.quantity, row.detail = finding.quantity, finding.detail
        row.save(update_fields=["quantity", "detail"])
    return row


def _resolve(row: Break, *, by: str, reason: str, now: datetime) -> None:
    row.state, row.resolved_at, row.resolved_by, row.reason = "resolved", now, by, reason
    row.save(update_fields=["state", "resolved_at", "resolved_by", "reason"])
