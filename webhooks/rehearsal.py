"""What processing these events again would do, tried for real in a transaction that is rolled back.

Nothing stays and nothing leaves: effects, audit entries, published news and doorbells go with the rollback.
"""

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from lamba_campaigns.lib import sql
from projects.scoping import Scope
from webhooks import dead_letters, process, registry
from webhooks.models import InboundEvent
from webhooks.process import Claim, Verdict
from webhooks.registry import NotYet, Unmatched

ERROR_LENGTH_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would become of one event. `state` is one of its states; `error` says why it would not be processed."""

    event_id: str
    type: str
    state: str
    error: str
    received_at: datetime


def rehearse(*, scope: Scope, event_ids: Sequence[str], now: datetime) -> list[Foreseen]:
    """Each of these events that may be processed again, in the order of arrival, with what would become of it.

    The environment's queue stands still meanwhile, so the caller bounds the number of events.
    """
    with sql.durable():
        sql.rows("webhooks", "take_turn", {"environment_id": scope.environment_id})
        stored = InboundEvent.objects.within(scope).filter(event_id__in=event_ids, state__in=dead_letters.STATES)
        claims = process.claims_of(list(stored.order_by("id")))
        verdicts = list(_tried(scope, [process.judge(scope, each) for each in claims], now))
        transaction.set_rollback(True)
    return [_foreseen(each) for each in verdicts]


def _tried(scope: Scope, verdicts: Sequence[Verdict], now: datetime) -> Iterator[Verdict]:
    """All in one savepoint; when that fails, each half in its own, as the queue does it."""
    try:
        with transaction.atomic():
            for handler, events in registry.calls([event for each in verdicts for event in each.events]):
                handler(scope, events, now)
    except Exception as problem:  # whatever a handler raises is what the rehearsal is about
        if len(verdicts) > 1:
            middle = len(verdicts) // 2
            yield from _tried(scope, verdicts[:middle], now)
            yield from _tried(scope, verdicts[middle:], now)
        else:
            yield from (_refused(each.claim, each, problem) for each in verdicts)
    else:
        yield from verdicts


def _refused(claim: Claim, verdict: Verdict, problem: Exception) -> Verdict:
    if isinstance(problem, Unmatched):
        state, error = process.State.PARKED, f"{process.UNMATCHED}{problem}"
    elif isinstance(problem, NotYet):
        state, error = process.State.RETRY, f"{process.WAITING}{problem}"
    else:
        state, error = process.State.PARKED, "".join(traceback.format_exception(problem))
    return Verdict(claim, state, error, verdict.type)


def _foreseen(verdict: Verdict) -> Foreseen:
    claim = verdict.claim
    error = summary(verdict.error)
    return Foreseen(claim.event_id, verdict.type or "", str(verdict.state), error, claim.received_at)


def summary(error: str) -> str:
    """The line that says it: of a traceback the last one, else all of it."""
    text = error.strip()
    return (text.splitlines()[-1] if text.startswith(process.TRACEBACK) else text)[:ERROR_LENGTH_MAX]
