"""Claim, handle, settle: an event's effects and the word `processed` commit together, or neither does.

That somebody tries is committed before a handler runs (`leases`). A batch that fails is rolled back and split until the
bad event stands alone; it waits or parks, and the others go on.
"""

import logging
import random
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError

from audit import chain
from lamba_campaigns.lib import sql
from projects.access import scope_by_id
from projects.scoping import SYSTEM, Scope
from webhooks import catalog, envelope, leases, registry, schemes
from webhooks.envelope import Malformed
from webhooks.leases import LeaseLost
from webhooks.models import InboundEvent
from webhooks.registry import Event, NotYet, Unmatched

BATCH_EVENTS_MAX, BATCH_BYTES_MAX = 1_000, 8_388_608
BUGS_MAX = 3  # tries of an event whose handler raises
DEATHS_MAX = 3  # tries of an event whose worker dies
TRANSIENT_MAX = 12  # tries while the database refuses
BACKOFF_FIRST_SECONDS, BACKOFF_FACTOR, BACKOFF_SECONDS_MAX = 5, 3, 600
NOT_YET_SECONDS = (1, 2, 5, 10, 20, 40, *[60] * 14)  # 15 minutes and 18 seconds in all
JITTER = 0.2
ERROR_LENGTH_MAX = 20_000
# how the errors of events begin that were set aside: dead_letters finds them by it
BREACH, DEATH, FOREIGN = "Its data breaks the schema", "The worker died", "Of another scope"
TRACEBACK, UNMATCHED, WAITING = "Traceback", "Unmatched: ", "Waiting: "
CONFLICTS_AUDITED_MAX = 100

State = InboundEvent.State
Source = InboundEvent.Source
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A stored event that this worker holds. `attempts` counts the try that begins."""

    id: int
    event_id: str
    source: str
    received_at: datetime
    raw: bytes
    attempts: int
    scheme: str = ""  # of a provider's endpoint whose bodies are no Lamba envelopes
    headers: Mapping[str, str] = field(default_factory=dict)  # kept for its reader
    lease: int | None = None  # of its batch; None: abandoned once, so its row has a lease of its own


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one claim."""

    claim: Claim
    state: str
    error: str = ""
    type: str | None = None
    occurred_at: datetime | None = None
    next_attempt_at: datetime | None = None
    events: tuple[Event, ...] = ()  # what the handlers get: one, or as many as a provider put into one body


def run(*, now: datetime) -> int:
    """One batch of every environment that has due events; how many events were claimed. Call it until it says 0."""
    with sql.durable():
        leases.expire(now=now)
        due = [row[0] for row in sql.rows("webhooks", "due_environments", {"now": now})]
    claimed = sum(_run_environment(environment_id, now) for environment_id in due)
    audit_conflicts(now=now)
    return claimed


def claims_of(rows: Sequence[InboundEvent]) -> list[Claim]:
    """Stored events as a worker would hold them, without a lease."""
    foreign = _foreign_schemes({row.endpoint_id for row in rows if row.source == Source.PROVIDER and row.endpoint_id})
    return [
        Claim(
            id=row.pk,
            event_id=row.event_id,
            source=row.source,
            received_at=row.received_at,
            raw=bytes(row.raw),
            attempts=row.attempts,
            scheme=foreign.get(row.endpoint_id or 0, ""),
            headers=row.headers,
        )
        for row in rows
    ]


def audit_conflicts(*, now: datetime) -> int:
    """An audit entry for every second body under a known id that has none yet."""
    with sql.durable():
        found = sql.rows("webhooks", "unaudited_conflicts", {"limit": CONFLICTS_AUDITED_MAX})
        for _, environment_id, event_id, digest in sorted(found, key=lambda row: row[1]):
            chain.record(
                scope=scope_by_id(environment_id),
                actor=SYSTEM,
                action="webhook.conflict",
                subject=chain.Subject("event", event_id),
                now=now,
                after={"otherSha256": digest},
            )
        if found:
            sql.execute("webhooks", "mark_conflicts_audited", {"ids": [row[0] for row in found], "now": now})
    return len(found)


def _run_environment(environment_id: int, now: datetime) -> int:
    scope = scope_by_id(environment_id)
    claims = _held(
        leases.take(environment_id=environment_id, limit=BATCH_EVENTS_MAX, bytes_max=BATCH_BYTES_MAX, now=now)
    )
    if claims:
        _settle_batch(scope, claims, now)
    abandoned = _held(leases.take_abandoned(environment_id=environment_id, now=now))
    for claim in abandoned:
        if claim.attempts > DEATHS_MAX:
            error = f"{DEATH} {DEATHS_MAX} times while it handled this event."
            _settle(scope, [Verdict(claim, State.PARKED, error)], now)
        else:
            _settle_batch(scope, [claim], now)
    return len(claims) + len(abandoned)


def _held(rows: Sequence[sql.Row]) -> list[Claim]:
    """Claims in the order of arrival."""
    foreign = _foreign_schemes({row[6] for row in rows if row[2] == Source.PROVIDER})
    return [
        Claim(
            id=number,
            event_id=event_id,
            source=source,
            received_at=received_at,
            raw=raw,
            attempts=attempts,
            scheme=foreign.get(endpoint_id, ""),
            headers=headers or {},
            lease=lease,
        )
        for number, event_id, source, received_at, raw, attempts, endpoint_id, headers, lease in sorted(rows)
    ]


def _foreign_schemes(endpoint_ids: Collection[int]) -> dict[int, str]:
    """{endpoint: scheme} of those whose bodies need a reader of `registry`."""
    if not endpoint_ids:
        return {}
    found = sql.rows("webhooks", "schemes_of", {"ids": list(endpoint_ids)})
    return {number: scheme for number, scheme in found if not schemes.find(scheme).envelope}


def _settle_batch(scope: Scope, claims: Sequence[Claim], now: datetime) -> None:
    """All of them in one transaction; when that fails, each half on its own, down to the one that can't."""
    try:
        _handle(scope, claims, now)
    except Exception as problem:  # whatever a handler raises is that event's outcome, and never another event's
        if len(claims) > 1:
            middle = len(claims) // 2
            _settle_batch(scope, claims[:middle], now)
            _settle_batch(scope, claims[middle:], now)
        elif not isinstance(problem, LeaseLost):
            _settle(scope, [_failed(scope, claims[0], problem, now)], now)


def _handle(scope: Scope, claims: Sequence[Claim], now: datetime) -> None:
    verdicts = [judge(scope, claim) for claim in claims]
    with sql.durable():
        sql.rows("webhooks", "take_turn", {"environment_id": scope.environment_id})
        for handler, events in registry.calls([event for each in verdicts for event in each.events]):
            handler(scope, events, now)
        _write(scope, verdicts, now)


def _settle(scope: Scope, verdicts: Sequence[Verdict], now: datetime) -> None:
    try:
        with sql.durable():
            _write(scope, verdicts, now)
    except LeaseLost:
        _log.warning("Another worker took over event %s", verdicts[0].claim.event_id)


def judge(scope: Scope, claim: Claim) -> Verdict:
    """What a claim is, before any handler sees it."""
    if claim.scheme:
        return _judge_foreign(claim)
    try:
        found = envelope.read(claim.raw)
    except Malformed as problem:
        return Verdict(claim, State.QUARANTINED, str(problem))
    mismatch = found.mismatch(scope)
    if mismatch:
        return Verdict(
            claim, State.QUARANTINED, f"{FOREIGN}: {mismatch}.", type=found.type, occurred_at=found.occurred_at
        )
    if not registry.is_handled(found.type):
        return Verdict(claim, State.IGNORED, type=found.type, occurred_at=found.occurred_at)
    wrong = _breach(found.type, found.data)
    if wrong:
        return Verdict(claim, State.PARKED, wrong, type=found.type, occurred_at=found.occurred_at)
    event = Event(
        id=claim.event_id,
        type=found.type,
        occurred_at=found.occurred_at,
        received_at=claim.received_at,
        data=found.data,
        source=claim.source,
    )
    return Verdict(claim, State.PROCESSED, events=(event,), type=found.type, occurred_at=found.occurred_at)


def _judge_foreign(claim: Claim) -> Verdict:
    """A provider's own body: its reader says which events of ours are in it. Its endpoint alone says the scope."""
    try:
        readings = registry.read(claim.scheme, claim.headers, claim.raw)
    except ValueError as problem:
        return Verdict(claim, State.QUARANTINED, str(problem))
    if not readings:
        return Verdict(claim, State.IGNORED)
    verdict = Verdict(claim, State.PROCESSED, type=readings[0].type, occurred_at=readings[0].occurred_at)
    wrong = next(filter(None, (_breach(each.type, each.data) for each in readings)), "")
    if wrong:
        return replace(verdict, state=State.PARKED, error=wrong)
    events = tuple(
        Event(
            id=claim.event_id if len(readings) == 1 else f"{claim.event_id}.{number}",
            type=each.type,
            occurred_at=each.occurred_at or claim.received_at,
            received_at=claim.received_at,
            data=each.data,
            source=claim.source,
        )
        for number, each in enumerate(readings, start=1)
    )
    return replace(verdict, events=events)


def _breach(event_type: str, data: Mapping[str, Any]) -> str:
    """Where `data` breaks the schema of its type; empty when it does not."""
    wrong = catalog.problems(event_type, data)
    lines = (f"{each.pointer}: {each.detail}" for each in wrong)
    return "\n".join((f"{BREACH} of {event_type}.", *lines)) if wrong else ""


def _write(scope: Scope, verdicts: Sequence[Verdict], now: datetime) -> None:
    """The verdicts of claims that are held by one lease, or of one that was abandoned."""
    lease = verdicts[0].claim.lease
    if lease is not None:
        leases.let_go(lease=lease, event_ids=[each.claim.id for each in verdicts])
    values = {
        "now": now,
        "leased": lease is not None,
        "ids": [each.claim.id for each in verdicts],
        "attempts": [each.claim.attempts for each in verdicts],
        "states": [str(each.state) for each in verdicts],
        "errors": [_storable(each.error) for each in verdicts],
        "types": [each.type for each in verdicts],
        "occurred_ats": [each.occurred_at for each in verdicts],
        "next_attempt_ats": [each.next_attempt_at for each in verdicts],
    }
    if sql.binary_execute("webhooks", "settle", values) != len(verdicts):
        raise LeaseLost
    for each in verdicts:
        if each.state == State.QUARANTINED:
            chain.record(
                scope=scope,
                actor=SYSTEM,
                action="webhook.quarantined",
                subject=chain.Subject("event", each.claim.event_id, each.type or ""),
                now=now,
                reason=each.error[:500],
            )


def _failed(scope: Scope, claim: Claim, problem: Exception, now: datetime) -> Verdict:
    """Wait or park, by the kind of failure and how often it was tried."""
    known = _known(scope, claim)
    if isinstance(problem, Unmatched):
        error, tries_max, pause = f"{UNMATCHED}{problem}", 0, 0.0
    elif isinstance(problem, NotYet):
        error, tries_max = f"{WAITING}{problem}", len(NOT_YET_SECONDS)
        pause = float(NOT_YET_SECONDS[min(claim.attempts, tries_max) - 1])
    else:
        error = "".join(traceback.format_exception(problem))
        tries_max = TRANSIENT_MAX if isinstance(problem, OperationalError | InterfaceError) else BUGS_MAX
        pause = min(BACKOFF_FIRST_SECONDS * BACKOFF_FACTOR ** (claim.attempts - 1), BACKOFF_SECONDS_MAX)
    if claim.attempts >= tries_max:
        _log.error("Event %s of %s is parked: %s", claim.event_id, scope.path, repr(problem)[:300])
        return replace(known, state=State.PARKED, error=error, events=())
    pause *= 1 + random.uniform(-JITTER, JITTER)  # noqa: S311 - spreads retries, guards nothing
    return replace(known, state=State.RETRY, error=error, next_attempt_at=now + timedelta(seconds=pause), events=())


def _known(scope: Scope, claim: Claim) -> Verdict:
    """Type and time of a failed claim, where its body could be read at all."""
    try:
        return judge(scope, claim)
    except Exception:  # the reader itself failed: that is the failure being written down
        return Verdict(claim, State.RECEIVED)


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[-ERROR_LENGTH_MAX:]
