"""The ledger of a send job: append-only postings between accounts that always sum to what was planned.

Unit: one message to one person. A posting key is used once per job, so any repetition changes nothing. A balance is
never stored as truth: it is the sum of the postings.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.db import connection

from audit.models import Book
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.ids import new_id
from projects.scoping import Scope

ACCOUNTS = (
    "excluded",
    "pending",
    "in_flight",
    "uncertain",
    "accepted",
    "deferred",
    "delivered",
    "bounced",
    "rejected",
    "failed",
    "cancelled",
)
PLANNED = "planned"  # the source that every message comes from; open_book alone draws on it
MEMO = ("differs", "explained")  # beside the balance: messages of a break, and of one that was resolved
NAMES = (PLANNED, *ACCOUNTS, *MEMO)  # the stored number of an account is its place here: append, never reorder
NUMBERS: Mapping[str, int] = {name: number for number, name in enumerate(NAMES)}
CLEARING = ("pending", "in_flight", "uncertain")  # empty when a job has ended
HANDED_OVER = ("accepted", "deferred", "delivered", "bounced")  # the other side took the message
POSTINGS_MAX = 20_000  # of one call
KEY_LENGTH_MAX = 120
Entry = tuple[str, int, int, int, str, datetime]  # key, source, target, quantity, reason, occurred_at


@dataclass(frozen=True, slots=True)
class Posting:
    """`quantity` messages go from `source` to `target`. `key` names the cause and is used once per job."""

    key: str
    source: str
    target: str
    quantity: int
    reason: str = ""
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """The books of a job. `residual` is planned minus the sum of all accounts: 0 unless something is wrong."""

    planned: int
    accounts: dict[str, int]
    excluded_by_reason: dict[str, int] = field(default_factory=dict)
    residual: int = 0

    @property
    def handed_over(self) -> int:
        """Messages that the other side took, whatever came of them."""
        return sum(self.accounts[name] for name in HANDED_OVER)

    @property
    def open(self) -> int:
        """Messages without an outcome of ours yet: pending, in flight or uncertain."""
        return sum(self.accounts[name] for name in CLEARING)


def open_book(
    *, scope: Scope, job_id: int, subject: str, planned: int, pending: int, excluded: Mapping[str, int], now: datetime
) -> None:
    """The book of `job_id` exists, its messages in `pending` and `excluded` by reason. Repeating is harmless."""
    sql.require_transaction()
    assert planned == pending + sum(excluded.values()), "every planned message is pending or excluded"
    Book.objects.bulk_create(
        [
            Book(
                environment_id=scope.environment_id,
                job_id=job_id,
                subject=subject,
                planned=planned,
                opened_at=now,
            )
        ],
        ignore_conflicts=True,
    )
    first = [Posting("open", PLANNED, "pending", pending)] if pending else []
    late = [Posting(f"open:{why}", PLANNED, "excluded", count, why) for why, count in excluded.items() if count]
    _insert(scope, job_id, [*first, *late], now)


def post(*, scope: Scope, job_id: int, postings: Sequence[Posting], now: datetime) -> int:
    """How many of the postings were new. The others were in the book already and changed nothing."""
    return len(post_new(scope=scope, job_id=job_id, postings=postings, now=now))


def post_new(*, scope: Scope, job_id: int, postings: Sequence[Posting], now: datetime) -> list[str]:
    """Write the postings; the keys that were new. The caller moves its counters for those only."""
    sql.require_transaction()
    assert all(posting.source != PLANNED for posting in postings), "only open_book draws on planned"
    return _insert(scope, job_id, postings, now)


def balance(*, scope: Scope, job_id: int, planned: int | None = None) -> Balance:
    """The sums of the job's postings, read now. `planned` of the book, if the caller has read it."""
    if planned is None:
        planned = Book.objects.within(scope).values_list("planned", flat=True).filter(job_id=job_id).first() or 0
    accounts = dict.fromkeys(ACCOUNTS, 0)
    reasons: dict[str, int] = {}
    where = {"environment_id": scope.environment_id, "job_id": job_id}
    for source, target, reason, quantity in sql.rows("audit", "flows", where):
        if NAMES[target] in MEMO:
            continue
        if source != NUMBERS[PLANNED]:
            accounts[NAMES[source]] -= quantity
        accounts[NAMES[target]] += quantity
        for account, sign in ((target, 1), (source, -1)):
            if account == NUMBERS["excluded"]:
                reasons[reason] = reasons.get(reason, 0) + sign * quantity
    return Balance(planned, accounts, reasons, planned - sum(accounts.values()))


def digest(entries: Sequence[Entry]) -> bytes:
    """SHA-256 over (key, source, target, quantity, reason, microseconds) of a batch, sorted by key."""
    lines: list[list[Any]] = [[*entry[:5], _microseconds(entry[5])] for entry in sorted(entries)]
    return hashlib.sha256(json.dumps(lines, separators=(",", ":"), ensure_ascii=False).encode()).digest()


def _insert(scope: Scope, job_id: int, postings: Sequence[Posting], now: datetime) -> list[str]:
    unique = {posting.key: posting for posting in reversed(postings)}  # given twice in one call: the first one counts
    if not unique:
        return []
    assert len(unique) <= POSTINGS_MAX, f"post at most {POSTINGS_MAX} at a time"
    assert all(posting.quantity > 0 and len(key) <= KEY_LENGTH_MAX for key, posting in unique.items())
    found = sql.one("audit", "next_batch")
    assert found is not None
    entries = sorted(_entry(posting, now) for posting in unique.values())
    columns = ("keys", "sources", "targets", "quantities", "reasons", "moments")
    params = dict(zip(columns, map(list, zip(*entries, strict=True)), strict=True))
    # a cursor of psycopg's own: Django's writes parameters into the text, where arrays cost twenty times as much
    with psycopg.Cursor(connection.connection) as cursor:
        where = {"environment_id": scope.environment_id, "job_id": job_id, "batch_id": found[0]}
        cursor.execute(sql.statement("audit", "post_entries"), params | where)
        new = {row[0] for row in cursor.fetchall()}
    if new:
        _insert_batch(scope, job_id, found[0], [entry for entry in entries if entry[0] in new], now)
    return [key for key in unique if key in new]


def _entry(posting: Posting, now: datetime) -> Entry:
    moment = posting.occurred_at or now
    return (posting.key, NUMBERS[posting.source], NUMBERS[posting.target], posting.quantity, posting.reason, moment)


def _insert_batch(scope: Scope, job_id: int, batch_id: int, entries: Sequence[Entry], now: datetime) -> None:
    row = {"id": batch_id, "public_id": new_id("lbt"), "environment_id": scope.environment_id, "job_id": job_id}
    row |= {"entry_count": len(entries), "digest": digest(entries), "posted_at": now}
    sql.execute("audit", "insert_batch", row)


def _microseconds(moment: datetime) -> int:
    moved = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (moved.days * 86_400 + moved.seconds) * 1_000_000 + moved.microseconds
