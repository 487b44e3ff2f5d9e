"""Pages of what differs: a difference with its people, the people of a cell, a report held against the books."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone

from audit import reconciliation
from audit.models import Break
from audit.reconciliation import NO_JOB, TYPES
from campaigns import books_reports, books_waterfall, drafts
from campaigns.books import ACCOUNT_LABELS
from campaigns.models import Campaign
from lamba_campaigns.lib.errors import DomainError, FieldProblem, Invalid, NotFound
from lamba_campaigns.lib.sql import durable
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url

PEOPLE_PAGE = 50
REASON_LENGTH_MAX = 2_000


@console_view(get="console.read")
def break_detail(request: ConsoleRequest, difference: str) -> HttpResponse:
    return _break_page(request, _difference(request, difference))


@console_view(post="delivery.repair")
def break_assign(request: ConsoleRequest, difference: str) -> HttpResponseBase:
    with durable():
        reconciliation.assign(scope=request.scope, actor=request.actor, break_id=difference, now=timezone.now())
    notify(request, "You look into this difference now.")
    return HttpResponseRedirect(url(request.scope, "break-detail", difference))


@console_view(post="delivery.repair")
def break_resolve(request: ConsoleRequest, difference: str) -> HttpResponseBase:
    found = _difference(request, difference)
    reason = request.POST.get("reason", "").strip()[:REASON_LENGTH_MAX]
    if not reason:
        detail = "Say why the two sides differ."
        return _break_page(request, found, Invalid(detail, problems=(FieldProblem("#/reason", "blank", detail),)), 422)
    with durable():
        reconciliation.resolve(
            scope=request.scope, actor=request.actor, break_id=difference, reason=reason, now=timezone.now()
        )
    notify(request, "The difference is explained.")
    return HttpResponseRedirect(url(request.scope, "break-detail", difference))


@console_view(get="people.read")
def campaign_books_people(request: ConsoleRequest, campaign: str) -> HttpResponse:
    """Who stands in one cell of the waterfall."""
    found = _with_job(request, campaign)
    where = {name: request.GET.get(name, "") for name in ("cell", "domain", "first", "last")}
    people = books_waterfall.people(
        scope=request.scope,
        campaign=found,
        cell=where["cell"],
        domain=where["domain"][:253].lower(),
        first=_number(where["first"], 1),
        last=_number(where["last"], books_waterfall.POSITION_MAX),
        after=_number(request.GET.get("after", ""), 0),
        size=PEOPLE_PAGE + 1,
    )
    label = books_waterfall.CELLS[where["cell"]][0] if where["cell"] in books_waterfall.CELLS else "Everybody"
    part = where["domain"] or (f"{where['first']} to {where['last']}" if where["first"] else "")
    context = {"nav": "reconciliation", "campaign": found, "title": f"{label}, {part}" if part else label}
    return page(request, "campaigns/books_people.html", context | _people(people, where))


@console_view(post="delivery.repair")
def campaign_report(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    """A provider's CSV. What differs shows at the next reconciliation, within a minute."""
    found = _with_job(request, campaign)
    file = request.FILES.get("file")
    if file is None or (file.size or 0) > books_reports.CSV_BYTES_MAX:
        raise Invalid("Choose a CSV file of at most 64 MB.")
    text = file.read().decode("utf-8-sig", errors="replace")
    report = books_reports.import_csv(
        scope=request.scope, actor=request.actor, campaign=found, text=text, now=timezone.now()
    )
    notify(request, f"{sum(report.counts.values()):,} messages are held against the books within a minute.")
    return HttpResponseRedirect(url(request.scope, "campaign-books", campaign))


def _break_page(
    request: ConsoleRequest, found: Break, problem: DomainError | None = None, status: int = 200
) -> HttpResponse:
    campaign = Campaign.objects.within(request.scope).filter(public_id=found.subject).select_related("topic", "job")
    owner = campaign.first() if found.job_id != NO_JOB else None
    context: dict[str, Any] = {"people": []}
    if owner is not None and owner.job is not None and request.access.may("people.read"):
        after = _number(request.GET.get("after", ""), 0)
        people = books_waterfall.people_of_break(
            scope=request.scope,
            campaign=owner,
            difference=found,
            after=after,
            size=PEOPLE_PAGE + 1,
            now=timezone.now(),
        )
        context = _people(people, {})
    context |= {"nav": "reconciliation", "difference": found, "campaign": owner, "problem": problem}
    return page(request, "campaigns/break.html", context | {"meaning": TYPES.get(found.type, "")}, status)


def _people(people: list[books_waterfall.Person], where: dict[str, str]) -> dict[str, Any]:
    more = len(people) > PEOPLE_PAGE
    shown = people[:PEOPLE_PAGE]
    kept = {name: value for name, value in where.items() if value}
    return {
        "people": [(each, ACCOUNT_LABELS.get(each.account, "Left out")) for each in shown],
        "next": f"?{urlencode({**kept, 'after': shown[-1].position})}" if more else "",
    }


def _difference(request: ConsoleRequest, difference: str) -> Break:
    found: Break | None = Break.objects.within(request.scope).filter(public_id=difference).first()
    if found is None:
        raise NotFound("There is no such difference.")
    return found


def _with_job(request: ConsoleRequest, campaign: str) -> Campaign:
    found = drafts.find(scope=request.scope, campaign_id=campaign)
    if found.job_id is None:
        raise NotFound(f"{found.name} has no books yet.", next_step="They open when it is launched.")
    return found


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else otherwise
