"""Console pages of layouts and snippets: the list, the editor with its live preview, versions, and what holds them."""

from typing import Any, Final

from django import forms
from django.db.models import Count
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.http import require_GET

from campaigns import comparing, part_previews, parts
from campaigns.models import Part
from campaigns.models.part import PART_BODY_LENGTH_MAX
from campaigns.views.campaigns import version_of
from campaigns.views.templates import keep_frame
from lamba_campaigns.lib.errors import DomainError, Invalid, NotFound
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url

STARTERS: Final = {
    "snippet": "Questions? Write to [support](mailto:support@example.com).\n",
    "layout": """<!doctype html>
<html>
<head>
<style>
body { font-family: sans-serif; }
p { margin: 0 0 16px; }
.button { background: #1d1c22; color: #ffffff; padding: 12px 20px; border-radius: 8px; text-decoration: none; }
</style>
</head>
<body>
{{ content }}
<p>{{ sender }} · <a href="{{ unsubscribe_url }}">Unsubscribe</a></p>
</body>
</html>
""",
}


class PartForm(forms.Form):
    name = forms.CharField(
        label="Name", max_length=60, help_text="Small letters, digits, - and _. Templates write it; it stays as it is."
    )
    body = forms.CharField(max_length=PART_BODY_LENGTH_MAX, strip=False, widget=forms.Textarea)

    def take(self, refusal: Invalid) -> None:
        for each in refusal.problems:
            self.add_error(each.pointer.removeprefix("#/"), each.detail)


@require_GET
@console_view(get="console.read")
def part_list(request: ConsoleRequest) -> HttpResponseBase:
    kind = _kind(request.GET.get("kind", ""))
    everything = Part.objects.within(request.scope).filter(status="active")
    counts = dict(everything.values_list("kind").annotate(n=Count("pk")).values_list("kind", "n"))
    base = url(request.scope, "part-list")
    rows = everything.filter(kind=kind).annotate(
        held=Count("versions__uses__template_version__template", distinct=True)
    )
    context = {
        "nav": "templates",
        "kind": kind,
        "rows": list(rows.order_by("name")[: parts.ACTIVE_MAX]),
        "tabs": [
            ("Snippets", base, counts.get("snippet", 0), kind == "snippet"),
            ("Layouts", f"{base}?kind=layout", counts.get("layout", 0), kind == "layout"),
        ],
    }
    return page(request, "campaigns/parts.html", context)


@console_view(get="templates.write", post="templates.write")
def part_new(request: ConsoleRequest) -> HttpResponseBase:
    kind = _kind(request.GET.get("kind", ""))
    if request.method != "POST":
        return _editor(request, PartForm(initial={"body": STARTERS[kind]}), kind, None, STARTERS[kind])
    form = PartForm(request.POST)
    body = _body(request)
    if "preview" in request.POST:
        return _result(request, kind, request.POST.get("name", ""), body)
    if not form.is_valid():
        return _editor(request, form, kind, None, body, status=422)
    given: dict[str, Any] = {"kind": kind, "name": form.cleaned_data["name"], "body": body, "now": timezone.now()}
    try:
        made = parts.create(scope=request.scope, actor=request.actor, publish_it="publish" in request.POST, **given)
    except Invalid as refusal:
        form.take(refusal)
        return _editor(request, form, kind, None, body, status=422)
    except DomainError as refusal:
        return _editor(request, form, kind, None, body, problem=refusal, status=refusal.status)
    notify(request, f"{made.name} v1 is published." if made.latest_number else "Draft saved.")
    return HttpResponseRedirect(url(request.scope, "part-detail", made.public_id))


@console_view(get="console.read", post="templates.write")
def part_detail(request: ConsoleRequest, part: str) -> HttpResponseBase:
    """The editor. Its buttons say what they do: preview, save, publish, archive."""
    found = parts.find(scope=request.scope, part_id=part)
    if request.method != "POST":
        body = parts.current(scope=request.scope, part=found)
        return _editor(request, PartForm(initial={"name": found.name, "body": body}), found.kind, found, body)
    body = _body(request)
    if "preview" in request.POST:
        return _result(request, found.kind, found.name, body)
    form = PartForm({"name": found.name, "body": body})
    if not form.is_valid() and "archive" not in request.POST:
        return _editor(request, form, found.kind, found, body, status=422)
    try:
        said = _change(request, found, body)
    except Invalid as refusal:
        form.take(refusal)
        return _editor(request, form, found.kind, found, body, status=422)
    except DomainError as refusal:
        return _editor(request, form, found.kind, found, body, problem=refusal, status=refusal.status)
    notify(request, said)
    if "archive" in request.POST:
        return HttpResponseRedirect(f"{url(request.scope, 'part-list')}?kind={found.kind}")
    return HttpResponseRedirect(url(request.scope, "part-detail", found.public_id))


@require_GET
@console_view(get="console.read")
def part_version(request: ConsoleRequest, part: str, number: int) -> HttpResponseBase:
    """One version beside the one before it."""
    found = parts.find(scope=request.scope, part_id=part)
    rows = {row.number: row for row in parts.versions(scope=request.scope, part=found)}
    if number not in rows:
        raise NotFound(f"{found.name} has no version {number}.")
    before = rows.get(number - 1)
    context = {
        "nav": "templates",
        "part": found,
        "version": rows[number],
        "before": before,
        "parts": comparing.compare_texts({"Text": before.body} if before else {}, {"Text": rows[number].body}),
        "versions": list(rows.values()),
        "number_label": str(number),
        "digest": bytes(rows[number].digest).hex(),
    }
    return page(request, "campaigns/part_version.html", context)


def _change(request: ConsoleRequest, found: Part, body: str) -> str:
    given: dict[str, Any] = {
        "scope": request.scope,
        "actor": request.actor,
        "part_id": found.public_id,
        "version": version_of(request),
        "now": timezone.now(),
    }
    if "archive" in request.POST:
        parts.archive(**given)
        return f"{found.name} is archived."
    if "publish" in request.POST:
        return (
            f"v{parts.publish(body=body, **given).number} is published. Templates take it when they are published next."
        )
    parts.save_draft(body=body, **given)
    return "Draft saved."


def _editor(
    request: ConsoleRequest,
    form: PartForm,
    kind: str,
    part: Part | None,
    body: str,
    *,
    problem: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    shown = part_previews.of(scope=request.scope, kind=kind, name=part.name if part else "", body=body)
    context = {
        "nav": "templates",
        "form": form,
        "kind": kind,
        "part": part,
        "body": body,
        "preview": shown,
        "frame_url": keep_frame(request, shown.html) if request.access.may("people.read") else "",
        "versions": parts.versions(scope=request.scope, part=part)[:8] if part else [],
        "uses": parts.uses(scope=request.scope, part=part) if part else [],
        "next_label": str(part.latest_number + 1 if part else 1),
        "latest_label": str(part.latest_number if part else 0),
        "writes": request.access.may("templates.write") and not (part and part.status == "archived"),
        "problem": problem,
    }
    return page(request, "campaigns/part.html", context, status=status)


def _result(request: ConsoleRequest, kind: str, name: str, body: str) -> HttpResponse:
    """The preview beside the text, while somebody types."""
    request.access.require("people.read")
    shown = part_previews.of(scope=request.scope, kind=kind, name=name, body=body)
    context = {"preview": shown, "frame_url": keep_frame(request, shown.html)}
    return page(request, "campaigns/_part_result.html", context)


def _kind(given: str) -> str:
    return "layout" if given == "layout" else "snippet"


def _body(request: ConsoleRequest) -> str:
    """Browsers send CRLF, JSON does not: one form, so that equal texts have equal digests."""
    return request.POST.get("body", "").replace("\r\n", "\n")
