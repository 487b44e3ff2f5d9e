"""What a person does with a campaign. Every step is a form that carries the version that was looked at."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone

from campaigns import drafts, launch, schedule
from campaigns.models import Campaign
from campaigns.views import pages
from campaigns.views.campaigns import detail_page, version_of
from lamba_campaigns.lib.errors import DomainError, Invalid
from lamba_campaigns.lib.sql import durable
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, url
from limits import reservations

REASON_LENGTH_MAX = 500


@console_view(post="campaigns.launch")
def campaign_launch(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    return _step(request, campaign, "launch", "Launching: the audience is being frozen.", launch.request_launch)


@console_view(post="campaigns.launch")
def campaign_schedule(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    """At the time that the draft proposes."""

    def schedule_it(**given: Any) -> Campaign:
        found = drafts.find(scope=request.scope, campaign_id=campaign)
        return launch.request_schedule(at=schedule.require_proposed(found), time_zone=found.time_zone, **given)

    return _step(request, campaign, "schedule", "Scheduled.", schedule_it)


@console_view(post="campaigns.launch")
def campaign_unschedule(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    return _step(request, campaign, "unschedule", "Back to a draft.", launch.unschedule)


@console_view(post="campaigns.launch")
def campaign_pause(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    reason = request.POST.get("reason", "")[:REASON_LENGTH_MAX]
    return _step(request, campaign, "pause", "Pausing.", lambda **given: launch.pause(reason=reason, **given))


@console_view(post="campaigns.launch")
def campaign_resume(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    return _step(request, campaign, "resume", "Sending again.", launch.resume)


@console_view(post="campaigns.launch")
def campaign_cancel(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    reason = request.POST.get("reason", "")[:REASON_LENGTH_MAX]
    return _step(
        request,
        campaign,
        "cancel",
        "Cancelled. Nobody else is contacted.",
        lambda **given: launch.cancel(reason=reason, **given),
    )


@console_view(post="campaigns.write")
def campaign_copy(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    made = drafts.copy(scope=request.scope, actor=request.actor, campaign_id=campaign, now=timezone.now())
    notify(request, "Copied into a new draft.")
    return HttpResponseRedirect(url(request.scope, "campaign-edit", made.public_id))


@console_view(post="campaigns.write")
def campaign_delete(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    drafts.delete(
        scope=request.scope,
        actor=request.actor,
        campaign_id=campaign,
        version=version_of(request),
        now=timezone.now(),
    )
    notify(request, "Draft deleted.")
    return HttpResponseRedirect(url(request.scope, "campaign-list"))


@console_view(post="campaigns.write")
def campaign_fix(request: ConsoleRequest, campaign: str) -> HttpResponseBase:
    """The buttons beside a blocking check: upgrade, add-on, accept overage, fewer people, wait, newer version."""
    found = drafts.find(scope=request.scope, campaign_id=campaign)
    try:
        _fix(request, found)
    except DomainError as refusal:
        return detail_page(request, found, problem=refusal)
    return _back(request, found)


def _fix(request: ConsoleRequest, campaign: Campaign) -> None:
    kind, now = request.POST.get("kind", ""), timezone.now()
    scope, actor = request.scope, request.actor
    if kind == "newer_version":
        _edit(request, campaign, {"template_version": None})
        notify(request, "The newest version is chosen.")
        return
    if kind == "wait":
        _edit(request, campaign, {"scheduled_at": _moment(request, "until"), "time_zone": scope.time_zone})
        notify(request, "The draft proposes that time. Schedule it when everything is in place.")
        return
    if kind == "reduce_audience":
        people = _number(request, "people")
        _edit(request, campaign, {"total_cap": people})
        notify(request, f"At most {people:,} people get it: those you have known longest. The others are left out.")
        return
    request.access.require("billing.manage")
    if kind == "upgrade":
        with durable():
            reservations.change_plan(scope=scope, actor=actor, plan=request.POST.get("plan", ""), now=now)
        notify(request, "The plan is changed.")
    elif kind == "add_on":
        quantity = _number(request, "quantity")
        with durable():
            reservations.add_add_on(
                scope=scope, actor=actor, sku=request.POST.get("sku", ""), quantity=quantity, now=now
            )
        notify(request, "The add-on is active.")
    elif kind == "accept_overage":
        _edit(request, campaign, {"accept_overage": _number(request, "quantity")})
        notify(request, "Overage accepted for this campaign.")
    else:
        raise Invalid("There is no such way out.", next_step="Load the page again.")


def _edit(request: ConsoleRequest, campaign: Campaign, changes: dict[str, object]) -> None:
    drafts.edit(
        scope=request.scope,
        actor=request.actor,
        campaign_id=campaign.public_id,
        changes=changes,
        version=version_of(request),
        now=timezone.now(),
    )


def _step(
    request: ConsoleRequest, campaign_id: str, action: str, said: str, step: Callable[..., Campaign]
) -> HttpResponse:
    """Check the typed word, take the step, go back to the page; a refusal is shown on the page itself."""
    found = drafts.find(scope=request.scope, campaign_id=campaign_id)
    word = pages.typed_word(scope=request.scope, action=action, campaign=found)
    if word and request.POST.get("confirm", "").strip().lower() != word.lower():
        return detail_page(request, found, asked=action, word_error=f"Type {word} to confirm.")
    try:
        step(
            scope=request.scope,
            actor=request.actor,
            campaign_id=campaign_id,
            version=version_of(request),
            now=timezone.now(),
        )
    except DomainError as refusal:
        return detail_page(request, drafts.find(scope=request.scope, campaign_id=campaign_id), problem=refusal)
    notify(request, said)
    return _back(request, found)


def _back(request: ConsoleRequest, campaign: Campaign) -> HttpResponseRedirect:
    return HttpResponseRedirect(url(request.scope, "campaign-detail", campaign.public_id))


def _moment(request: ConsoleRequest, name: str) -> datetime:
    try:
        found = datetime.fromisoformat(request.POST.get(name, ""))
    except ValueError:
        raise Invalid(f"{name} is no time.", next_step="Load the page again.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _number(request: ConsoleRequest, name: str) -> int:
    text = request.POST.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(f"{name} is not a number.", next_step="Load the page again.")
    return int(text)
