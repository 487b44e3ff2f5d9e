"""PlanLimitExceeded: the 402 with every violation at once, and the ways out in the order to try them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil
from typing import Any

from django.conf import settings

from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.web import navigation
from limits.arithmetic import OVERAGE_KEY, Violation, judge, overage_left, price_of
from limits.asks import Ask, Request, resolve
from limits.catalogue import ADD_ON_UNITS_MAX, AddOn, Plan
from limits.entitlements import Count, Entitlements
from limits.keys import CHANNEL_PREFIX
from projects.scoping import Scope

PERIODS_AHEAD_MAX = 3  # that a refusal looks into
REDUCIBLE = ("audience_per_campaign", OVERAGE_KEY)  # what a smaller audience cures


class PlanLimitExceeded(DomainError):
    """The request is fine, the plan does not include it. A state, not an error to retry."""

    code = "PLAN_LIMIT_EXCEEDED"
    status = 402
    title = "Plan limit exceeded"


def refuse(
    *, scope: Scope, request: Request, violations: Sequence[Violation], counts: Mapping[str, Count]
) -> PlanLimitExceeded:
    """The refusal of `request`. Carries Lamba's flat fields about the first violation, then all of them."""
    entitlements = request.entitlements
    first = violations[0]
    ways = remedies(scope=scope, request=request, violations=violations, counts=counts)
    detail = sentence(violations)
    return PlanLimitExceeded(
        detail,
        next_step=f"{ways[0]['label']}." if ways else "Ask the owner of the workspace for a larger plan.",
        error=PlanLimitExceeded.code,
        limit=first.limit,
        allowed=first.allowed,
        current=first.current,
        plan=entitlements.plan_id,
        message=detail,
        planName=entitlements.plan_name,
        catalogueVersion=entitlements.catalogue.version,
        workspace=scope.workspace,
        project=scope.project,
        environment=scope.environment,
        violations=[violation.as_json() for violation in violations],
        remedies=ways,
    )


def sentence(violations: Sequence[Violation]) -> str:
    """What is in the way, in plain words."""
    return " ".join(_sentence(violation) for violation in violations)


def remedies(
    *, scope: Scope, request: Request, violations: Sequence[Violation], counts: Mapping[str, Count]
) -> list[dict[str, Any]]:
    """Upgrade, add-on, overage, a smaller audience, waiting: those that help, in this order.

    `action` is the REST call that does it; `change` is what to change in the thing that was refused.
    """
    entitlements = request.entitlements
    return [
        *_upgrade(scope, entitlements, counts, request.asks, violations),
        *_add_ons(scope, entitlements, violations),
        *_overage(entitlements, violations, counts),
        *_smaller_audience(violations),
        *_wait(scope, request, violations),
    ]


def money(amount: Decimal, currency: str) -> str:
    """$25, $31.95, 12.00 EUR."""
    digits = f"{amount:,.0f}" if amount == amount.to_integral_value() else f"{amount:,.2f}"
    return f"${digits}" if currency == "USD" else f"{digits} {currency}"


def moment(at: datetime) -> str:
    """1 Dec 2026 00:00 UTC."""
    return f"{at.astimezone(UTC):%-d %b %Y %H:%M} UTC"


def _sentence(violation: Violation) -> str:
    if violation.kind == "channel":
        return f"The {violation.label} is not part of the plan."
    unit = violation.unit if violation.requested == 1 else _plural(violation.unit)
    if violation.kind == "cap":
        return f"This needs {violation.requested:,} {unit}; one campaign may have {violation.allowed:,}."
    left = f"{violation.available:,} of {violation.allowed:,} remain"
    until = f" until {_day(violation)}" if violation.period else ""
    wanted = f"{violation.requested:,} {unit}"
    return f"{violation.label}: this needs {wanted}; {left}{until}."


def _plural(unit: str) -> str:
    return "people" if unit == "person" else f"{unit}s"


def _day(violation: Violation) -> str:
    assert violation.period is not None
    return moment(violation.period.end)


def _upgrade(
    scope: Scope,
    entitlements: Entitlements,
    counts: Mapping[str, Count],
    asks: Mapping[str, int],
    violations: Sequence[Violation],
) -> list[dict[str, Any]]:
    """The cheapest larger plan on which the whole request fits."""
    for plan in sorted(entitlements.catalogue.plans.values(), key=lambda plan: plan.rank):
        if plan.rank > entitlements.plan.rank and _fits(entitlements, plan, counts, asks):
            template = settings.UPGRADE_URL
            url = (
                template.format(workspace=scope.workspace, plan=plan.id)
                if template
                else _page(scope, f"plan-{plan.id}")
            )
            return [
                {
                    "kind": "upgrade",
                    "label": f"Upgrade to {plan.name}",
                    "plan": plan.id,
                    "planName": plan.name,
                    "price": _price(plan.price, entitlements),
                    "url": url,
                    "action": {"method": "PATCH", "path": "/api/v1/plan", "body": {"plan": plan.id}},
                    "resolves": [violation.limit for violation in violations],
                }
            ]
    return []


def _fits(entitlements: Entitlements, plan: Plan, counts: Mapping[str, Count], asks: Mapping[str, int]) -> bool:
    limits = entitlements.on_plan(plan)
    sold = {entitlements.catalogue.add_ons[sku].channel for sku in entitlements.add_ons}
    for key, wanted in asks.items():
        if key.startswith(CHANNEL_PREFIX):
            if key.removeprefix(CHANNEL_PREFIX) not in plan.channels | sold:
                return False
        else:
            allowed, count = limits[key], counts.get(key, Count())
            if allowed is not None and count.used + count.reserved + wanted > allowed:
                return False
    return True


def _add_ons(scope: Scope, entitlements: Entitlements, violations: Sequence[Violation]) -> list[dict[str, Any]]:
    found = []
    for violation in violations:
        offers = [
            (add_on.price * units, add_on, units)
            for add_on in entitlements.catalogue.add_ons.values()
            if entitlements.plan_id in add_on.plans and (units := _units(add_on, violation))
        ]
        if offers:
            price, add_on, units = min(offers, key=lambda offer: (offer[0], offer[2]))
            what = add_on.name if units == 1 else f"{units} x {add_on.name}"
            found.append(
                {
                    "kind": "add_on",
                    "label": f"Add {what}, {money(price, entitlements.catalogue.currency)}",
                    "sku": add_on.sku,
                    "quantity": units,
                    "price": _price(price, entitlements),
                    "url": _page(scope, f"add-{add_on.sku}", units),
                    "action": {
                        "method": "POST",
                        "path": "/api/v1/add-ons",
                        "body": {"sku": add_on.sku, "quantity": units},
                    },
                    "resolves": [violation.limit],
                }
            )
    return found


def _units(add_on: AddOn, violation: Violation) -> int:
    """How many of the add-on cure the violation; 0 if it can't."""
    if violation.kind == "channel":
        return int(add_on.channel == violation.limit.removeprefix(CHANNEL_PREFIX))
    adds = add_on.adds.get(violation.limit, 0)
    over = violation.current - violation.allowed  # what was passed before counts too
    units = ceil(over / adds) if adds else 0
    return units if units <= ADD_ON_UNITS_MAX else 0


def _overage(
    entitlements: Entitlements, violations: Sequence[Violation], counts: Mapping[str, Count]
) -> list[dict[str, Any]]:
    volume = next((violation for violation in violations if violation.limit == OVERAGE_KEY), None)
    if volume is None or volume.shortfall > overage_left(entitlements, counts.get(OVERAGE_KEY, Count())):
        return []
    amount = price_of(entitlements, volume.shortfall)
    return [
        {
            "kind": "accept_overage",
            "label": f"Accept {volume.shortfall:,} over the limit, {money(amount, entitlements.catalogue.currency)}",
            "quantity": volume.shortfall,
            "estimate": _price(amount, entitlements),
            "how": f"Repeat the request with acceptOverage={volume.shortfall}.",
            "change": {"acceptOverage": volume.shortfall},
            "resolves": [OVERAGE_KEY],
        }
    ]


def _smaller_audience(violations: Sequence[Violation]) -> list[dict[str, Any]]:
    caps = [violation.available for violation in violations if violation.limit in REDUCIBLE]
    if not caps or min(caps) < 1:
        return []
    resolves = [violation.limit for violation in violations if violation.limit in REDUCIBLE]
    most = min(caps)
    label = f"Reduce the audience to {most:,}"
    change = {"totalCap": most}
    return [{"kind": "reduce_audience", "label": label, "max": most, "change": change, "resolves": resolves}]


def _wait(scope: Scope, request: Request, violations: Sequence[Violation]) -> list[dict[str, Any]]:
    """Until the first period that takes it, with the plan and the holds that it will have."""
    counted = [violation for violation in violations if violation.period is not None]
    asks = [Ask(violation.limit, violation.requested) for violation in counted]
    begins = request.entitlements.period.end
    for _ in range(PERIODS_AHEAD_MAX if counted else 0):
        later = resolve(scope, asks, begins)
        left = judge(entitlements=later.entitlements, counts=later.standing.counts, asks=later.asks).violations
        cured = [each.limit for each in counted if each.limit not in {violation.limit for violation in left}]
        if cured:
            until = begins.isoformat().replace("+00:00", "Z")
            label = f"Wait until {moment(begins)}"
            change = {"scheduledAt": until}
            return [{"kind": "wait", "label": label, "until": until, "change": change, "resolves": cured}]
        begins = later.entitlements.period.end
    return []


def _price(amount: Decimal, entitlements: Entitlements) -> dict[str, str]:
    return {"amount": f"{amount:.2f}", "currency": entitlements.catalogue.currency}


def _page(scope: Scope, dialog: str, quantity: int = 0) -> str:
    """The page of plan and limits with the dialog open that does it."""
    more = f"&quantity={quantity}" if quantity > 1 else ""
    return f"{settings.PUBLIC_URL}{navigation.url_of(scope, 'plan-and-limits')}?confirm={dialog}{more}"
