"""Pages of evidence: recipients, closing balances, and the books of every campaign side by side."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from django.http import HttpResponse, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_GET

from audiences.reasons import LABELS
from audit import wording
from audit.models import Book, Break
from campaigns import books, books_reports, books_statements, books_waterfall, drafts, recipients
from campaigns.models import Campaign
from delivery.accounts import ACCOUNT_NAMES
from delivery.models import JobCounters
from lamba_campaigns.lib.errors import NotFound
from lamba_campaigns.web.console import ConsoleRequest, console_view, page, url

RECIPIENTS_PAGE = 50
BOOKS_PAGE = 25
BREAKS_SHOWN = 20
_TABS = (
    ("", "All"),
    ("delivered", "Delivered"),
    ("accepted", "Accepted"),
    ("deferred", "Deferred"),
    ("failed", "Failed"),
    ("bounced", "Bounced"),
    ("uncertain", "Uncertain"),
    ("pending", "Waiting"),
    ("excluded", "Excluded"),
)


_BY = (("", "Accounts"), ("domain", "By domain"), ("wave", "By wave"))


@dataclass(frozen=True, slots=True)
class BookRow:
    """One line of the reconciliation page."""

    campaign: Campaign
    book: Book
    counters: JobCounters
    handed_over: int
    failed: int
    residual: int
    breaks: int


@require_GET
@console_view(get="people.read")
def campaign_recipients(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    found = drafts.find(scope=request.scope, campaign_id=campaign)
    context = {"nav": "campaigns", "campaign": found, **recipients_context(request, found, size=RECIPIENTS_PAGE)}
    context |= _why(request, found, context)
    if getattr(request, "htmx", False):
        return page(request, "campaigns/_recipients.html", context)
    return page(request, "campaigns/recipients.html", context)


@require_GET
@console_view(get="people.export")
def campaign_recipients_csv(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    found = drafts.find(scope=request.scope, campaign_id=campaign)
    return recipients.csv_response(
        scope=request.scope,
        actor=request.actor,
        campaign=found,
        outcome=request.GET.get("outcome", ""),
        now=timezone.now(),
    )


@require_GET
@console_view(get="console.read")
def campaign_books(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    """The closing statement as a page that prints; `?by=domain` or `?by=wave` lays it out in cells."""
    found = drafts.find(scope=request.scope, campaign_id=campaign)
    beside = books.beside(scope=request.scope, campaign=found)
    statement = books.statement(scope=request.scope, campaign=found, found=beside)
    context = {
        "nav": "reconciliation",
        "campaign": found,
        "statement": statement,
        "on_books": True,
        "signed": _signed(beside),
        "reports": books_reports.latest(scope=request.scope, campaign=found),
        "book": beside,
        **books_context(request, found, statement),
        **_waterfall(request, found),
    }
    context["differing"] = sum(each.quantity for each in context["open_breaks"])
    return page(request, "campaigns/books.html", context)


@require_GET
@console_view(get="people.export")
def campaign_books_csv(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    return _download(request, campaign, "csv")


@require_GET
@console_view(get="people.export")
def campaign_books_json(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    return _download(request, campaign, "json")


def _download(request: ConsoleRequest, campaign: str, kind: books_statements.Kind) -> HttpResponseBase:
    found = drafts.find(scope=request.scope, campaign_id=campaign)
    return books_statements.download(
        scope=request.scope, actor=request.actor, campaign=found, kind=kind, now=timezone.now()
    )


def _signed(found: books.Beside) -> dict[str, Any] | None:
    """What the page says of the newest signed statement."""
    if found.note is None or found.key is None or found.signature is None:
        return None
    note = json.loads(bytes(found.note))
    return {
        "number": found.number,
        "at": found.issued_at,
        "key": bytes(found.key).hex(),
        "signature": bytes(found.signature).hex(),
        "adjustment": [(wording.words(name.rpartition(".")[2]), count) for name, count in note["adjustment"].items()],
    }


def _waterfall(request: ConsoleRequest, campaign: Campaign) -> dict[str, Any]:
    """Cells that open their people, only when asked for: they read every message of the job."""
    by = request.GET.get("by", "")
    base = url(request.scope, "campaign-books", campaign.public_id)
    known = [*_BY, ("variant", "By message")] if campaign.split_version_id else _BY
    tabs = [(label, f"{base}?by={key}" if key else base, None, key == by) for key, label in known]
    if not by or by not in dict(known):
        return {"by_tabs": tabs, "by": ""}
    address = url(request.scope, "campaign-books-people", campaign.public_id)
    rows = books_waterfall.rows(scope=request.scope, campaign=campaign, by=cast(books_waterfall.By, by))
    lines = []
    for row in rows:
        cells = []
        for name, count in row.cells.items():
            query = urlencode({**row.where, "cell": name})
            cells.append((count, f"{address}?{query}" if row.where and count else ""))
        lines.append((row, cells))
    return {
        "by_tabs": tabs,
        "by": by,
        "waterfall": lines,
        "columns": [label for label, _ in books_waterfall.CELLS.values()],
    }


@require_GET
@console_view(get="console.read")
def reconciliation(request: ConsoleRequest) -> HttpResponse:
    """Every campaign that ever sent, with its balance and what differs."""
    after = request.GET.get("after", "")
    rows = Book.objects.within(request.scope).order_by("-id")
    if after.isascii() and after.isdigit() and len(after) < 19:
        rows = rows.filter(id__lt=int(after))
    found = list(rows[: BOOKS_PAGE + 1])
    lines = _lines(request, found[:BOOKS_PAGE])
    open_breaks = list(Break.objects.within(request.scope).filter(state="open").order_by("-id")[:BREAKS_SHOWN])
    names = {line.campaign.public_id: line.campaign for line in lines}
    context = {
        "nav": "reconciliation",
        "rows": lines,
        "breaks": [(each, names.get(each.subject)) for each in open_breaks],
        "next": f"?after={found[BOOKS_PAGE - 1].pk}" if len(found) > BOOKS_PAGE else "",
        "previous": url(request.scope, "reconciliation") if after else "",
    }
    return page(request, "campaigns/reconciliation.html", context)


def recipients_context(
    request: ConsoleRequest, campaign: Campaign, *, size: int, accounts: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """One page of recipients, if the caller may see people. `accounts` of its job, where the page knows them."""
    if campaign.job is None or not request.access.may("people.read"):
        return {"people": None}
    outcome = request.GET.get("outcome", "")
    outcome = outcome if outcome in recipients.OUTCOMES else ""
    find = request.GET.get("q", "").strip()[:254]
    after = _position(request.GET.get("after", ""))
    found = recipients.page(scope=request.scope, campaign=campaign, outcome=outcome, after=after, size=size, find=find)
    base = url(request.scope, "campaign-recipients", campaign.public_id)
    held = _held(accounts or _accounts(request, campaign))
    more = f"{base}?outcome={outcome}&after={found.next_after}" if found.next_after is not None else ""
    return {
        "people": found.rows,
        "recipient_tabs": [
            (label, f"{base}?outcome={key}" if key else base, None, key == outcome and not find)
            for key, label in _TABS
            if not key or key == outcome or held.get(key)
        ],
        "outcome": outcome,
        "find": find,
        "next_people": more,
        "first_people": f"{base}?outcome={outcome}" if after is not None else "",
        "recipients_url": base,
        "why_url": f"{base}?{urlencode({'outcome': outcome, 'q': find, 'after': after or ''})}&why=",
    }


def books_context(
    request: ConsoleRequest, campaign: Campaign, statement: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The balance as lines that add up, and the open differences."""
    found = statement or books.statement(scope=request.scope, campaign=campaign)
    base = url(request.scope, "campaign-recipients", campaign.public_id) if request.access.may("people.read") else ""
    outcomes = {"rejected": "failed", "in_flight": "pending"}
    steps = [("Planned", found["planned"], "", "")]
    steps += [
        (LABELS.get(reason, reason), n, "minus", base and f"{base}?outcome=excluded")
        for reason, n in found["excludedByReason"].items()
    ]
    steps.append(("To be contacted", found["planned"] - found["excluded"], "total", base))
    lines = [
        (label, found["accounts"][name], "", base and f"{base}?outcome={outcomes.get(name, name)}")
        for name, label in books.ACCOUNT_LABELS.items()
    ]
    assert campaign.job is not None
    return {
        "statement": found,
        "plan_steps": steps,
        "all_accounts": lines,
        "account_steps": [line for line in lines if line[1]],
        "open_breaks": list(Break.objects.within(request.scope).filter(job_id=campaign.job.pk, state="open"))
        if found["breaks"]
        else [],
    }


def _lines(request: ConsoleRequest, found: list[Book]) -> list[BookRow]:
    subjects = [book.subject for book in found]
    campaigns = {
        row.public_id: row
        for row in Campaign.objects.within(request.scope).filter(public_id__in=subjects).select_related("audience")
    }
    differing: dict[int, int] = {}
    rows = Break.objects.within(request.scope).filter(job_id__in=[book.job_id for book in found], state="open")
    for job_id in rows.values_list("job_id", flat=True):
        differing[job_id] = differing.get(job_id, 0) + 1
    live = {row.job_id: row for row in _counters(request, found)}
    return [
        _line(campaigns[book.subject], book, live[book.job_id], differing.get(book.job_id, 0))
        for book in found
        if book.subject in campaigns and book.job_id in live
    ]


def _counters(request: ConsoleRequest, found: list[Book]) -> list[JobCounters]:
    return list(JobCounters.objects.within(request.scope).filter(job_id__in=[book.job_id for book in found]))


def _line(campaign: Campaign, book: Book, counters: JobCounters, breaks: int) -> BookRow:
    return BookRow(
        campaign=campaign,
        book=book,
        counters=counters,
        handed_over=counters.accepted + counters.delivered + counters.bounced + counters.deferred,
        failed=counters.failed + counters.rejected,
        residual=book.residual or 0,
        breaks=breaks,
    )


def _held(accounts: Mapping[str, int]) -> dict[str, int]:
    """How many people each filter would show, so that empty ones are left out."""
    return {name: sum(accounts[each.ledger] for each in wanted) for name, wanted in recipients.OUTCOMES.items()}


def _accounts(request: ConsoleRequest, campaign: Campaign) -> dict[str, int]:
    row = JobCounters.objects.within(request.scope).get(pk=campaign.job_id)
    return {name: getattr(row, name) for name in ACCOUNT_NAMES}


def _why(request: ConsoleRequest, campaign: Campaign, context: dict[str, Any]) -> dict[str, Any]:
    """The answer for the person that the address asks about, or whom a search meant that the audience never matched."""
    if context["people"] is None:
        return {}
    asked = request.GET.get("why", "").strip()[:254] or ("" if context["people"] else context["find"])
    if not asked:
        return {}
    query = request.GET.copy()
    query.pop("why", None)
    try:
        explanation = recipients.explain(scope=request.scope, campaign=campaign, text=asked)
    except NotFound:
        return {}
    return {"explanation": explanation, "why_closed": f"{context['recipients_url']}?{query.urlencode()}"}


def _position(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None
