"""What the page of plan and limits shows, put together from rows; the view only hands it over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from lamba_campaigns.web import navigation
from lamba_campaigns.web.console import ConsoleRequest
from lamba_campaigns.web.navigation import Item, Meter
from lamba_campaigns.web.states import register_states
from limits import entitlements, forecasts, history, ledger, usage, warnings
from limits.arithmetic import overage_left
from limits.asks import pool_of
from limits.catalogue import AddOn, Plan
from limits.entitlements import Count, Entitlements, Standing
from limits.keys import CHANNEL_LABELS, CHANNELS, DIMENSIONS
from limits.refusal import money
from projects.scoping import Scope

RESERVATIONS_SHOWN = 8
VOLUME = "included_email_volume"


@dataclass(frozen=True, slots=True)
class PlanColumn:
    """One plan in the comparison."""

    plan: Plan
    price: str
    state: str  # current, coming, up, down
    overage: str


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One limit across all plans."""

    label: str
    values: tuple[tuple[int | None, bool], ...]  # (limit, is the current plan)


@dataclass(frozen=True, slots=True)
class Offer:
    """An add-on as it can be bought."""

    add_on: AddOn
    price: str
    units: int
    available: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A threshold that a limit has reached in this period."""

    tone: str
    title: str
    detail: str


def register_all() -> None:
    """Called once, when the app starts."""
    navigation.register(
        Item(
            "limits",
            "Plan and limits",
            "gauge",
            "plan-and-limits",
            section="project",
            order=10,
            permission="limits.read",
            shortcut="g l",
        )
    )
    navigation.register_meter(sidebar_meter)
    register_states(
        {
            "held": ("Held", "info", "lock"),
            "settled": ("Used", "ok", "circle-check"),
            "released": ("Given back", "neutral", "undo-2"),
        }
    )


def sidebar_meter(scope: Scope) -> Meter:
    """Email volume of this period, at the foot of the menu."""
    return _meter(scope, usage.standing(scope=scope, now=timezone.now()))


def standing_of(request: ConsoleRequest, now: datetime) -> Standing:
    """How the limits stand, read once for the page and for the frame around it."""
    found = usage.standing(scope=request.scope, now=now)
    request.meter = _meter(request.scope, found)
    return found


def _meter(scope: Scope, standing: Standing) -> Meter:
    found = standing.entitlements
    line = _volume(usage.of(standing))
    return Meter(
        label=f"Emails, {usage.period_name(found)}",
        used=line.current,
        allowed=line.allowed,
        plan=found.plan_name,
        url=navigation.url_of(scope, "plan-and-limits") + "#add-ons",
    )


def context(*, scope: Scope, standing: Standing, now: datetime) -> dict[str, Any]:
    """Everything on the page."""
    found = standing.entitlements
    coming = entitlements.coming(workspace_id=scope.workspace_id, now=now)
    limits = usage.of(standing)
    columns = plan_columns(found, coming.plan if coming else "")
    volume = history.read(entitlements=found, pool=pool_of(scope))
    return {
        "nav": "limits",
        "found": found,
        "limits": limits,
        "begins": usage.day(found, found.period.start),
        "ends": usage.day(found, found.period.end),
        "coming": coming,
        "coming_plan": found.catalogue.plans.get(coming.plan) if coming else None,
        "columns": columns,
        "next_up": next((column for column in columns if column.state == "up"), None),
        "rows": plan_rows(found),
        "channel_rows": channel_rows(found),
        "channels": channels(found),
        "offers": offers(found),
        "overage": overage(found, limits, volume),
        "holds": ledger.newest(scope=scope, before=None, size=RESERVATIONS_SHOWN),
        "forecast": forecasts.forecast(scope=scope, entitlements=found, volume=_volume(limits), now=now),
        "chart": history.chart(entitlements=found, found=volume),
        "notices": notices(found, limits),
    }


def plan_columns(found: Entitlements, coming: str) -> list[PlanColumn]:
    return [
        PlanColumn(
            plan, money(plan.price, found.catalogue.currency), _state(found, plan, coming), _overage(found, plan)
        )
        for plan in found.catalogue.plans.values()
    ]


def plan_rows(found: Entitlements) -> list[PlanRow]:
    return [
        PlanRow(
            dimension.label,
            tuple((plan.limits[key], plan.id == found.plan_id) for plan in found.catalogue.plans.values()),
        )
        for key, dimension in DIMENSIONS.items()
    ]


def channel_rows(found: Entitlements) -> list[tuple[str, list[tuple[str, bool]]]]:
    """(channel, per plan: yes, add-on or no; is the current plan)."""
    add_ons = [add_on for add_on in found.catalogue.add_ons.values() if add_on.channel]
    rows = []
    for channel in CHANNELS:
        sold = {plan for add_on in add_ons if add_on.channel == channel for plan in add_on.plans}
        cells = [
            ("yes" if channel in plan.channels else "add-on" if plan.id in sold else "no", plan.id == found.plan_id)
            for plan in found.catalogue.plans.values()
        ]
        rows.append((CHANNEL_LABELS[channel], cells))
    return rows


def channels(found: Entitlements) -> list[tuple[str, bool, str]]:
    """(channel, is it there, where it comes from or what is missing)."""
    return [(CHANNEL_LABELS[name], name in found.channels, _channel_why(found, name)) for name in CHANNELS]


def offers(found: Entitlements) -> list[Offer]:
    return [
        Offer(
            add_on,
            money(add_on.price, found.catalogue.currency),
            found.add_ons.get(sku, 0),
            found.plan_id in add_on.plans,
            "" if found.plan_id in add_on.plans else _sold_with(found, add_on),
        )
        for sku, add_on in found.catalogue.add_ons.items()
    ]


def overage(found: Entitlements, limits: Sequence[usage.LimitUsage], accepted: history.History) -> dict[str, Any]:
    """The policy in words, and what was accepted in this period."""
    volume = _volume(limits)
    return {
        "policy": found.overage.policy,
        "price": money(found.overage.price_per_thousand, found.catalogue.currency),
        "cap": found.overage.cap,
        "grace": found.overage.grace_percent,
        "left": overage_left(found, Count(volume.used, volume.reserved)),
        "messages": accepted.accepted_messages,
        "amount": money(accepted.accepted_amount, found.catalogue.currency),
    }


def notices(found: Entitlements, limits: Sequence[usage.LimitUsage]) -> list[Notice]:
    """The highest threshold of each limit that is reached now: a notice ends by itself when that is over."""
    until = usage.day(found, found.period.end)
    reached = [(line, warnings.reached(line)) for line in limits]
    return [_notice(line, threshold, until) for line, threshold in reached if threshold]


def ledger_page(*, scope: Scope, before: int | None) -> dict[str, Any]:
    """One page of all reservations, newest first; `next` is where the following one begins."""
    found = ledger.newest(scope=scope, before=before, size=ledger.PAGE_SIZE + 1)
    shown = found[: ledger.PAGE_SIZE]
    more = len(found) > ledger.PAGE_SIZE
    return {"nav": "limits", "holds": shown, "before": before, "next": shown[-1].reservation.pk if more else None}


def _volume(limits: Sequence[usage.LimitUsage]) -> usage.LimitUsage:
    return next(line for line in limits if line.key == VOLUME)


def _notice(line: usage.LimitUsage, threshold: int, until: str) -> Notice:
    over = threshold == warnings.OVER
    reached = "over the limit" if over else "all of it is taken" if threshold == 100 else f"{line.percent}% is taken"
    detail = f"{line.current:,} of {line.allowed:,} are used or held until {until}."
    return Notice("bad" if over else "warn", f"{line.title}: {reached}", detail)


def _state(found: Entitlements, plan: Plan, coming: str) -> str:
    if plan.id == found.plan_id:
        return "current"
    if plan.id == coming:
        return "coming"
    return "up" if plan.rank > found.plan.rank else "down"


def _overage(found: Entitlements, plan: Plan) -> str:
    if plan.overage.policy == "allow":
        return f"{money(plan.overage.price_per_thousand, found.catalogue.currency)} per 1,000"
    return f"{plan.overage.grace_percent}% grace" if plan.overage.policy == "grace" else "Refused"


def _channel_why(found: Entitlements, channel: str) -> str:
    if channel in found.plan.channels:
        return f"Part of {found.plan_name}"
    add_on = next((each for each in found.catalogue.add_ons.values() if each.channel == channel), None)
    if channel in found.channels and add_on:
        return "By add-on"
    if add_on and found.plan_id in add_on.plans:
        return f"Add-on, {money(add_on.price, found.catalogue.currency)} a month"
    if add_on:
        return _sold_with(found, add_on)
    first = next((plan.name for plan in found.catalogue.plans.values() if channel in plan.channels), "")
    return f"From {first} on" if first else "Not available"


def _sold_with(found: Entitlements, add_on: AddOn) -> str:
    first = next(plan.name for plan in found.catalogue.plans.values() if plan.id in add_on.plans)
    return f"From {first} on"
