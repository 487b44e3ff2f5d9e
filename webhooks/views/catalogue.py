"""Console pages of the event catalogue: every type, and for each its sample, its schema and code that receives it."""

import json
from typing import Any

from django.http import HttpResponse

from lamba_campaigns.lib.errors import NotFound
from lamba_campaigns.web.console import ConsoleRequest, console_view, page
from webhooks import catalog, snippets
from webhooks.catalog import EventType

LAMBA, PROVIDERS, OWN = "From Lamba", "Receipts of mail providers", "Published here"
LANGUAGES = (("python", "Python"), ("node", "Node"))


@console_view(get="console.read")
def event_types(request: ConsoleRequest) -> HttpResponse:
    groups: dict[str, list[EventType]] = {LAMBA: [], PROVIDERS: [], OWN: []}
    for each in catalog.every():
        if each.audience == "public":
            groups[_group(each)].append(each)
    return page(request, "webhooks/catalogue.html", {"nav": "events", "groups": groups.items()})


@console_view(get="console.read")
def event_type(request: ConsoleRequest, type: str) -> HttpResponse:
    kind = catalog.find(type)
    if kind is None or kind.audience != "public":
        raise NotFound("There is no such event type.", next_step="Choose one from the catalogue.")
    context = {
        "nav": "events",
        "kind": kind,
        "group": _group(kind),
        "sample": _written(dict(kind.sample)),
        "schema": _written(dict(kind.schema)),
        "receivers": [(name, label, snippets.receiver(name, kind.name)) for name, label in LANGUAGES],
        "api_version": catalog.API_VERSION,
    }
    return page(request, "webhooks/event_type.html", context)


def _group(kind: EventType) -> str:
    if kind.direction != "in":
        return OWN
    return PROVIDERS if kind.group == "message" else LAMBA


def _written(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
