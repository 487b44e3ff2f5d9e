"""Events that were set aside: which are meant, by what they are, why they lie here, and when they came.

The reason stands in the first words of `error`, as `process` writes them; nothing else is stored for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Q, QuerySet

from projects.scoping import Scope
from webhooks import process
from webhooks.models import Endpoint, InboundEvent

STATES: Final = ("parked", "quarantined", "ignored", "retry")  # may be processed again
DEAD: Final = ("parked", "quarantined")  # those that nothing but a person moves, and that should not be


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an event lies here: its words, and how its `error` begins."""

    label: str
    begins: str


REASONS: Final[Mapping[str, Reason]] = {
    "schema": Reason("Breaks its schema", process.BREACH),
    "unmatched": Reason("Names nothing here", process.UNMATCHED),
    "late": Reason("Waited in vain", process.WAITING),
    "failed": Reason("Its handler failed", process.TRACEBACK),
    "died": Reason("Its worker died", process.DEATH),
    "scope": Reason("Of another scope", process.FOREIGN),
}
OTHER: Final = "unreadable"  # not an envelope at all: every other error
REASON_WORDS: Final = {name: each.label for name, each in REASONS.items()} | {OTHER: "Can't be read"}


@dataclass(frozen=True, slots=True)
class Selection:
    """A range of events that were set aside. An empty `state` means parked and quarantined."""

    state: str = "parked"
    type: str | None = None
    reason: str | None = None
    endpoint: str | None = None  # whe_…
    since: datetime | None = None
    until: datetime | None = None


def rows(*, scope: Scope, selection: Selection) -> QuerySet[Any]:
    """The events of this range, without their bodies."""
    found: QuerySet[Any] = InboundEvent.objects.within(scope).defer("raw", "headers")
    return narrowed(found.filter(state__in=[selection.state] if selection.state else DEAD), scope, selection)


def narrowed(found: QuerySet[Any], scope: Scope, selection: Selection) -> QuerySet[Any]:
    """Those of the given events that this selection means, whatever their state."""
    if selection.type:
        found = found.filter(type=selection.type)
    if selection.reason:
        found = found.filter(_because(selection.reason))
    if selection.endpoint:
        own = Endpoint.objects.within(scope).filter(public_id=selection.endpoint)
        found = found.filter(endpoint_id__in=own.values("pk"))
    if selection.since:
        found = found.filter(received_at__gte=selection.since)
    if selection.until:
        found = found.filter(received_at__lt=selection.until)
    return found


def reason_of(error: str) -> str:
    """The name of the reason that this error stands for; empty when there is none."""
    found = (name for name, each in REASONS.items() if error.startswith(each.begins))
    return next(found, OTHER if error else "")


def _because(reason: str) -> Q:
    if reason in REASONS:
        return Q(error__startswith=REASONS[reason].begins)
    known = Q()
    for each in REASONS.values():
        known |= Q(error__startswith=each.begins)
    return ~known & ~Q(error="")
