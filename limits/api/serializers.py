"""Shapes of limits, plans and add-ons in REST."""

from typing import Any

from rest_framework import serializers

from lamba_campaigns.web.rest import StrictSerializer
from limits.catalogue import ADD_ON_UNITS_MAX, AddOn, Plan
from limits.entitlements import Entitlements
from limits.models import Subscription
from limits.refusal import moment


class LimitResponse(serializers.Serializer[Any]):
    limit = serializers.CharField(help_text="active_campaigns, included_email_volume, …")
    label = serializers.CharField()  # type: ignore[assignment]
    kind = serializers.CharField(help_text="gauge: alive now. counter: in this period. cap: of one launch.")
    unit = serializers.CharField()
    used = serializers.IntegerField()
    reserved = serializers.IntegerField()
    left = serializers.IntegerField(allow_null=True)
    allowed = serializers.IntegerField(allow_null=True, help_text="null is unlimited.")
    included = serializers.IntegerField(allow_null=True, help_text="By the plan, or agreed for this workspace.")
    addOns = serializers.IntegerField(help_text="Brought by add-ons.")
    resetsAt = serializers.DateTimeField(allow_null=True)


class PeriodResponse(serializers.Serializer[Any]):
    start = serializers.DateTimeField(help_text="Inclusive.")
    end = serializers.DateTimeField(help_text="Exclusive.")
    timeZone = serializers.CharField()


class LimitsResponse(serializers.Serializer[Any]):
    plan = serializers.CharField()
    planName = serializers.CharField()
    environment = serializers.CharField(help_text="A sandbox counts by itself, never against production.")
    period = PeriodResponse()
    channels = serializers.ListField(child=serializers.CharField())
    limits = LimitResponse(many=True)


class ReservationLineResponse(serializers.Serializer[Any]):
    limit = serializers.CharField()
    asked = serializers.IntegerField()
    used = serializers.IntegerField()
    held = serializers.IntegerField(help_text="Falls to 0 as it is used or given back.")
    periodStart = serializers.DateTimeField(allow_null=True, help_text="null for what has no period.")
    periodEnd = serializers.DateTimeField(allow_null=True)


class ReservationOverageResponse(serializers.Serializer[Any]):
    messages = serializers.IntegerField()
    estimate = serializers.CharField()


class ReservationResponse(serializers.Serializer[Any]):
    id = serializers.CharField()
    purpose = serializers.CharField(help_text="launch:cmp_…:1 is the first launch of that campaign.")
    state = serializers.CharField(help_text="held, settled, released or expired.")
    plan = serializers.CharField(help_text="At that time.")
    at = serializers.DateTimeField(help_text="When it is meant to be used; it chose the period.")
    lines = ReservationLineResponse(many=True)
    overage = ReservationOverageResponse()
    forgivenMessages = serializers.IntegerField(help_text="Over the limit, forgiven by the plan's grace.")
    by = serializers.CharField()
    reservedAt = serializers.DateTimeField()
    endedAt = serializers.DateTimeField(allow_null=True)


class ReservationPage(serializers.Serializer[Any]):
    items = ReservationResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class MoneyResponse(serializers.Serializer[Any]):
    amount = serializers.CharField()
    currency = serializers.CharField()


class OverageResponse(serializers.Serializer[Any]):
    policy = serializers.CharField(help_text="block, allow or grace.")
    cap = serializers.IntegerField(help_text="Messages per period that may be accepted over the limit.")
    pricePerThousand = MoneyResponse()
    gracePercent = serializers.IntegerField()


class PlanResponse(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    price = MoneyResponse(help_text="Per month.")
    limits = serializers.DictField(child=serializers.IntegerField(allow_null=True))
    channels = serializers.ListField(child=serializers.CharField())
    auditDays = serializers.IntegerField(
        allow_null=True, help_text="How long contents of the audit trail are kept; null is for ever."
    )
    overage = OverageResponse()


class PlanActionResponse(serializers.Serializer[Any]):
    method = serializers.CharField()
    path = serializers.CharField()
    body = serializers.DictField(child=serializers.CharField())


class ComingPlanResponse(serializers.Serializer[Any]):
    plan = serializers.CharField()
    planName = serializers.CharField()
    effectiveFrom = serializers.DateTimeField()
    message = serializers.CharField(help_text="The same in words: which plan it is now, which one begins when.")
    cancel = PlanActionResponse(help_text="The call that takes the planned change back.")


class CurrentPlanResponse(serializers.Serializer[Any]):
    plan = PlanResponse()
    coming = ComingPlanResponse(allow_null=True, help_text="A planned change; `plan` counts until then.")
    plans = PlanResponse(many=True, help_text="All plans, smallest first.")
    catalogueVersion = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]


class PlanChange(StrictSerializer):
    plan = serializers.CharField(max_length=40)


class AddOnResponse(serializers.Serializer[Any]):
    sku = serializers.CharField()
    name = serializers.CharField()
    price = MoneyResponse(help_text="Per unit and month.")
    adds = serializers.DictField(child=serializers.IntegerField())
    channel = serializers.CharField(help_text="The channel it opens, or empty.")
    available = serializers.BooleanField(help_text="Whether the present plan may buy it.")
    units = serializers.IntegerField(help_text="That the workspace has now.")


class AddOnPage(serializers.Serializer[Any]):
    items = AddOnResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class AddOnOrder(StrictSerializer):
    sku = serializers.CharField(max_length=40)
    quantity = serializers.IntegerField(min_value=1, max_value=ADD_ON_UNITS_MAX, default=1)


def limits_json(found: Entitlements, environment: str, limits: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "plan": found.plan_id,
        "planName": found.plan_name,
        "environment": environment,
        "period": {"start": found.period.start, "end": found.period.end, "timeZone": found.time_zone},
        "channels": sorted(found.channels),
        "limits": limits,
    }


def current_json(found: Entitlements, coming: Subscription | None) -> dict[str, Any]:
    sheet = found.catalogue
    return {
        "plan": plan_json(found.plan, sheet.currency),
        "coming": coming and _coming_json(found, coming),
        "plans": [plan_json(plan, sheet.currency) for plan in sheet.plans.values()],
        "catalogueVersion": sheet.version,
        "source": sheet.source,
    }


def _coming_json(found: Entitlements, coming: Subscription) -> dict[str, Any]:
    name, at = found.catalogue.plan(coming.plan).name, coming.effective_from
    return {
        "plan": coming.plan,
        "planName": name,
        "effectiveFrom": at,
        "message": f"The workspace stays on {found.plan_name} until {moment(at)}. {name} begins then.",
        "cancel": {"method": "PATCH", "path": "/api/v1/plan", "body": {"plan": found.plan_id}},
    }


def plan_json(plan: Plan, currency: str) -> dict[str, Any]:
    overage = plan.overage
    return {
        "id": plan.id,
        "name": plan.name,
        "price": {"amount": f"{plan.price:.2f}", "currency": currency},
        "limits": dict(plan.limits),
        "channels": sorted(plan.channels),
        "auditDays": plan.audit_days,
        "overage": {
            "policy": overage.policy,
            "cap": overage.cap,
            "pricePerThousand": {"amount": f"{overage.price_per_thousand:.2f}", "currency": currency},
            "gracePercent": overage.grace_percent,
        },
    }


def add_on_json(add_on: AddOn, found: Entitlements) -> dict[str, Any]:
    return {
        "sku": add_on.sku,
        "name": add_on.name,
        "price": {"amount": f"{add_on.price:.2f}", "currency": found.catalogue.currency},
        "adds": dict(add_on.adds),
        "channel": add_on.channel,
        "available": found.plan_id in add_on.plans,
        "units": found.add_ons.get(add_on.sku, 0),
    }
