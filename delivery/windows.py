"""Claims and outcomes: each call is part of one transaction that writes messages, ledger and counters together.

A window is one micro-batch whose intent is durable. Its postings are keyed by chunk and last position, so writing it
again changes nothing.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from audiences import contacts
from audiences.channels import CHANNEL_BITS
from audiences.reasons import REASONS
from audit import ledger
from delivery import balances, consent, retries, statements
from delivery.accounts import Account
from delivery.breaker import Notes
from delivery.channels.base import Outcome
from delivery.models import SendJob, Suppression
from delivery.pacing.turnstile import SKIPPED, Turnstile, turnstile
from lamba_campaigns.lib.sql import require_transaction
from projects.scoping import Scope

LEASE_SECONDS = 15
MICRO_BATCH_MESSAGES = 500
MICRO_BATCH_FIRST = 100  # until the relay's speed is known
MICRO_BATCH_SECONDS = 0.5  # what a micro-batch should take: pausing waits for one
PACE_SLICE_SECONDS = 1  # a rate limit is spent in slices of at most this long
# codes that mean "this mailbox does not exist", for ever (RFC 3463, IANA registry)
HARD_CODES = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})
_REASON_NAMES = [REASONS[number] for number in sorted(REASONS)]
assert sorted(REASONS) == list(range(1, len(REASONS) + 1)), "the claim picks a reason's name by its number"


class LeaseLost(Exception):
    """Somebody else owns the chunk now. What this worker knows about its open window is worthless: it is uncertain."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one chunk, as long as its fence is the current one."""

    job_id: int
    number: int
    fence: int


@dataclass(frozen=True, slots=True)
class Member:
    """One person to hand over to: everything that rendering and sending need."""

    position: int
    person_id: int
    address: str
    fields: dict[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Window:
    """One micro-batch that may leave from now on. `last` is its watermark in the chunk."""

    lease: Lease
    last: int
    members: tuple[Member, ...]
    at: datetime  # of the claim: the Date of its messages, so that they can be built again later


@dataclass(slots=True)
class Changes:
    """What one transaction does to the books of a job, written by `flush` in the order of the locks."""

    postings: list[ledger.Posting] = field(default_factory=list)
    moved: Counter[Account] = field(default_factory=Counter)
    outcomes: Counter[Account] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    notes: Notes = field(default_factory=Notes)
    retrying: int = 0

    def move(self, key: str, source: Account, target: Account, count: int, reason: str = "") -> None:
        if count:
            self.postings.append(ledger.Posting(key, source.ledger, target.ledger, count, reason))
            self.moved[source] -= count
            self.moved[target] += count

    def flush(self, *, scope: Scope, job_id: int, now: datetime) -> None:
        if not self.postings:
            return
        new = ledger.post(scope=scope, job_id=job_id, postings=self.postings, now=now)
        assert new == len(self.postings), "the fence lets every window be written once"
        self.notes.write(scope=scope, job_id=job_id)
        balances.minute(environment_id=scope.environment_id, job_id=job_id, outcomes=self.outcomes, now=now)
        balances.move(job_id=job_id, changes=self.moved, retrying=self.retrying, late=self.late, now=now)


def claim_chunk(*, job: SendJob, owner: str, now: datetime) -> Lease | None:
    """A lease on the next pending chunk, or None when there is none to have."""
    require_transaction()
    found = statements.rows("claim_chunk", {"job": job.pk, "owner": owner[:120], "seconds": LEASE_SECONDS, "now": now})
    return Lease(job.pk, *found[0]) if found else None


def next_size(*, size: int, seconds: float) -> int:
    """How many to claim next after `size` took `seconds`: at most twice as many, never fewer than one."""
    fitting = round(size * MICRO_BATCH_SECONDS / max(seconds, 0.001))
    return max(1, min(fitting, 2 * size, MICRO_BATCH_MESSAGES))


def claim_retries(*, scope: Scope, job: SendJob, owner: str, size: int, now: datetime) -> Window | None:
    """A micro-batch of messages whose next attempt is due, as a chunk of its own; None when none is due."""
    require_transaction()
    if not statements.rows("claim_job_for_retries", {"job": job.pk, "now": now}):
        return None
    gate = turnstile(scope=scope, job=job, now=now)
    room = gate.room(size) if gate else size
    count = paced(job_id=job.pk, rate=job.rate_per_minute, size=room, now=now) if room else 0
    if not count:
        return None
    found = statements.rows("claim_retries", _eligibility(scope, job) | {"most": count, "now": now})
    if not found:
        return None
    positions = sorted(row[0] for row in found)
    chunk = {"first": positions[0], "last": positions[-1], "positions": positions, "seconds": LEASE_SECONDS}
    where = {"environment": scope.environment_id, "job": job.pk, "owner": owner[:120]}
    number, fence = statements.rows("insert_retry_chunk", chunk | where)[0]
    lease, changes = Lease(job.pk, number, fence), Changes(retrying=-len(found))
    turn = _whose_turn(gate, found, Account.DEFERRED, f"c{number}:p{positions[-1]}", changes)
    window = Window(lease, positions[-1], _members(turn), now)
    _intend(changes, Account.DEFERRED, window, turn)
    changes.flush(scope=scope, job_id=job.pk, now=now)
    return window


def renew(*, lease: Lease, window: Window | None = None) -> tuple[int, int]:
    """Keep the chunk, and mark `window` as settled: (watermark, last position). LeaseLost when it is not ours any more,
    or when another window is open in it."""
    require_transaction()
    settled = window.last if window is not None else None
    found = statements.rows("renew_lease", _of(lease) | {"seconds": LEASE_SECONDS, "settled": settled})
    if not found:
        raise LeaseLost(f"chunk {lease.number} of job {lease.job_id}")
    return found[0][0], found[0][1]


def end(*, lease: Lease) -> None:
    """Give the chunk back: done, or pending for the next worker."""
    require_transaction()
    statements.count("end_lease", _of(lease))


def claim(
    *,
    scope: Scope,
    job: SendJob,
    lease: Lease,
    first: int,
    last: int,
    changes: Changes,
    now: datetime,
    gate: Turnstile | None = None,
) -> Window:
    """Positions `first` to `last` may leave once this transaction commits. Who may not be contacted any more, is
    excluded now; whose turn has not come, waits for it."""
    require_transaction()
    where = {"first": first, "last": last, "now": now}
    found = statements.rows("claim_window", _eligibility(scope, job) | where)
    new = [row for row in found if row[6]]
    turn = _whose_turn(gate, new, Account.PENDING, f"c{lease.number}:p{last}", changes)
    window = Window(lease, last, _members(turn), now)
    _intend(changes, Account.PENDING, window, turn)
    gone, twice = last - first + 1 - len(found), len(found) - len(new)
    for reason, count in (("late:erased", gone), ("late:duplicate", twice)):
        changes.move(f"c{lease.number}:p{last}:{reason}", Account.PENDING, Account.EXCLUDED, count, reason)
        changes.late.update({reason: count} if count else {})
    statements.count("intend", _of(lease) | {"last": last})
    return window


def paced(*, job_id: int, rate: int | None, size: int, now: datetime) -> int:
    """How many of `size` may be claimed at this moment: 0 while the rate limit is used up."""
    require_transaction()
    if rate is None:
        return size
    count = max(1, min(size, rate * PACE_SLICE_SECONDS // 60))
    return count if statements.rows("take_pace", {"job": job_id, "rate": rate, "count": count, "now": now}) else 0


def settle(
    *, scope: Scope, job: SendJob, window: Window, outcomes: Sequence[Outcome], changes: Changes, now: datetime
) -> None:
    """The outcomes of a window, in the order of its members."""
    require_transaction()
    if not window.members:
        return
    decided = [_decide(member, outcome, now) for member, outcome in zip(window.members, outcomes, strict=True)]
    written = statements.count(
        "write_outcomes",
        {
            "environment": scope.environment_id,
            "job": job.pk,
            "now": now,
            "positions": [member.position for member in window.members],
            "first": min(member.position for member in window.members),
            "last": max(member.position for member in window.members),
            "accounts": [int(each.account) for each in decided],
            "ranks": [int(balances.rank_of(each.account, retrying=each.next_at is not None)) for each in decided],
            "codes": [each.code for each in decided],
            "details": [each.detail for each in decided],
            "next": [each.next_at for each in decided],
        },
    )
    assert written == len(window.members), "a window in flight belongs to its lease alone"
    for account, count in Counter(each.account for each in decided).items():
        changes.move(f"c{window.lease.number}:p{window.last}:{account.ledger}", Account.IN_FLIGHT, account, count)
        changes.outcomes[account] += count
    changes.retrying += sum(each.next_at is not None for each in decided)
    reached = [
        member.person_id
        for member, each in zip(window.members, decided, strict=True)
        if each.account in (Account.ACCEPTED, Account.UNCERTAIN)
    ]
    if job.channel == "email":
        _note(changes, window, decided)
    contacts.record(scope=scope, subject=job.subject, person_ids=reached, at=now)


def _note(changes: Changes, window: Window, decided: Sequence["_Decided"]) -> None:
    """The final ones, by domain. One that waits for another attempt is counted when that has ended."""
    for member, each in zip(window.members, decided, strict=True):
        if each.next_at is None:
            note = changes.notes.of(member.address)
            note.attempted += 1
            note.refused += each.account in (Account.REJECTED, Account.FAILED)


def suppress_hard_bounces(
    *, scope: Scope, job: SendJob, window: Window, outcomes: Sequence[Outcome], now: datetime
) -> None:
    """Mailboxes that the other side says do not exist are not tried again by anybody. After `flush`: it is audited."""
    addresses = {
        member.address: outcome.detail
        for member, outcome in zip(window.members, outcomes, strict=True)
        if outcome.kind == "rejected" and outcome.code in HARD_CODES
    }
    if addresses:
        consent.suppress_automatically(
            scope=scope,
            addresses=addresses,
            channel=job.channel,
            reason=Suppression.Reason.HARD_BOUNCE,
            source=f"{job.public_id}:{window.lease.number}:{window.last}",
            occurred_at=now,
            now=now,
        )


@dataclass(frozen=True, slots=True)
class _Decided:
    account: Account
    code: str
    detail: str
    next_at: datetime | None = None


def _decide(member: Member, outcome: Outcome, now: datetime) -> _Decided:
    """The account of an outcome; a deferred one gets its next attempt, or fails when the ladder has ended."""
    account = Account[outcome.kind.upper()]
    if account is not Account.DEFERRED:
        return _Decided(account, outcome.code, outcome.detail)
    next_at = retries.next_attempt(attempts=member.attempts, now=now)
    if next_at is None:
        return _Decided(Account.FAILED, outcome.code, f"Gave up after {member.attempts} attempts. {outcome.detail}")
    return _Decided(account, outcome.code, outcome.detail, next_at)


def _whose_turn(
    gate: Turnstile | None, found: Sequence[Sequence[Any]], source: Account, key: str, changes: Changes
) -> Sequence[Sequence[Any]]:
    """The rows without those people whose turn it is not; what becomes of them is in `changes`."""
    if gate is None:
        return found
    turns = gate.sort([row for row in found if row[4] == 0])
    waiting, skipped = len(turns.waiting), len(turns.skipped)
    if source is not Account.DEFERRED:
        changes.move(f"{key}:waiting", source, Account.DEFERRED, waiting, "waiting")
    changes.retrying += waiting
    changes.move(f"{key}:{SKIPPED}", source, Account.EXCLUDED, skipped, SKIPPED)
    changes.late.update({SKIPPED: skipped} if skipped else {})
    changes.outcomes[Account.EXCLUDED] += skipped
    return [row for row in found if row[4] or row[0] in turns.go]


def _intend(changes: Changes, source: Account, window: Window, found: Sequence[Sequence[Any]]) -> None:
    key = f"c{window.lease.number}:p{window.last}"
    changes.move(f"{key}:in_flight", source, Account.IN_FLIGHT, len(window.members))
    for number, count in Counter(row[4] for row in found if row[4]).items():
        reason = f"late:{REASONS[number]}"
        changes.move(f"{key}:{reason}", source, Account.EXCLUDED, count, reason)
        changes.late[reason] += count
        changes.outcomes[Account.EXCLUDED] += count


def _members(found: Sequence[Sequence[Any]]) -> tuple[Member, ...]:
    return tuple(
        Member(position, person_id, address, json.loads(fields) if fields else {}, attempts)
        for position, person_id, address, fields, reason, attempts, *_ in found
        if reason == 0
    )


def paced_for(*, job_id: int, now: datetime) -> timedelta:
    """How long the rate limit is still used up."""
    found = statements.rows("paced_until", {"job": job_id})
    until = found[0][0] if found else None
    return max(until - now, timedelta()) if until else timedelta()


def _eligibility(scope: Scope, job: SendJob) -> dict[str, Any]:
    return {
        "environment": scope.environment_id,
        "job": job.pk,
        "month": job.snapshot_month,
        "snapshot": job.snapshot_id,
        "channel": job.channel,
        "channel_bit": CHANNEL_BITS[job.channel],
        "topic": job.topic_id,
        "reasons": [f"late:{name}" for name in _REASON_NAMES],
    }


def _of(lease: Lease) -> dict[str, int]:
    return {"job": lease.job_id, "number": lease.number, "fence": lease.fence}
