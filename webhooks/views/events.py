"""Console pages of events: what came in, what went out. The pages of endpoints stand in `endpoint_pages`."""

import json
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from lamba_campaigns.lib.canonical import strict_loads
from lamba_campaigns.lib.errors import Invalid
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url
from lamba_campaigns.web.states import look_of
from projects.scoping import Scope
from webhooks import breaches, catalog, dead_letters, reading, redrive, rehearsal, resend
from webhooks.forms import ReasonForm
from webhooks.models import Delivery, Endpoint, InboundEvent

TAB_WORDS = {
    "all": "All",
    "waiting": "Waiting",
    "parked": "Parked",
    "quarantined": "Quarantined",
    "ignored": "Ignored",
}
BODY_CHARACTERS_MAX = 100_000


# --- received -------------------------------------------------------------------------------------------------------
@console_view(get="events.read")
def inbox(request: ConsoleRequest) -> HttpResponse:
    """Received events: tabs by state, a filter by type, one by its id."""
    tab = request.GET.get("tab", "all")
    tab = tab if tab in TAB_WORDS else "all"
    kind, event_id = request.GET.get("type", "")[:120], request.GET.get("q", "").strip()[:128]
    rows = reading.inbox(scope=request.scope, tab=tab, type=kind, event_id=event_id)
    counts = reading.inbox_counts(scope=request.scope)
    found = reading.page_of(rows, **reading.place_of(request.GET))
    context = {
        "nav": "events",
        "found": found,
        "tab": tab,
        "tabs": [
            reading.tab(words, "?" if name == "all" else f"?tab={name}", counts[name], name == tab)
            for name, words in TAB_WORDS.items()
        ],
        "total": counts["all"],
        "type": kind,
        "q": event_id,
        "types": catalog.received(),
        **_pages(found),
    }
    return page(request, "webhooks/inbox.html", context)


@console_view(get="events.read")
def received(request: ConsoleRequest, event: str) -> HttpResponse:
    """One received event: its body, its schema, its tries, the other bodies under its id."""
    row = reading.received(scope=request.scope, event_id=event)
    headline = (rehearsal.summary(row.error).splitlines() or [""])[0]
    context = {
        "nav": "events",
        "event": row,
        "title": row.type or "Event without a type",
        "endpoint": _endpoint_of(request.scope, row),
        "body": _shown(bytes(row.raw)),
        "size": len(row.raw),
        "sha256": bytes(row.sha256).hex(),
        "summary": headline,
        "details": row.error if row.error.strip() != headline else "",
        "check": breaches.check(row),
        "kind": catalog.find(row.type or ""),
        "others": [
            {"at": each.received_at, "sha256": bytes(each.sha256).hex(), "body": _shown(bytes(each.raw))}
            for each in reading.conflicts(scope=request.scope, event_id=event)
        ],
        "redrivable": row.state in dead_letters.STATES,
    }
    return page(request, "webhooks/received.html", context)


@console_view(post="webhooks.manage")
def redrive_one(request: ConsoleRequest, event: str) -> HttpResponse:
    redrive.redrive(
        scope=request.scope, actor=request.actor, event_ids=[event], reason=_reason(request), now=timezone.now()
    )
    notify(request, "The event is processed again.")
    return redirect(url(request.scope, "event-detail", event))


# --- sent -----------------------------------------------------------------------------------------------------------
@console_view(get="events.read")
def outbox(request: ConsoleRequest) -> HttpResponse:
    """Published events and how their deliveries stand."""
    kind = request.GET.get("type", "")[:120]
    rows = reading.sent(scope=request.scope, type=kind)
    found = reading.page_of(rows, **reading.place_of(request.GET), key="sequence")
    states = reading.delivery_states(scope=request.scope, events=found.items)
    context = {
        "nav": "events",
        "rows": [{"event": event, "states": _delivery_words(states.get(event.pk, {}))} for event in found.items],
        "found": found,
        "type": kind,
        "types": [each.name for each in catalog.public()],
        "has_endpoints": reading.endpoints(scope=request.scope).filter(direction="out").exists(),
        **_pages(found),
    }
    return page(request, "webhooks/outbox.html", context)


@console_view(get="events.read")
def published(request: ConsoleRequest, event: str) -> HttpResponse:
    """One published event: its payload and every attempt to deliver it."""
    row = reading.published(scope=request.scope, event_id=event)
    deliveries = reading.deliveries(scope=request.scope, event=row)
    context = {
        "nav": "events",
        "event": row,
        "kind": catalog.find(row.type),
        "payload": _shown(bytes(row.payload)),
        "deliveries": [
            {
                "row": each,
                "log": sorted(each.attempt_log.all(), key=lambda attempt: -attempt.pk),
                "again": each.status != Delivery.Status.PENDING and each.endpoint.status == Endpoint.Status.ACTIVE,
            }
            for each in deliveries
        ],
    }
    return page(request, "webhooks/published.html", context)


@console_view(post="webhooks.manage")
def resend_one(request: ConsoleRequest, event: str, delivery: str) -> HttpResponse:
    resend.resend(
        scope=request.scope,
        actor=request.actor,
        delivery_ids=[delivery],
        reason=_reason(request),
        now=timezone.now(),
    )
    notify(request, "The event is sent again.")
    return redirect(url(request.scope, "outbox-detail", event))


# --- shared ---------------------------------------------------------------------------------------------------------
def _delivery_words(states: dict[str, int]) -> list[tuple[str, str]]:
    """[(state, what its badge says)]: the word, and how many where there are several."""
    words = {state: look_of(state).label for state in states}
    return [(state, words[state] if n == 1 else f"{words[state]} {n:,}") for state, n in sorted(states.items())]


def _pages(found: reading.Rows) -> dict[str, str]:
    """Query strings of the neighbours, without the filter: the template adds it."""
    return {
        "newer": str(found.newer or ""),
        "older": str(found.older or ""),
    }


def _reason(request: ConsoleRequest) -> str:
    form = ReasonForm(request.POST)
    if not form.is_valid():
        raise Invalid("Give a reason; it is kept in the audit trail.", next_step="Go back and say why.")
    return str(form.cleaned_data["reason"])


def _endpoint_of(scope: Scope, row: InboundEvent) -> Endpoint | None:
    found: Endpoint | None = Endpoint.objects.within(scope).filter(pk=row.endpoint_id).first()
    return found


def _shown(raw: bytes) -> str:
    """A body for people: indented when it is JSON, else as text."""
    try:
        return _written(strict_loads(raw))
    except ValueError:
        return raw[:BODY_CHARACTERS_MAX].decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _written(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)[:BODY_CHARACTERS_MAX]
