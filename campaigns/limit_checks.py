"""What a launch asks of the plan, a check for each limit; and what money or patience can do about those that block."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from django.conf import settings

from campaigns import holds
from campaigns.checks import Check, Fix, Meter
from campaigns.models import Campaign
from limits import reservations
from limits.entitlements import Entitlements
from limits.keys import CHANNEL_PREFIX
from limits.refusal import money
from limits.reservations import LimitUsage, PlanLimitExceeded

LABELS: Final = {
    holds.ACTIVE: "Active campaigns",
    holds.AUDIENCE: "Audience size",
    holds.VOLUME: "Included email volume",
    "email_campaigns_per_month": "Email campaigns",
    "notification_campaigns_per_month": "Notification campaigns",
}


def of(
    campaign: Campaign,
    audience: int | None,
    plan: Entitlements,
    usage: Mapping[str, LimitUsage],
    refusal: PlanLimitExceeded | None,
) -> Iterator[Check]:
    """A check for each limit that this campaign asks something of. `usage` is how they stand when it sends."""
    violations = {each["limit"]: each for each in refusal.extra["violations"]} if refusal else {}
    for ask in holds.asks_of(channel=campaign.channel, audience=audience, cap=campaign.total_cap):
        if ask.key.startswith(CHANNEL_PREFIX) or (ask.key == holds.AUDIENCE and not ask.quantity):
            continue
        label = LABELS[ask.key]
        violation = violations.get(ask.key)
        if violation and refusal:
            yield _over(campaign, ask.key, label, violation, plan, refusal)
        else:
            yield _within(campaign, ask, label, plan, usage.get(ask.key))


def _over(
    campaign: Campaign,
    key: str,
    label: str,
    violation: Mapping[str, Any],
    plan: Entitlements,
    refusal: PlanLimitExceeded,
) -> Check:
    requested, available, allowed = violation["requested"], violation["available"], violation["allowed"]
    if key == holds.AUDIENCE:
        detail = f"{requested:,} people. The {plan.plan_name} plan allows {allowed:,} per campaign."
        meter = Meter(requested, allowed, "allowed")
    elif key == holds.VOLUME:
        detail = f"{requested:,} needed, {available:,} of {allowed:,} left in this period."
        meter = Meter(requested, available)
    else:
        taken = violation["used"] + violation["reserved"]
        detail = f"{taken:,} of {allowed:,} are taken on the {plan.plan_name} plan."
        meter = Meter(taken + requested, allowed, "allowed")
    return Check(key, label, "block", detail, meter, fixes_of(refusal, key, campaign))


def _within(
    campaign: Campaign, ask: reservations.Ask, label: str, plan: Entitlements, usage: LimitUsage | None
) -> Check:
    allowed = plan.limits[ask.key]
    if ask.key == holds.AUDIENCE:
        of = f"{ask.quantity:,} of {allowed:,}" if allowed is not None else f"{ask.quantity:,}, no limit"
        return Check(ask.key, label, "pass", of, Meter(ask.quantity, allowed))
    taken = (usage.used + usage.reserved) if usage else 0
    if ask.key == holds.VOLUME:
        over = 0 if allowed is None else max(0, taken + ask.quantity - allowed)
        if over and campaign.accept_overage:
            detail = f"{over:,} over the plan; up to {campaign.accept_overage:,} accepted."
            return Check(ask.key, label, "warn", detail)
        return Check(ask.key, label, "pass", "within plan")
    return Check(ask.key, label, "pass", f"{taken:,} of {allowed:,}" if allowed is not None else f"{taken:,}, no limit")


def fixes_of(refusal: PlanLimitExceeded, key: str, campaign: Campaign | None = None) -> tuple[Fix, ...]:
    """The remedies of the refusal that help with this limit, in its order; the first is the primary one."""
    found = []
    for way in refusal.extra["remedies"]:
        if key in way["resolves"] and (fix := _fix(way, campaign)):
            found.append(fix)
    first = found[0] if found else None
    return tuple(replace(fix, primary=fix is first and fix.kind != "wait") for fix in found)


def _fix(way: Mapping[str, Any], campaign: Campaign | None) -> Fix | None:
    kind, label = way["kind"], way["label"]
    if kind == "upgrade":
        to = {"plan": way["plan"], "url": way["url"] if settings.UPGRADE_URL else ""}
        facts = [("Plan", str(way["planName"])), ("Price", f"{_money(way['price'])} a month"), ("Begins", "At once")]
        return Fix(kind, label, "billing.manage", to, facts=facts)
    if kind == "add_on":
        facts = [("Units", str(way["quantity"])), ("Price", f"{_money(way['price'])} a month"), ("Begins", "At once")]
        return Fix(kind, label, "billing.manage", {"sku": way["sku"], "quantity": str(way["quantity"])}, facts=facts)
    if kind == "accept_overage":
        facts = [("Messages over the plan", f"up to {way['quantity']:,}"), ("Estimate", _money(way["estimate"]))]
        return Fix(kind, label, "billing.manage", {"quantity": str(way["quantity"])}, facts=facts)
    if kind == "reduce_audience" and campaign and campaign.pk:
        return Fix(kind, label, "campaigns.write", {"people": str(way["max"])})
    if kind == "wait":
        return Fix(kind, label, "campaigns.write", {"until": way["until"]})
    return None


def _money(price: Mapping[str, str]) -> str:
    return money(Decimal(price["amount"]), price["currency"])
