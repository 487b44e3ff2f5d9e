"""Console pages of campaigns: the list, one campaign in each of its states, and the form of a draft."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.http import require_GET

from campaigns import drafts, freezing, listing, preflight
from campaigns.forms import SetupForm
from campaigns.models import Campaign, State
from campaigns.views import activity, pages, progress
from campaigns.views.evidence import books_context, recipients_context
from campaigns.views.plan import plan_context
from delivery import jobs
from lamba_campaigns.lib.errors import DomainError, Invalid
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url, zone_of
from limits import pages as limit_pages
from limits import usage
from limits.entitlements import Standing
from projects.scoping import Scope

RECIPIENTS_SHOWN = 8


@require_GET
@console_view(get="console.read")
def campaign_list(request: ConsoleRequest) -> HttpResponseBase:
    tab = request.GET.get("state", "")
    tab = tab if tab in listing.TABS else ""
    find = request.GET.get("q", "").strip()
    found = listing.listing(scope=request.scope, tab=tab, find=find, page=_page_number(request))
    base = url(request.scope, "campaign-list")
    tabs = [
        (label, f"{base}?state={key}" if key else base, found.counts[key], key == tab)
        for key, (label, _) in listing.TABS.items()
    ]
    context = {
        "nav": "campaigns",
        "tiles": tiles(request.scope, limit_pages.standing_of(request, timezone.now())),
        "tabs": tabs,
        "found": found,
        "q": find,
        "keep": [("state", tab)],
        "filtered": bool(tab or find),
        "other": url_of_other(request.scope, "campaign-list"),
    }
    return page(request, "campaigns/list.html", context)


@console_view(get="campaigns.write", post="campaigns.write")
def campaign_new(request: ConsoleRequest) -> HttpResponseBase:
    """One page with everything; the name is enough to keep it as a draft."""
    if request.method != "POST":
        chosen = {key: request.GET[key] for key in ("template", "audience", "name") if key in request.GET}
        form = SetupForm(scope=request.scope, access=request.access, initial={"channel": "email", **chosen})
        return _form_page(request, form, None)
    form = SetupForm(request.POST, scope=request.scope, access=request.access)
    if "check" in request.POST:  # the live preflight beside the form; nothing is kept
        return _rail(request, form)
    if not form.is_valid():
        return _form_page(request, form, None, 422)
    try:
        made = drafts.create(
            scope=request.scope, actor=request.actor, setup=drafts.Setup(**form.setup()), now=timezone.now()
        )
    except Invalid as refusal:
        form.take(refusal)
        return _form_page(request, form, None, 422)
    notify(request, "Draft saved.")
    return HttpResponseRedirect(url(request.scope, "campaign-detail", made.public_id))


@console_view(get="campaigns.write", post="campaigns.write")
def campaign_edit(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    found = drafts.find(scope=request.scope, campaign_id=campaign)
    if found.state != State.DRAFT:
        return HttpResponseRedirect(url(request.scope, "campaign-detail", campaign))
    if request.method != "POST":
        form = SetupForm(
            scope=request.scope, access=request.access, initial=SetupForm.initial_of(found, zone=request.scope.zone)
        )
        return _form_page(request, form, found)
    form = SetupForm(request.POST, scope=request.scope, access=request.access, current=found)
    if "check" in request.POST:
        return _rail(request, form)
    if not form.is_valid():
        return _form_page(request, form, found, 422)
    try:
        drafts.edit(
            scope=request.scope,
            actor=request.actor,
            campaign_id=campaign,
            changes=form.setup(),
            version=version_of(request),
            now=timezone.now(),
        )
    except Invalid as refusal:
        form.take(refusal)
        return _form_page(request, form, found, 422)
    notify(request, "Draft saved.")
    return HttpResponseRedirect(url(request.scope, "campaign-detail", campaign))


@require_GET
@console_view(get="console.read")
def campaign_detail(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    found = drafts.find(scope=request.scope, campaign_id=campaign)
    return detail_page(request, found)


@require_GET
@console_view(get="console.read")
def campaign_live(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    """The live card, 204 while nothing changed. `v` is what the card shows now."""
    found = drafts.find(scope=request.scope, campaign_id=campaign)
    context = live_context(request, found)
    given = request.GET.get("v", "")
    if given == context["digest"]:
        return HttpResponse(status=204)
    if given.partition(".")[0] != str(found.state_version):
        # another state: buttons, badge and cards change with it, so the whole page is asked for again
        answer = HttpResponse(status=204)
        answer["HX-Refresh"] = "true"
        return answer
    template = "campaigns/_hero.html" if found.job else "campaigns/_launching.html"
    return page(request, template, context)


@require_GET
@console_view(get="console.read")
def campaign_chart(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    found = drafts.find(scope=request.scope, campaign_id=campaign)
    context = live_context(request, found)
    if context["chart"] is None:
        return HttpResponse(status=204)
    return page(request, "campaigns/_chart.html", context)


def detail_page(
    request: ConsoleRequest,
    campaign: Campaign,
    *,
    problem: DomainError | None = None,
    asked: str = "",
    word_error: str = "",
) -> HttpResponse:
    """The page of one campaign. A refused step shows `problem` on top, or a wrong word in the dialog `asked`."""
    template, context = _body(request, campaign)
    context |= {
        "nav": "campaigns",
        "campaign": campaign,
        "moves": pages.moves(access=request.access, campaign=campaign),
        "channel_label": pages.channel_label(campaign.channel),
        "channel_icon": pages.channel_icon(campaign.channel),
        "activity": activity.of_campaign(scope=request.scope, campaign=campaign),
        "sender": pages.sender_of(request.scope, campaign.environment),
        "words": {
            action: pages.typed_word(scope=request.scope, action=action, campaign=campaign)
            for action in ("launch", "schedule", "cancel")
        },
        "problem": problem,
    }
    if word_error:
        context[f"{asked}_error"] = word_error
    status = problem.status if problem else 422 if word_error else 200
    return page(request, template, context, status=status)


def live_context(request: ConsoleRequest, campaign: Campaign) -> dict[str, Any]:
    """Hero and chart of a campaign that has a job; both None before."""
    now = timezone.now()
    found = jobs.progress(scope=request.scope, job=campaign.job, now=now) if campaign.job else None
    frozen = freezing.of(scope=request.scope, campaign=campaign)
    return {
        "campaign": campaign,
        "freezing": frozen,
        "progress": found,
        "hero": progress.hero_of(
            scope=request.scope,
            campaign=campaign,
            progress=found,
            opens_people=request.access.may("people.read"),
        )
        if found
        else None,
        "chart": progress.chart_of(campaign=campaign, progress=found, zone=zone_of(request), now=now)
        if found
        else None,
        "live": campaign.state in progress.LIVE_STATES,
        "digest": progress.digest_of(campaign, found, frozen),
        "now": now,
    }


def tiles(scope: Scope, standing: Standing) -> list[dict[str, Any]]:
    """The four limits that a launch meets first."""
    address = url(scope, "plan-and-limits")
    return [
        {"label": each.label, "used": each.current, "allowed": each.allowed, "url": address}
        for each in usage.tiles(standing)
    ]


def url_of_other(scope: Scope, name: str) -> str:
    """The same page in the other environment."""
    other = "sandbox" if scope.is_production else "production"
    return url(scope, name).replace(f"/{scope.environment}/", f"/{other}/", 1)


def _body(request: ConsoleRequest, campaign: Campaign) -> tuple[str, dict[str, Any]]:
    if campaign.state in (State.DRAFT, State.SCHEDULED):
        now = timezone.now()
        at = preflight.sends_at(campaign, now)
        report = preflight.report(
            scope=request.scope,
            campaign=campaign,
            at=at,
            now=now,
            holds_counts=campaign.state == State.SCHEDULED,
        )
        ruled = campaign.sending_rules or campaign.total_cap
        plan = plan_context(request.scope, campaign) if ruled and campaign.audience else {}
        draft = {"report": report, "sends_at": campaign.scheduled_at, "plan_capped": bool(campaign.total_cap)}
        return "campaigns/draft.html", draft | plan
    context = live_context(request, campaign)
    if campaign.job is None:
        return "campaigns/launching.html", context
    accounts = context["progress"].accounts
    context |= recipients_context(request, campaign, size=RECIPIENTS_SHOWN, accounts=accounts)
    if campaign.finished_at:
        context |= books_context(request, campaign)
    return "campaigns/running.html", context


def _form_page(request: ConsoleRequest, form: SetupForm, campaign: Campaign | None, status: int = 200) -> HttpResponse:
    context = {
        "nav": "campaigns",
        "form": form,
        "campaign": campaign,
        "report": form.report(now=timezone.now()),
        "sections": form.progress(),
        "version": campaign.state_version if campaign else "",
    }
    return page(request, "campaigns/form.html", context, status=status)


def _rail(request: ConsoleRequest, form: SetupForm) -> HttpResponse:
    form.is_valid()
    context = {"form": form, "report": form.report(now=timezone.now()), "sections": form.progress()}
    return page(request, "campaigns/_rail.html", context)


def _page_number(request: HttpRequest) -> int:
    text = request.GET.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 10_000 else 1


def version_of(request: HttpRequest) -> int:
    """The version that the form was made from; 0 matches none."""
    text = request.POST.get("state_version", "")
    return int(text) if text.isascii() and text.isdigit() else 0
