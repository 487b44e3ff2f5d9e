"""The page of differences: who joined and left an audience since a snapshot, or between two, and by which fact."""

from django.http import HttpResponseBase, StreamingHttpResponse
from django.utils import timezone

from audiences import comparing, definitions, snapshot
from audiences.comparing import KINDS, Between, Kind
from audiences.models import Audience, Snapshot
from lamba_campaigns.web.console import ConsoleRequest, console_view, page

PAGE_PEOPLE = 50
SNAPSHOTS_SHOWN_MAX = 20
_LABELS = {"joined": "Joined", "left": "Left", "changed": "All changes"}


@console_view(get="people.read")
def audience_changes(request: ConsoleRequest, audience: str, taken: str) -> HttpResponseBase:
    found, before = _asked(request, audience, taken)
    between, kind = _between(request, found, before), _kind(request)
    given = request.GET.get("after", "0")
    beyond = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0
    listed = comparing.people(between, kind=kind, beyond=beyond, size=PAGE_PEOPLE)
    others = snapshot.latest_of(scope=request.scope, audience=found, limit=SNAPSHOTS_SHOWN_MAX)
    context = {
        "nav": "audiences",
        "audience": found,
        "before": before,
        "after": between.after,
        "kind": kind,
        "tabs": [(each, _LABELS[each]) for each in KINDS],
        "others": snapshot.choices(scope=request.scope, taken=[each for each in others if each.pk != before.pk]),
        "counts": comparing.counts(between),
        "rows": listed.rows,
        "beyond": listed.beyond,
    }
    return page(request, "audiences/audience_changes.html", context)


@console_view(get="people.export")
def audience_changes_csv(request: ConsoleRequest, audience: str, taken: str) -> HttpResponseBase:
    found, before = _asked(request, audience, taken)
    between, kind = _between(request, found, before), _kind(request)
    lines = comparing.export(actor=request.actor, between=between, kind=kind)
    headers = {"Content-Disposition": f'attachment; filename="{before.public_id}-{kind}.csv"'}
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


def _asked(request: ConsoleRequest, audience: str, taken: str) -> tuple[Audience, Snapshot]:
    found = definitions.find(scope=request.scope, audience_id=audience)
    return found, snapshot.of_audience(scope=request.scope, public_id=taken, audience=found)


def _between(request: ConsoleRequest, audience: Audience, before: Snapshot) -> Between:
    other = request.GET.get("with", "")[:40]
    after = snapshot.of_audience(scope=request.scope, public_id=other, audience=audience) if other else None
    return comparing.between(scope=request.scope, before=before, after=after, now=timezone.now())


def _kind(request: ConsoleRequest) -> Kind:
    asked = request.GET.get("show", "")
    return next((kind for kind in KINDS if kind == asked), "joined")
