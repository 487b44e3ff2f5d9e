"""Console pages of the suppression list: filter, add, lift with a reason, import and export."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.utils import timezone

from delivery import consent, suppression_files
from delivery.consent_forms import CHANNELS, SuppressionFileForm
from delivery.forms import RemoveForm, SuppressionForm
from delivery.models import Suppression
from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.lib.sql import durable
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url

PAGE_ROWS = 50
TABS = {
    "manual": "By hand",
    "hard_bounce": "Bounces",
    "complaint": "Complaints",
    "unsubscribed": "Unsubscribed",
    "imported": "Imported",
}
assert set(TABS) == set(Suppression.Reason.values)


@console_view(get="people.read", post="suppressions.write")
def suppression_list(request: ConsoleRequest) -> HttpResponse:
    form = SuppressionForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and _added(request, form):
        notify(request, "Address suppressed.")
        return HttpResponseRedirect(url(request.scope, "suppression-list"))
    find, before = request.GET.get("q", "").strip()[:320], _number(request, "before")
    wanted = _wanted(request)
    found = Suppression.objects.within(request.scope).filter(**wanted).order_by("-pk")
    if find:
        found = found.filter(address=find.lower())
    if before:
        found = found.filter(pk__lt=before)
    rows = list(found[: PAGE_ROWS + 1])
    kept = "".join(f"&{name}={value}" for name, value in wanted.items())
    context = {
        "nav": "suppressions",
        "form": form,
        "rows": rows[:PAGE_ROWS],
        "q": find,
        "wanted": wanted,
        "kept": kept,
        "keep": list(wanted.items()),
        "tabs": _tabs(request, wanted),
        "channels": CHANNELS,
        "next": f"?q={find}{kept}&before={rows[PAGE_ROWS - 1].pk}" if len(rows) > PAGE_ROWS else "",
        "first": f"?q={find}{kept}" if before else "",
    }
    return page(request, "delivery/suppressions.html", context, status=422 if form.errors else 200)


@console_view(get="people.read", post="suppressions.write")
def suppression_remove(request: ConsoleRequest, suppression: str) -> HttpResponse:
    """Without a reason nothing is lifted: the page asks again."""
    form = RemoveForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        with durable():
            consent.unsuppress(
                scope=request.scope,
                actor=request.actor,
                public_id=suppression,
                reason=form.cleaned_data["reason"],
                how="console",
                now=timezone.now(),
            )
        notify(request, "Address may be contacted again.")
        return HttpResponseRedirect(url(request.scope, "suppression-list"))
    row = consent.suppression(scope=request.scope, public_id=suppression)
    context = {"nav": "suppressions", "row": row, "form": form, "channel": dict(CHANNELS)[row.channel]}
    return page(request, "delivery/suppression_remove.html", context, status=422 if form.errors else 200)


@console_view(get="suppressions.write", post="suppressions.write")
def suppression_import(request: ConsoleRequest) -> HttpResponse:
    """The answer says what was added, what was there, and which lines can't be read."""
    form = SuppressionFileForm(request.POST, request.FILES) if request.method == "POST" else SuppressionFileForm()
    found = _imported(request, form) if request.method == "POST" and form.is_valid() else None
    context = {
        "nav": "suppressions",
        "form": form,
        "found": found,
        "problems": suppression_files.shown(found.problems) if found else (),
        "columns": suppression_files.COLUMNS[:4],
        "reasons": Suppression.Reason.choices,
    }
    return page(request, "delivery/suppression_import.html", context, status=422 if form.errors else 200)


@console_view(get="people.export")
def suppression_csv(request: ConsoleRequest) -> HttpResponseBase:
    now, wanted = timezone.now(), _wanted(request)
    lines = suppression_files.export(
        scope=request.scope,
        actor=request.actor,
        channel=wanted.get("channel", ""),
        reason=wanted.get("reason", ""),
        now=now,
    )
    name = suppression_files.file_name(request.scope, now)
    return StreamingHttpResponse(
        lines, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _imported(request: ConsoleRequest, form: SuppressionFileForm) -> suppression_files.Imported | None:
    upload = form.cleaned_data["file"]
    data = upload.read(suppression_files.FILE_BYTES_MAX + 1)
    try:
        return suppression_files.take_in(
            scope=request.scope, actor=request.actor, data=data, how="console", now=timezone.now()
        )
    except DomainError as refused:
        form.take(refused)
        return None


def _added(request: ConsoleRequest, form: SuppressionForm) -> bool:
    try:
        with durable():
            consent.suppress(
                scope=request.scope, actor=request.actor, how="console", now=timezone.now(), **form.cleaned_data
            )
    except DomainError as refused:
        form.refuse(refused.detail)
        return False
    return True


def _wanted(request: HttpRequest) -> dict[str, str]:
    """The filters that name something."""
    known = {"reason": set(Suppression.Reason.values), "channel": {name for name, _ in CHANNELS}}
    given = {name: request.GET.get(name, "") for name in known}
    return {name: value for name, value in given.items() if value in known[name]}


def _tabs(request: ConsoleRequest, wanted: dict[str, str]) -> list[tuple[str, str, None, bool]]:
    base, channel = url(request.scope, "suppression-list"), wanted.get("channel")
    kept = f"&channel={channel}" if channel else ""
    shown = [("All", f"{base}?{kept.removeprefix('&')}" if kept else base, None, "reason" not in wanted)]
    return shown + [
        (label, f"{base}?reason={value}{kept}", None, wanted.get("reason") == value) for value, label in TABS.items()
    ]


def _number(request: HttpRequest, name: str) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
