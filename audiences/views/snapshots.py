"""Pages of a snapshot: it is taken by a button of its audience, and shows everybody who is in it or was left out."""

from typing import Final

from django.http import HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.utils import timezone

from audiences import definitions, snapshot
from audiences.models import Audience, Snapshot
from audiences.reasons import LABELS, NUMBERS, REASONS
from lamba_campaigns.lib import ids
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url

PAGE_PEOPLE: Final = 50
CHANNEL: Final = "email"  # what the live count of the console is about, too


@console_view(post="audiences.write")
def snapshot_take(request: ConsoleRequest, audience: str) -> HttpResponseBase:
    """Freeze who the audience is now. A launch takes its own snapshot; this one is for evidence."""
    found = definitions.find(scope=request.scope, audience_id=audience)
    taken = snapshot.take(
        scope=request.scope,
        actor=request.actor,
        version=definitions.latest(found),
        channel=CHANNEL,
        fields=[],
        purpose=f"console:{ids.ulid()}",
        now=timezone.now(),
    )
    notify(request, f"Took a snapshot of “{found.name}”: {taken.included:,} in.")
    return HttpResponseRedirect(f"{url(request.scope, 'audience-detail', found.public_id)}#snapshots-h")


@console_view(get="people.read")
def snapshot_detail(request: ConsoleRequest, audience: str, taken: str) -> HttpResponseBase:
    found, frozen = _asked(request, audience, taken)
    included, reason = _is_included(request), request.GET.get("reason", "")
    rows = snapshot.members(scope=request.scope, snapshot=frozen, included=included, after=_after(request))
    if reason in NUMBERS:
        rows = rows.filter(reason=NUMBERS[reason])
    listed = list(rows[: PAGE_PEOPLE + 1])
    left_out = snapshot.counts(frozen).excluded
    shown = listed[:PAGE_PEOPLE]
    context = {
        "nav": "audiences",
        "audience": found,
        "taken": frozen,
        "included": included,
        "reason": reason if reason in NUMBERS else "",
        "reasons": [(name, LABELS[name], left_out[name]) for name in NUMBERS if name in left_out],
        "rows": [(row, LABELS.get(REASONS.get(row.reason, ""), "")) for row in shown],
        "beyond": shown[-1].position if len(listed) > PAGE_PEOPLE else 0,
    }
    return page(request, "audiences/snapshot_detail.html", context)


@console_view(get="people.export")
def snapshot_csv(request: ConsoleRequest, audience: str, taken: str) -> HttpResponseBase:
    _, frozen = _asked(request, audience, taken)
    included = _is_included(request)
    lines = snapshot.export(
        scope=request.scope, actor=request.actor, snapshot=frozen, included=included, now=timezone.now()
    )
    name = f"{frozen.public_id}-{'included' if included else 'excluded'}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


def _asked(request: ConsoleRequest, audience: str, taken: str) -> tuple[Audience, Snapshot]:
    found = definitions.find(scope=request.scope, audience_id=audience)
    return found, snapshot.of_audience(scope=request.scope, public_id=taken, audience=found)


def _is_included(request: ConsoleRequest) -> bool:
    return request.GET.get("show") != "excluded" and not request.GET.get("reason")


def _after(request: ConsoleRequest) -> int:
    """A position: above 0 among the included, below among the others."""
    given = request.GET.get("after", "")
    digits = given.removeprefix("-")
    return int(given) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0
