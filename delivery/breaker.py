"""Stop rules: a job that does harm pauses itself, says why, and goes on only when a person says so.

Rates count final outcomes only: what waits for another attempt is neither good nor bad yet. A rule needs a number of
messages before it speaks, looks at the whole job and at every mailbox domain in it, and warns once before it stops.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.types.json import Jsonb

from audit import chain
from delivery import defaults, statements, stop_limits
from delivery.models import JobState, SendJob
from delivery.stop_limits import Limit
from lamba_campaigns.lib.sql import durable, require_transaction
from projects.access import scope_by_id
from projects.scoping import SYSTEM, Scope
from webhooks import outbox

Level = Literal["warn", "stop"]
JOBS_AT_ONCE_MAX = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """Speaks from `least` messages on, when `cases` of them went wrong and their share passes its limit."""

    code: str
    words: str  # "12 % of … {words}"
    least: int
    cases: int
    domains: bool = True


RULES = (
    Rule("complaint_rate", "were reported as spam", least=500, cases=5),
    Rule("bounce_rate", "bounced", least=200, cases=20),
    Rule("error_rate", "were refused or failed", least=200, cases=20),
    # a killed worker leaves one micro-batch uncertain: that alone must not stop a job
    Rule("uncertain_rate", "may or may not have left", least=5_000, cases=750, domains=False),
)
USUAL = stop_limits.combined()
LEAST = min(rule.least for rule in RULES)


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the messages of a job (`domain` empty) or of one domain in it."""

    domain: str
    attempted: int
    refused: int = 0
    bounced: int = 0
    complained: int = 0
    uncertain: int = 0

    def cases(self, rule: Rule) -> int:
        return {
            "complaint_rate": self.complained,
            "bounce_rate": self.bounced,
            "error_rate": self.refused,
            "uncertain_rate": self.uncertain,
        }[rule.code]


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that speaks."""

    level: Level
    code: str
    domain: str
    cases: int
    attempted: int
    sentence: str


@dataclass(slots=True)
class Note:
    """What one transaction adds to the tallies of one domain."""

    attempted: int = 0
    refused: int = 0
    bounced: int = 0
    complained: int = 0


class Notes(defaultdict[str, Note]):
    """Domain -> what to add. Filled by who writes outcomes or receipts, written once per transaction."""

    def __init__(self) -> None:
        super().__init__(Note)

    def of(self, address: str) -> Note:
        return self[address.rpartition("@")[2].lower()]

    def write(self, *, scope: Scope, job_id: int) -> None:
        require_transaction()
        if self:
            rows = list(self.values())
            columns = {name: [getattr(row, name) for row in rows] for name in Note.__slots__}
            where = {"environment": scope.environment_id, "job": job_id, "domains": list(self)}
            statements.count("add_domains", where | columns)


def judge(tallies: Iterable[Tally], limits: Mapping[str, Limit] = USUAL) -> list[Finding]:
    """What the rules say, the gravest first."""
    found = [
        finding
        for tally in tallies
        for rule in RULES
        if (rule.domains or not tally.domain) and (finding := _apply(rule, limits[rule.code], tally)) is not None
    ]
    order = {rule.code: number for number, rule in enumerate(RULES)}
    return sorted(found, key=lambda each: (each.level != "stop", bool(each.domain), order[each.code]))


def findings(*, scope: Scope, job: SendJob) -> list[Finding]:
    """What the rules say about a job now."""
    where = {"environment": scope.environment_id, "job": job.pk, "least": LEAST}
    limits = stop_limits.combined(defaults.of(scope=scope).stop_limits, job.stop_limits)
    return judge([Tally(*row) for row in statements.rows("tallies", where)], limits)


def check(*, scope: Scope, job: SendJob, now: datetime) -> Finding | None:
    """Pause the job if a rule says stop, write down what rules warn of: audited, published, each once. Called outside
    transactions."""
    found = findings(scope=scope, job=job)
    for each in found:
        if each.level == "warn":
            _warn(scope, job, each, now)
    gravest = next(iter(found), None)
    if gravest is None or gravest.level != "stop":
        return None
    with durable():
        where = {"environment": scope.environment_id, "job": job.pk, "now": now}
        if not statements.count("stop_job", where | {"code": gravest.code, "reason": gravest.sentence[:300]}):
            return None
        chain.record(
            scope=scope,
            actor=SYSTEM,
            action="delivery.auto_paused",
            subject=chain.Subject("job", job.public_id, job.title),
            now=now,
            before={"state": JobState.SENDING.value},
            after={
                "state": JobState.PAUSING.value,
                "rule": gravest.code,
                "domain": gravest.domain,
                "cases": gravest.cases,
                "attempted": gravest.attempted,
            },
            reason=gravest.sentence,
        )
        data = {"job": job.public_id, "subject": job.subject, "reason": gravest.sentence}
        outbox.publish(scope=scope, type="delivery.job_paused", data=data, now=now)
    return gravest


def sweep(*, now: datetime) -> int:
    """Check every job that sends: receipts arrive while no worker looks. How many were stopped."""
    rows = SendJob.objects.across_environments("the sweep serves all").filter(state=JobState.SENDING)
    jobs: Sequence[SendJob] = list(rows.order_by("-pk")[:JOBS_AT_ONCE_MAX])
    return sum(check(scope=scope_by_id(job.environment_id), job=job, now=now) is not None for job in jobs)


def begin_anew(*, scope: Scope, job_id: int) -> None:
    """After an operator's decision to go on: what was counted until now stops the job no more."""
    require_transaction()
    where = {"environment": scope.environment_id, "job": job_id}
    if statements.count("begin_tallies_anew", where):
        statements.count("forget_domains", where)


def _warn(scope: Scope, job: SendJob, found: Finding, now: datetime) -> None:
    """The job shows it from now on, as it was when the limit was passed."""
    shown = {"rule": found.code, "domain": found.domain, "detail": found.sentence, "at": now.isoformat()}
    where = {"environment": scope.environment_id, "job": job.pk, "rule": found.code, "domain": found.domain}
    with durable():
        if not statements.count("warn_of_job", where | {"warning": Jsonb([shown])}):
            return
        chain.record(
            scope=scope,
            actor=SYSTEM,
            action="delivery.warned",
            subject=chain.Subject("job", job.public_id, job.title),
            now=now,
            after={"rule": found.code, "domain": found.domain, "cases": found.cases, "attempted": found.attempted},
            reason=found.sentence,
        )
        data = {"job": job.public_id, "subject": job.subject, "reason": found.sentence}
        outbox.publish(scope=scope, type="delivery.job_warned", data=data, now=now)


def _apply(rule: Rule, limits: Limit, tally: Tally) -> Finding | None:
    cases = tally.cases(rule)
    if tally.attempted < rule.least or cases < rule.cases:
        return None
    share = 100 * cases / tally.attempted
    level: Level | None = "stop" if share >= limits.stop else "warn" if share >= limits.warn else None
    if level is None:
        return None
    whose = f"to {tally.domain} " if tally.domain else ""
    limit = limits.stop if level == "stop" else limits.warn
    told = f"{share:.1f}% of {tally.attempted:,} messages {whose}{rule.words} ({cases:,})"
    sentence = f"{told}; the {level} limit is {stop_limits.said(limit)}."
    return Finding(level, rule.code, tally.domain, cases, tally.attempted, sentence)
