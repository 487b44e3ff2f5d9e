"""Console pages of events that were set aside: found, rehearsed, processed again. Nothing is processed unrehearsed."""

from collections import Counter
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from lamba_campaigns.lib.errors import Invalid
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url
from projects.scoping import Scope
from webhooks import catalog, dead_letters, reading, redrive, rehearsal
from webhooks.dead_letters import Selection
from webhooks.forms import DeadLetterForm, ReasonForm
from webhooks.models import Endpoint

TABS = {"": "Set aside", "parked": "Parked", "quarantined": "Quarantined", "ignored": "Ignored"}
OUTCOMES = {
    "processed": "Would be processed",
    "retry": "Would wait",
    "parked": "Would park again",
    "quarantined": "Would be quarantined again",
    "ignored": "Would be ignored again",
}


@console_view(get="events.read")
def dead_letters_list(request: ConsoleRequest) -> HttpResponse:
    """Every event that was set aside, by state, type, reason, endpoint and time."""
    form = _form(request.scope, request.GET)
    selection = form.selection()
    found = reading.page_of(
        dead_letters.rows(scope=request.scope, selection=selection), **reading.place_of(request.GET)
    )
    names = dict(form.fields["endpoint"].choices)  # type: ignore[attr-defined]
    publics = {row.pk: row.public_id for row in form.endpoints}
    context = {
        "nav": "events",
        "form": form,
        "filtered": selection != Selection(state=selection.state),
        "chosen": {name: text for name, text in form.data.items() if name in form.fields and text},
        "types": catalog.received(),
        "tabs": _tabs(request.scope, selection.state),
        "found": found,
        "rows": [
            {
                "event": event,
                "reason": dead_letters.REASON_WORDS.get(
                    dead_letters.reason_of(event.error), "Nothing handles its type"
                ),
                "summary": rehearsal.summary(event.error),
                "endpoint": names.get(publics.get(event.endpoint_id, ""), ""),
            }
            for event in found.items
        ],
        "newer": str(found.newer or ""),
        "older": str(found.older or ""),
        "events_max": redrive.REDRIVE_EVENTS_MAX,
    }
    return page(request, "webhooks/dead_letters.html", context)


@console_view(post="webhooks.manage")
def rehearsed(request: ConsoleRequest) -> HttpResponse:
    """What would happen to the ticked events, or to the whole filter by the button `all`; nothing does."""
    ids = request.POST.getlist("event")
    more = False
    if "all" in request.POST:
        limit = redrive.REDRIVE_EVENTS_MAX + 1
        ids = redrive.select(scope=request.scope, selection=_form(request.scope, request.POST).selection(), limit=limit)
        more, ids = len(ids) > redrive.REDRIVE_EVENTS_MAX, ids[: redrive.REDRIVE_EVENTS_MAX]
    if not 0 < len(ids) <= redrive.REDRIVE_EVENTS_MAX:
        raise Invalid("No event was chosen.", next_step="Go back and tick at least one.")
    found = rehearsal.rehearse(scope=request.scope, event_ids=ids, now=timezone.now())
    counts = Counter(each.state for each in found)
    context = {
        "nav": "events",
        "rows": found,
        "more": more,
        "counts": [(state, words, counts[state]) for state, words in OUTCOMES.items() if counts[state]],
        "processed": counts["processed"],
        "settled": len(set(ids)) - len(found),
    }
    return page(request, "webhooks/rehearsed.html", context)


@console_view(post="webhooks.manage")
def redriven(request: ConsoleRequest) -> HttpResponse:
    """The ticked events are processed again."""
    form = ReasonForm(request.POST)
    driven = redrive.redrive(
        scope=request.scope,
        actor=request.actor,
        event_ids=request.POST.getlist("event"),
        reason=form.cleaned_data["reason"] if form.is_valid() else "",
        now=timezone.now(),
    )
    notify(
        request, "The event is processed again." if len(driven) == 1 else f"{len(driven):,} events are processed again."
    )
    return redirect(url(request.scope, "dead-letter-list"))


def _form(scope: Scope, given: Any) -> DeadLetterForm:
    endpoints = Endpoint.objects.within(scope).filter(direction="in").order_by("name", "id")
    return DeadLetterForm(given, endpoints=list(endpoints))


def _tabs(scope: Scope, current: str) -> list[tuple[str, str, int | None, bool]]:
    found = []
    for state, words in TABS.items():
        rows = dead_letters.rows(scope=scope, selection=Selection(state=state))
        found.append(reading.tab(words, f"?state={state}" if state else "?", _count(rows), state == current))
    return found


def _count(rows: Any) -> int:
    return int(rows.only("id")[: reading.COUNT_MAX + 1].count())
