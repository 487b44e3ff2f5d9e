"""The page of plan and limits, and its three changes: plan, add-on, end of an add-on."""

from collections.abc import Callable
from datetime import datetime

from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone

from audit import refusals
from audit.chain import Subject
from audit.export import download
from lamba_campaigns.lib.errors import DomainError, FieldProblem, Invalid
from lamba_campaigns.lib.sql import durable
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url
from limits import ledger, pages, subscriptions

QUANTITY_DIGITS_MAX = 4
KEY_DIGITS_MAX = 18


@console_view(get="limits.read")
def plan_and_limits(request: ConsoleRequest) -> HttpResponse:
    return _page(request)


@console_view(get="limits.read")
def reservation_list(request: ConsoleRequest) -> HttpResponse:
    given = request.GET.get("before", "")
    known = given.isascii() and given.isdigit() and len(given) <= KEY_DIGITS_MAX
    return page(
        request,
        "limits/reservations.html",
        pages.ledger_page(scope=request.scope, before=int(given) if known else None),
    )


@console_view(get="limits.read")
def reservations_csv(request: ConsoleRequest) -> HttpResponseBase:
    scope, now = request.scope, timezone.now()
    name = f"{scope.workspace_slug}-{scope.project_slug}-{scope.environment}-reservations-{now:%Y-%m-%d}.csv"
    return download(ledger.csv_lines(scope=scope, actor=request.actor, now=now), "text/csv", name)


@console_view(post="billing.manage")
def change_plan(request: ConsoleRequest) -> HttpResponseBase:
    plan = request.POST.get("plan", "")
    scope, actor = request.scope, request.actor

    def change(now: datetime) -> str:
        found = subscriptions.change_plan(scope=scope, actor=actor, plan=plan, now=now)
        if found.before == found.after:
            return "The planned change is taken back."
        if found.effective_from > now:
            return f"The plan stays as it is and changes on {found.effective_from:%-d %B}."
        return "The plan is changed."

    return _decided(request, "plan.changed", change)


@console_view(post="billing.manage")
def add_add_on(request: ConsoleRequest) -> HttpResponseBase:
    sku = request.POST.get("sku", "")
    scope, actor = request.scope, request.actor

    def add(now: datetime) -> str:
        quantity = _quantity(request.POST.get("quantity", "1"))
        subscriptions.add_add_on(scope=scope, actor=actor, sku=sku, quantity=quantity, now=now)
        return "The add-on is active."

    return _decided(request, "addon.changed", add)


@console_view(post="billing.manage")
def end_add_on(request: ConsoleRequest) -> HttpResponseBase:
    sku = request.POST.get("sku", "")
    scope, actor = request.scope, request.actor

    def end(now: datetime) -> str:
        until = subscriptions.end_add_on(scope=scope, actor=actor, sku=sku, now=now)
        return f"The add-on ends on {until:%-d %B}."

    return _decided(request, "addon.changed", end)


def _decided(request: ConsoleRequest, action: str, change: Callable[[datetime], str]) -> HttpResponseBase:
    """Make the change in one transaction and go back to the page; a refusal is audited and shown on the page."""
    now, scope = timezone.now(), request.scope
    subject = Subject("workspace", scope.workspace, scope.workspace_name)
    try:
        with (
            refusals.recording(scope=scope, actor=request.actor, action=action, subject=subject, now=now),
            durable(),
        ):
            said = change(now)
    except DomainError as refusal:
        return _page(request, problem=refusal, status=refusal.status)
    notify(request, said)
    return HttpResponseRedirect(url(scope, "plan-and-limits"))


def _page(request: ConsoleRequest, problem: DomainError | None = None, status: int = 200) -> HttpResponse:
    scope, now = request.scope, timezone.now()
    standing = pages.standing_of(request, now)
    quantity = request.GET.get("quantity", "")
    known = quantity.isascii() and quantity.isdigit() and len(quantity) <= QUANTITY_DIGITS_MAX
    context = {
        **pages.context(scope=scope, standing=standing, now=now),
        "problem": problem,
        "quantity": quantity if known else "1",
    }
    return page(request, "limits/plan.html", context, status=status)


def _quantity(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= QUANTITY_DIGITS_MAX):
        detail = f"{text!r} is not a number of units."
        problem = FieldProblem("#/quantity", "invalid", detail)
        raise Invalid(detail, next_step="Use a whole number.", problems=(problem,))
    return int(text)
