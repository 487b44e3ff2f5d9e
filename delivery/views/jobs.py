"""Console pages of delivery: messages of a job, and captured mail."""

import email
from email import policy
from email.message import EmailMessage

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from audit.chain import Subject
from audit.refusals import recording
from delivery import captures, jobs, leases, listing
from delivery.accounts import ACCOUNT_NAMES, account_named
from delivery.forms import ResolveForm
from delivery.models import CapturedMail, SendJob
from lamba_campaigns.lib.errors import Invalid
from lamba_campaigns.lib.sql import durable
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url
from lamba_campaigns.web.states import look_of

PAGE_ROWS = 50
TABS_ALWAYS = ("accepted", "delivered", "failed")
FRAME_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'; base-uri 'none'"
)


# --- messages of a job ----------------------------------------------------------------------------------------------
@console_view(get="people.read")
def job_messages(request: ConsoleRequest, job: str) -> HttpResponse:
    found = jobs.get(scope=request.scope, public_id=job)
    name, find = request.GET.get("account", ""), request.GET.get("q", "").strip()[:320]
    account = account_named(name)
    after = _number(request, "after")
    if find:
        rows, following = listing.by_address(scope=request.scope, job=found, address=find), None
    else:
        rows, following = listing.messages(
            scope=request.scope, job=found, account=account, after=after, limit=PAGE_ROWS
        )
    progress = jobs.progress(scope=request.scope, job=found, now=timezone.now())
    context = {
        "nav": "campaigns",
        "job": found,
        "progress": progress,
        "rows": rows,
        "account": name if account is not None else "",
        "q": find,
        "tabs": _tabs(request, found, name if account is not None else "", progress.accounts),
        "keep": [("account", name if account is not None else "")],
        "next": f"?account={name}&after={following}" if following else "",
        "first": f"?account={name}" if after else "",
    }
    return page(request, "delivery/_messages.html" if request.htmx else "delivery/messages.html", context)


@console_view(post="delivery.repair")
def job_resolve(request: ConsoleRequest, job: str) -> HttpResponse:
    found = jobs.get(scope=request.scope, public_id=job)
    form = ResolveForm(request.POST)
    if not form.is_valid():
        raise Invalid("Choose what became of these messages.")
    now, subject = timezone.now(), Subject("job", found.public_id, found.title)
    with (
        recording(scope=request.scope, actor=request.actor, action="delivery.resolved", subject=subject, now=now),
        durable(),
    ):
        count = jobs.resolve_uncertain(
            scope=request.scope,
            actor=request.actor,
            job=found,
            decision=form.cleaned_data["decision"],
            positions=form.cleaned_data["position"] or None,
            reason=form.cleaned_data["reason"],
            now=now,
        )
    notify(request, f"{_messages(count)} resolved.")
    return HttpResponseRedirect(url(request.scope, "job-messages", found.public_id))


@console_view(post="delivery.repair")
def job_retry(request: ConsoleRequest, job: str) -> HttpResponse:
    found = jobs.get(scope=request.scope, public_id=job)
    now, subject = timezone.now(), Subject("job", found.public_id, found.title)
    with (
        recording(scope=request.scope, actor=request.actor, action="delivery.retried", subject=subject, now=now),
        durable(),
    ):
        count = jobs.retry_failed(scope=request.scope, actor=request.actor, job=found, now=now)
    notify(request, f"{_messages(count)} will be tried again.")
    return HttpResponseRedirect(url(request.scope, "job-messages", found.public_id))


@console_view(post="delivery.repair")
def job_wake(request: ConsoleRequest, job: str) -> HttpResponse:
    found = jobs.get(scope=request.scope, public_id=job)
    now, subject = timezone.now(), Subject("job", found.public_id, found.title)
    with (
        recording(scope=request.scope, actor=request.actor, action="delivery.woken", subject=subject, now=now),
        durable(),
    ):
        jobs.wake(scope=request.scope, actor=request.actor, job=found, now=now)
    leases.expire(now=now)
    notify(request, "It tries again within seconds.")
    return HttpResponseRedirect(url(request.scope, "job-messages", found.public_id))


# --- captured mail --------------------------------------------------------------------------------------------------
@console_view(get="people.read")
def captured_list(request: ConsoleRequest) -> HttpResponse:
    find, before = request.GET.get("q", "").strip()[:320], _number(request, "before")
    rows = captures.newest(scope=request.scope, recipient=find, before=before, limit=PAGE_ROWS)
    jobs_of = captures.jobs_of(scope=request.scope, rows=rows[:PAGE_ROWS])
    context = {
        "nav": "captured",
        "rows": [(row, jobs_of.get(row.job_id)) for row in rows[:PAGE_ROWS]],
        "q": find,
        "next": f"?q={find}&before={rows[PAGE_ROWS - 1].pk}" if len(rows) > PAGE_ROWS else "",
        "first": f"?q={find}" if before else "",
    }
    return page(request, "delivery/captured.html", context)


@console_view(get="people.read")
def captured_detail(request: ConsoleRequest, mail: str) -> HttpResponse:
    row = listing.captured(scope=request.scope, public_id=mail)
    message = _parsed(row)
    text = message.get_body(("plain",))
    context = {
        "nav": "captured",
        "mail": row,
        "job": SendJob.objects.within(request.scope).filter(pk=row.job_id).first(),
        "headers": [(name, str(value)) for name, value in message.items()],
        "text": text.get_content() if text is not None else "",
        "source": bytes(row.raw).decode("utf-8", "replace"),
        "size": len(row.raw),
    }
    return page(request, "delivery/captured_detail.html", context)


@console_view(get="people.read")
def captured_body(request: ConsoleRequest, mail: str) -> HttpResponse:
    """The HTML of a captured message alone, for the sandboxed frame: no scripts, nothing loaded from anywhere."""
    html = _parsed(listing.captured(scope=request.scope, public_id=mail)).get_body(("html",))
    response = HttpResponse(html.get_content() if html is not None else "")
    response["Content-Security-Policy"] = FRAME_POLICY
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["Cache-Control"] = "no-store"
    return response


def _tabs(request: ConsoleRequest, job: SendJob, current: str, counts: dict[str, int]) -> list[tuple[object, ...]]:
    """All, then every account that somebody is in (and a few that everybody expects)."""
    base = url(request.scope, "job-messages", job.public_id)
    shown = [name for name in ACCOUNT_NAMES if counts[name] or name in TABS_ALWAYS or name == current]
    return [
        ("All", base, None, not current),
        *((look_of(name).label, f"{base}?account={name}", counts[name], name == current) for name in shown),
    ]


def _parsed(row: CapturedMail) -> EmailMessage:
    return email.message_from_bytes(bytes(row.raw), policy=policy.default)


def _number(request: HttpRequest, name: str) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"
