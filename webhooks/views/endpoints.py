"""Console pages of endpoints: made, tested, rotated, switched off, deleted. A secret stands in one answer only."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache

from audit.chain import Subject
from audit.refusals import recording
from lamba_campaigns.lib.errors import DomainError, Invalid
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url
from webhooks import catalog, endpoints, reading, replay, rotation, schemes, snippets, versions
from webhooks.forms import InboundForm, NameForm, OutboundForm, ReplayForm, RotateForm
from webhooks.models import Endpoint


@never_cache
@console_view(get="events.read")
def endpoint_list(request: ConsoleRequest) -> HttpResponse:
    return _list_page(request)


@never_cache
@console_view(get="webhooks.manage", post="webhooks.manage")
def new_inbound(request: ConsoleRequest) -> HttpResponse:
    """A POST makes the endpoint and shows its secret on the answer, once."""
    form = InboundForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            with _recording(request, "endpoint.created", "", form.cleaned_data["name"]) as now:
                made, secret = endpoints.create_inbound(
                    scope=request.scope, actor=request.actor, now=now, **form.cleaned_data
                )
        except Invalid as error:
            return _refused(request, form, error, "in")
        return _detail_page(request, made.public_id, status=201, secret=secret)
    return _form_page(request, form, "in")


@never_cache
@console_view(get="webhooks.manage", post="webhooks.manage")
def new_outbound(request: ConsoleRequest) -> HttpResponse:
    """A POST makes the endpoint and shows its secret on the answer, once."""
    form = OutboundForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            with _recording(request, "endpoint.created", "", form.cleaned_data["name"]) as now:
                made, secret = endpoints.create_outbound(
                    scope=request.scope, actor=request.actor, now=now, **form.cleaned_data
                )
        except DomainError as error:
            return _refused(request, form, error, "out")
        return _detail_page(request, made.public_id, status=201, secret=secret)
    return _form_page(request, form, "out")


@never_cache
@console_view(get="events.read")
def endpoint_detail(request: ConsoleRequest, endpoint: str) -> HttpResponse:
    return _detail_page(request, endpoint)


@console_view(get="webhooks.manage", post="webhooks.manage")
def endpoint_edit(request: ConsoleRequest, endpoint: str) -> HttpResponse:
    row = reading.endpoint(scope=request.scope, endpoint_id=endpoint)
    kind = OutboundForm if row.direction == "out" else NameForm
    initial = {
        "name": row.name,
        "url": row.url,
        "event_types": row.event_types,
        "ordered": row.ordered,
        "scheme": row.scheme,
    }
    form = kind(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            with _recording(request, "endpoint.updated", endpoint) as now:
                endpoints.update(
                    scope=request.scope,
                    actor=request.actor,
                    endpoint_id=endpoint,
                    expected_version=_version(request),
                    changes=form.cleaned_data,  # type: ignore[arg-type]
                    now=now,
                )
        except Invalid as error:
            return _refused(request, form, error, row.direction, row)
        notify(request, "Endpoint saved.")
        return redirect(url(request.scope, "endpoint-detail", endpoint))
    return _form_page(request, form, row.direction, row)


@console_view(post="webhooks.manage")
def endpoint_switch(request: ConsoleRequest, endpoint: str) -> HttpResponse:
    """Enable or disable, by the button's value."""
    status = "active" if request.POST.get("to") == "active" else "disabled"
    with _recording(request, "endpoint.updated", endpoint) as now:
        endpoints.update(
            scope=request.scope,
            actor=request.actor,
            endpoint_id=endpoint,
            expected_version=_version(request),
            changes={"status": status},  # type: ignore[typeddict-item]
            now=now,
        )
    notify(request, "Endpoint enabled." if status == "active" else "Endpoint disabled.")
    return redirect(url(request.scope, "endpoint-detail", endpoint))


@console_view(post="webhooks.manage")
def endpoint_delete(request: ConsoleRequest, endpoint: str) -> HttpResponse:
    with _recording(request, "endpoint.deleted", endpoint) as now:
        endpoints.retire(
            scope=request.scope,
            actor=request.actor,
            endpoint_id=endpoint,
            expected_version=_version(request),
            now=now,
        )
    notify(request, "Endpoint deleted.")
    return redirect(url(request.scope, "endpoint-list"))


@never_cache
@console_view(post="webhooks.manage")
def endpoint_rotate(request: ConsoleRequest, endpoint: str) -> HttpResponse:
    """A new secret, shown on this answer, once."""
    form = RotateForm(request.POST)
    if not form.is_valid():
        raise Invalid("Choose how long the old secret stays valid.")
    with _recording(request, "secret.rotated", endpoint) as now:
        _, secret = rotation.rotate(
            scope=request.scope,
            actor=request.actor,
            endpoint_id=endpoint,
            overlap=timedelta(hours=form.cleaned_data["overlap"]),
            secret=form.cleaned_data["secret"],
            now=now,
        )
    return _detail_page(request, endpoint, status=201, secret=secret)


@console_view(post="webhooks.manage")
def endpoint_test(request: ConsoleRequest, endpoint: str) -> HttpResponse:
    with _recording(request, "endpoint.tested", endpoint) as now:
        event_id = endpoints.send_test(scope=request.scope, actor=request.actor, endpoint_id=endpoint, now=now)
    notify(request, "A test event is on its way.")
    return redirect(url(request.scope, "outbox-detail", event_id))


@console_view(post="webhooks.manage")
def secret_end(request: ConsoleRequest, endpoint: str, secret: str) -> HttpResponse:
    """An older secret ends before its time."""
    with _recording(request, "secret.ended", endpoint) as now:
        rotation.end(scope=request.scope, actor=request.actor, endpoint_id=endpoint, secret_id=secret, now=now)
    notify(request, "The old secret ended.")
    return redirect(url(request.scope, "endpoint-detail", endpoint))


@console_view(post="webhooks.manage")
def endpoint_replay(request: ConsoleRequest, endpoint: str) -> HttpResponse:
    """A range of published events, again; the button `count` only says how many they are."""
    form = ReplayForm(request.POST)
    if not form.is_valid():
        raise Invalid("Give a range and a reason.", next_step="Go back, and fill in From and Reason.")
    with _recording(request, "endpoint.replayed", endpoint) as now:
        found = replay.replay(
            scope=request.scope,
            actor=request.actor,
            endpoint_id=endpoint,
            since=form.cleaned_data["since"],
            until=form.cleaned_data["until"] or now,
            reason=form.cleaned_data["reason"],
            dry_run="count" in request.POST,
            now=now,
        )
    some = f"{found.count:,} events" + (" and more" if found.more else "")
    notify(request, f"{some} are in this range." if "count" in request.POST else f"{some} are sent again.")
    return redirect(url(request.scope, "endpoint-detail", endpoint))


@contextmanager
def _recording(request: ConsoleRequest, action: str, endpoint: str, name: str = "") -> Iterator[datetime]:
    """A refused decision about an endpoint is recorded too."""
    now, subject = timezone.now(), Subject("endpoint", endpoint[:31], name)
    with recording(scope=request.scope, actor=request.actor, action=action, subject=subject, now=now):
        yield now


def _list_page(request: ConsoleRequest) -> HttpResponse:
    rows = list(reading.endpoints(scope=request.scope).order_by("id"))
    context = {
        "nav": "events",
        "incoming": [(row, endpoints.receiver_url(row)) for row in rows if row.direction == "in"],
        "outgoing": [row for row in rows if row.direction == "out"],
    }
    return page(request, "webhooks/endpoints.html", context)


def _form_page(
    request: ConsoleRequest, form: Any, direction: str, row: Endpoint | None = None, status: int | None = None
) -> HttpResponse:
    context = {"nav": "events", "form": form, "direction": direction, "endpoint": row}
    return page(
        request,
        "webhooks/endpoint_form.html",
        context,
        status=status or (422 if request.method == "POST" else 200),
    )


def _refused(
    request: ConsoleRequest, form: Any, error: DomainError, direction: str, row: Endpoint | None = None
) -> HttpResponse:
    """The form again, with the domain's refusal at the field it names."""
    names = {
        "#/url": "url",
        "#/name": "name",
        "#/eventTypes": "event_types",
        "#/scheme": "scheme",
        "#/secret": "secret",
    }
    field = next((names[each.pointer] for each in error.problems if each.pointer in names), None)
    form.add_error(field, f"{error.detail} {error.next_step}".strip())
    return _form_page(request, form, direction, row, status=error.status)


def _detail_page(request: ConsoleRequest, endpoint_id: str, *, status: int = 200, secret: str = "") -> HttpResponse:
    now = timezone.now()
    row = reading.endpoint(scope=request.scope, endpoint_id=endpoint_id)
    outgoing = row.direction == Endpoint.Direction.OUT
    context = {
        "nav": "events",
        "endpoint": row,
        "outgoing": outgoing,
        "address": row.url or endpoints.receiver_url(row),
        "secret": secret,
        "secrets": rotation.live(endpoint=row, now=now),
        "scheme": schemes.find(row.scheme),
        "rotate_form": RotateForm(),
        "replay_form": ReplayForm(),
        "deliveries": reading.deliveries(scope=request.scope, endpoint=row) if outgoing else [],
        "arrivals": [] if outgoing else reading.arrivals(scope=request.scope, endpoint=row),
        "snippets": _snippets(outgoing),
        "every_type": len(catalog.public()),
        "several_versions": len(versions.VERSIONS) > 1,
    }
    return page(request, "webhooks/endpoint.html", context, status=status)


def _snippets(outgoing: bool) -> list[tuple[str, str, str]]:
    """(title, language, text)"""
    if outgoing:
        return [
            ("Verify in Python", "python", snippets.text("verify_python")),
            ("Verify in Node", "node", snippets.text("verify_node")),
        ]
    return [("Send a signed event from Python", "python", snippets.text("send_python"))]


def _version(request: ConsoleRequest) -> int:
    text = request.POST.get("version", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid("The form is incomplete.", next_step="Reload the page and try again.")
    return int(text)
