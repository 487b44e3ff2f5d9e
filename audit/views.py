"""The audit page: who, what, which object, before and after, from where; its CSV, and a verification on demand."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone

from audit import export, timeline, trail, verification
from audit.export import download
from audit.forms import TrailForm
from audit.models import AuditEntry, Checkpoint
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url, zone_of
from lamba_campaigns.web.rate import require_rate
from projects.models import ApiKey, Member
from projects.scoping import Scope

PAGE_ENTRIES = 40
ACTORS_MAX = 100
VERIFICATION_RATE = "10/minute"  # per environment


@console_view(get="audit.read")
def audit_trail(request: ConsoleRequest) -> HttpResponse:
    form = TrailForm(request.GET, actors=actors(request.scope))
    wanted = form.wanted(zone_of(request))
    rows, older, newer = _page_of(trail.entries(scope=request.scope, wanted=wanted), request)
    newest = Checkpoint.objects.filter(environment_id=request.scope.environment_id).order_by("-pk").first()
    context = {
        "nav": "audit",
        "form": form,
        "wanted": wanted,
        "filtered": wanted.filters,
        "lines": timeline.lines(request.scope, rows),
        "subject_name": timeline.names(request.scope, [wanted.subject]).get(wanted.subject, wanted.subject),
        "tabs": _tabs(request, wanted),
        "older": older,
        "newer": newer,
        "checkpoint": newest,
        "export_query": request.GET.urlencode(),
    }
    return page(request, "audit/trail.html", context)


@console_view(get="audit.read")
def audit_csv(request: ConsoleRequest) -> HttpResponseBase:
    now = timezone.now()
    wanted = TrailForm(request.GET, actors=actors(request.scope)).wanted(zone_of(request))
    lines = export.csv_lines(scope=request.scope, actor=request.actor, wanted=wanted, now=now)
    return download(lines, "text/csv", export.file_name(request.scope, now))


@console_view(get="audit.read")
def audit_ndjson(request: ConsoleRequest) -> HttpResponseBase:
    now = timezone.now()
    wanted = TrailForm(request.GET, actors=actors(request.scope)).wanted(zone_of(request))
    lines = export.ndjson_lines(scope=request.scope, actor=request.actor, wanted=wanted, now=now)
    return download(lines, "application/x-ndjson", export.file_name(request.scope, now, "ndjson"))


@console_view(get="audit.read")
def audit_verifier(request: ConsoleRequest) -> HttpResponseBase:
    """The script that checks exports and statements anywhere, as it stands here."""
    return download([export.verifier_text()], "text/x-python", "offline_verifier.py")


@console_view(post="audit.read")
def audit_verify(request: ConsoleRequest) -> HttpResponseBase:
    require_rate("verification", str(request.scope.environment_id), rate=VERIFICATION_RATE)
    found = verification.run(scope=request.scope, actor=request.actor, ledger=True, now=timezone.now())
    if not found.ok:
        context = {"nav": "audit", "found": found, "flaw": found.chain.flaw or (found.ledger and found.ledger.flaw)}
        return page(request, "audit/broken.html", context)
    assert found.ledger is not None
    notify(request, f"{found.chain.entries:,} entries and {found.ledger.postings:,} postings: nothing was changed.")
    return HttpResponseRedirect(url(request.scope, "audit-trail"))


def actors(scope: Scope) -> list[tuple[str, str]]:
    """Whom the filter offers: members, keys of this environment, and the system itself."""
    members = Member.objects.filter(workspace_id=scope.workspace_id).select_related("user")[:ACTORS_MAX]
    people = sorted((f"usr_{row.user_id}", row.user.get_full_name() or row.user.get_username()) for row in members)
    keys = ApiKey.objects.within(scope).order_by("-pk").values_list("public_id", "name")[:ACTORS_MAX]
    return [
        *sorted(people, key=lambda pair: pair[1]),
        *((key, f"{name} (key)") for key, name in keys),
        ("system", "System"),
    ]


def _page_of(rows: Any, request: ConsoleRequest) -> tuple[list[AuditEntry], str, str]:
    """One page by number, newest first, with the addresses of the pages beside it."""
    before, after = _number(request, "before"), _number(request, "after")
    if after is not None:
        found = list(rows.filter(sequence__gt=after).order_by("sequence")[: PAGE_ENTRIES + 1])
        more, found = len(found) > PAGE_ENTRIES, found[:PAGE_ENTRIES][::-1]
        has_newer, has_older = more, True
    else:
        rows = rows if before is None else rows.filter(sequence__lt=before)
        found = list(rows.order_by("-sequence")[: PAGE_ENTRIES + 1])
        more, found = len(found) > PAGE_ENTRIES, found[:PAGE_ENTRIES]
        has_newer, has_older = before is not None, more
    older = _query(request, before=found[-1].sequence) if has_older and found else ""
    newer = _query(request, after=found[0].sequence) if has_newer and found else ""
    return found, older, newer


def _number(request: ConsoleRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _query(request: ConsoleRequest, **changes: object) -> str:
    kept = {name: value for name, value in request.GET.items() if name not in ("before", "after") and value}
    return f"?{urlencode({**kept, **changes})}"


def _tabs(request: ConsoleRequest, wanted: trail.Wanted) -> list[tuple[str, str, None, bool]]:
    address = url(request.scope, "audit-trail")
    return [
        ("This environment", address, None, wanted.reach == "environment"),
        ("Workspace", f"{address}?reach=workspace", None, wanted.reach == "workspace"),
    ]
