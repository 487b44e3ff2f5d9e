"""The rules about pace at the moment of a claim, in its transaction: nobody passes whose turn has not come.

What is used up is written under a row lock together with the claim itself. A crash or a restart therefore neither
forgets what left nor lets anybody leave early.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from delivery import statements
from delivery.models import SendJob
from delivery.pacing import calendar, quota
from delivery.pacing.rules import Rules, of_job
from projects.scoping import Scope

WINDOW, WAVE, DOMAIN = "send_window", "wave", "domain_limit"
SKIPPED: Final = "late:window_passed"
BUSY: Final = timedelta(seconds=2)  # another claim looks at the same domain: come back soon
_LONG_AGO: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Waiting:
    position: int
    until: datetime
    code: str
    detail: str


@dataclass(slots=True)
class Sorted:
    """People of one claim: who goes on, who waits for their turn, who is left out."""

    go: set[int] = field(default_factory=set)
    waiting: list[Waiting] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Turnstile:
    scope: Scope
    job: SendJob
    rules: Rules
    now: datetime

    def room(self, size: int) -> int:
        """How many of `size` may be claimed now. 0: the job is held until somebody may."""
        gate = calendar.GO if self.rules.local else calendar.decide(self.rules, "", self.now)
        if gate.kind == "wait":
            assert gate.until is not None
            self._hold(gate.until, WINDOW, "Outside of the hours in which this campaign sends.")
            return 0
        left = self._left_today() if self.rules.waves and gate.kind == "go" else None
        if left == 0:
            reason = f"The {self.rules.waves[self._wave() - 1]:,} people of today's wave were contacted."
            self._hold(calendar.next_midnight(self.rules.time_zone, self.now), WAVE, reason)
            return 0
        return size if left is None else min(size, left)

    def sort(self, rows: Sequence[Sequence[Any]]) -> Sorted:
        """Everybody's turn, written where it is not now. Rows are those of a claim: position, person, address first."""
        found = Sorted()
        turns = self._turns(rows)
        for position, _, _, *_ in rows:
            turn = turns[position]
            if turn.kind == "skip":
                found.skipped.append(position)
            elif turn.kind == "wait" and turn.until is not None:
                found.waiting.append(Waiting(position, turn.until, WINDOW, "Waits for their send window to open."))
        late = {*found.skipped, *(each.position for each in found.waiting)}
        found.waiting += self._by_domain([row for row in rows if row[0] not in late])
        late |= {each.position for each in found.waiting}
        found.go = {row[0] for row in rows} - late
        self._write(found)
        return found

    def _turns(self, rows: Sequence[Sequence[Any]]) -> dict[int, calendar.Turn]:
        if not (self.rules.local and self.rules.clocked):
            turn = calendar.decide(self.rules, "", self.now)
            return {row[0]: turn for row in rows}
        people = [row[1] for row in rows]
        zones: dict[int, str] = dict(
            statements.rows("zones_of", {"environment": self.scope.environment_id, "people": people})
        )
        return {row[0]: calendar.decide(self.rules, zones.get(row[1]) or "", self.now) for row in rows}

    def _by_domain(self, rows: Sequence[Sequence[Any]]) -> list[Waiting]:
        limits = self.rules.limits
        asked = [(row[0], domain) for row in rows if (domain := domain_of(row[2])) in limits]
        if not asked:
            return []
        buckets = self._buckets(sorted({domain for _, domain in asked}))
        waiting = []
        for position, domain in asked:
            bucket, rate = buckets.get(domain), limits[domain]
            if bucket is not None and bucket.take(rate, self.now):
                continue
            until = bucket.queue(rate, self.now) if bucket else self.now + BUSY
            detail = f"{domain} takes {rate:,} a minute from this campaign."
            waiting.append(Waiting(position, until, DOMAIN, detail))
        self._keep(buckets)
        return waiting

    def _buckets(self, domains: list[str]) -> dict[str, quota.Bucket]:
        where = {"environment": self.scope.environment_id, "domains": domains}
        statements.count("open_domain_paces", where | {"past": self.now - _LONG_AGO})
        found = statements.rows("lock_domain_paces", where)
        return {domain: quota.Bucket(paced, queued) for domain, paced, queued in found}

    def _keep(self, buckets: dict[str, quota.Bucket]) -> None:
        values = {
            "environment": self.scope.environment_id,
            "domains": list(buckets),
            "paced": [bucket.paced_until for bucket in buckets.values()],
            "queued": [bucket.queued_until for bucket in buckets.values()],
        }
        statements.count("keep_domain_paces", values)

    def _write(self, found: Sorted) -> None:
        where = {"environment": self.scope.environment_id, "job": self.job.pk}
        if found.waiting:
            values = {
                "positions": [each.position for each in found.waiting],
                "until": [each.until for each in found.waiting],
                "codes": [each.code for each in found.waiting],
                "details": [each.detail for each in found.waiting],
            }
            assert statements.count("park_messages", where | values) == len(found.waiting)
        if found.skipped:
            values = {
                "positions": found.skipped,
                "code": SKIPPED,
                "detail": "Left out: the send window was over when their turn came.",
            }
            assert statements.count("skip_messages", where | values) == len(found.skipped)
        if self.rules.waves and found.go:
            statements.count("take_pace_day", where | {"day": self._today(), "count": len(found.go)})
        late = len(found.waiting) + len(found.skipped)
        if late and self.job.rate_per_minute:
            statements.count("give_pace_back", where | {"count": late, "rate": self.job.rate_per_minute})

    def _left_today(self) -> int | None:
        where = {"environment": self.scope.environment_id, "job": self.job.pk, "day": self._today()}
        statements.count("open_pace_day", where)
        return quota.left_today(self.rules.waves, self._days(), self._today())

    def _wave(self) -> int:
        return quota.wave_of(self._days(), self._today())

    def _days(self) -> Counter[Any]:
        return Counter(dict(statements.rows("pace_days", {"job": self.job.pk})))

    def _today(self) -> Any:
        return self.now.astimezone(ZoneInfo(self.rules.time_zone)).date()

    def _hold(self, until: datetime, code: str, reason: str) -> None:
        statements.count("hold_for_turn", {"job": self.job.pk, "until": until, "code": code, "reason": reason})


def turnstile(*, scope: Scope, job: SendJob, now: datetime) -> Turnstile | None:
    """The turnstile of a job; None for one that sends at any time, to anybody."""
    rules = of_job(job.pacing)
    return Turnstile(scope, job, rules, now) if rules else None


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()
