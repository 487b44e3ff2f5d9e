"""What lists and pages show of events and deliveries: one environment's, by keyset, with capped counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from django.db.models import Count, F, Q, QuerySet

from lamba_campaigns.lib.errors import NotFound
from projects.scoping import Scope
from webhooks.models import (
    LEASED_STATE,
    QUEUED_STATES,
    Delivery,
    Endpoint,
    InboundConflict,
    InboundEvent,
    OutboxEvent,
)

COUNT_MAX = 10_000
PAGE_ROWS = 50
ARRIVALS_LOOKED_AT, ARRIVALS_SHOWN = 200, 10

# the tabs of the inbox: name -> the states it shows
INBOX_TABS: dict[str, tuple[str, ...]] = {
    "all": (),
    "waiting": (*QUEUED_STATES, LEASED_STATE),
    "parked": ("parked",),
    "quarantined": ("quarantined",),
    "ignored": ("ignored",),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """One page of a list, newest first; a cursor is None where that side ends."""

    items: Sequence[Any]
    newer: int | None
    older: int | None


def inbox(*, scope: Scope, tab: str = "all", type: str = "", source: str = "", event_id: str = "") -> QuerySet[Any]:
    """Received events, without their bodies. `event_id` finds one by its exact id."""
    found: QuerySet[Any] = InboundEvent.objects.within(scope).defer("raw", "error", "headers")
    if tab == "waiting":  # written as the two indexes of the queue are
        found = found.filter(Q(state__in=QUEUED_STATES) | Q(state=LEASED_STATE))
    elif INBOX_TABS.get(tab):
        found = found.filter(state__in=INBOX_TABS[tab])
    if type:
        found = found.filter(type=type)
    if source:
        found = found.filter(source=source)
    if event_id:
        found = found.filter(event_id=event_id)
    return found


def inbox_counts(*, scope: Scope) -> dict[str, int]:
    """How many events each tab has, counted to COUNT_MAX and one more."""
    return {tab: inbox(scope=scope, tab=tab).only("id")[: COUNT_MAX + 1].count() for tab in INBOX_TABS}


def received(*, scope: Scope, event_id: str) -> InboundEvent:
    found: InboundEvent | None = InboundEvent.objects.within(scope).filter(event_id=event_id).first()
    if found is None:
        raise NotFound("There is no such event here.", next_step="Check the id and the environment.")
    return found


def conflicts(*, scope: Scope, event_id: str) -> list[InboundConflict]:
    """The other bodies that came under this id, oldest first."""
    return list(InboundConflict.objects.within(scope).filter(event_id=event_id).order_by("id")[:PAGE_ROWS])


def arrivals(*, scope: Scope, endpoint: Endpoint) -> list[InboundEvent]:
    """What this endpoint received among the newest events of its environment."""
    newest = InboundEvent.objects.within(scope).defer("raw", "error", "headers").order_by("-id")[:ARRIVALS_LOOKED_AT]
    return [row for row in newest if row.endpoint_id == endpoint.pk][:ARRIVALS_SHOWN]


def sent(*, scope: Scope, type: str = "") -> QuerySet[Any]:
    """Published events with how their deliveries stand."""
    found: QuerySet[Any] = OutboxEvent.objects.within(scope).defer("payload")
    if type:
        found = found.filter(type=type)
    return found


def delivery_states(*, scope: Scope, events: Sequence[OutboxEvent]) -> dict[int, dict[str, int]]:
    """{event pk: {delivery status: how many}} for one page of events."""
    counted = (
        Delivery.objects.within(scope)
        .filter(event_id__in=[event.pk for event in events])
        .values("event_id", "status")
        .annotate(n=Count("pk"))
        .order_by()
    )
    found: dict[int, dict[str, int]] = {}
    for row in counted:
        found.setdefault(row["event_id"], {})[row["status"]] = row["n"]
    return found


def published(*, scope: Scope, event_id: str) -> OutboxEvent:
    found: OutboxEvent | None = OutboxEvent.objects.within(scope).filter(public_id=event_id).first()
    if found is None:
        raise NotFound("There is no such event here.", next_step="Check the id and the environment.")
    return found


def deliveries(*, scope: Scope, event: OutboxEvent | None = None, endpoint: Endpoint | None = None) -> list[Delivery]:
    """The newest deliveries of an event or an endpoint, with their attempts."""
    rows = Delivery.objects.within(scope).select_related("event", "endpoint").defer("event__payload")
    if event is not None:
        rows = rows.filter(event=event)
    if endpoint is not None:
        rows = rows.filter(endpoint=endpoint)
    return list(rows.prefetch_related("attempt_log").order_by("-id")[:PAGE_ROWS])


def endpoints(*, scope: Scope) -> QuerySet[Any]:
    """Endpoints that were not deleted, with how many deliveries wait."""
    rows: QuerySet[Any] = (
        Endpoint.objects.within(scope)
        .exclude(status=Endpoint.Status.RETIRED)
        .annotate(waiting=Count("deliveries", filter=Q(deliveries__status=Delivery.Status.PENDING)))
    )
    return rows


def endpoint(*, scope: Scope, endpoint_id: str) -> Endpoint:
    found: Endpoint | None = endpoints(scope=scope).filter(public_id=endpoint_id).first()
    if found is None:
        raise NotFound("There is no such endpoint.", next_step="Reload the list: it may have been deleted.")
    return found


def tab(words: str, address: str, count: int, current: bool) -> tuple[str, str, int | None, bool]:
    """One of components/tabs.html; beyond COUNT_MAX the words say how many at least."""
    if count > COUNT_MAX:
        return f"{words} {COUNT_MAX:,}+", address, None, current
    return words, address, count, current


class Place(TypedDict):
    """Where a page begins: older than `before`, or newer than `after`."""

    before: int | None
    after: int | None


def place_of(query: Mapping[str, str]) -> Place:
    """The place that a page's query string names; None for what is no key."""
    return Place(before=_key(query.get("before", "")), after=_key(query.get("after", "")))


def _key(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def page_of(
    rows: QuerySet[Any], *, before: int | None = None, after: int | None = None, key: str = "id", size: int = PAGE_ROWS
) -> Rows:
    """One page, newest first: older than `before`, or newer than `after`."""
    if after is not None:
        found = list(reversed(rows.filter(**{f"{key}__gt": after}).order_by(F(key).asc())[: size + 1]))
        more, found = len(found) > size, found[-size:]
        return Rows(found, getattr(found[0], key) if more else None, getattr(found[-1], key) if found else None)
    if before is not None:
        rows = rows.filter(**{f"{key}__lt": before})
    found = list(rows.order_by(F(key).desc())[: size + 1])
    more, found = len(found) > size, found[:size]
    newer = getattr(found[0], key) if before is not None and found else None
    return Rows(found, newer, getattr(found[-1], key) if more else None)
