"""What this app adds to the frame of the console, and what it tells the apps below that ask."""

from collections.abc import Mapping, Sequence

from django.db.models import QuerySet
from django.utils import timezone

from audiences import uses
from campaigns import holds, planned
from campaigns.models import Campaign, State, Template
from lamba_campaigns.web import navigation
from lamba_campaigns.web.navigation import Hit, Item
from limits import entitlements, forecasts, holders
from projects.access import Access
from projects.scoping import Scope

USES_SHOWN_MAX = 200


def register_all() -> None:
    """Called once, when the app starts."""
    navigation.register(Item("overview", "Overview", "layout-dashboard", "overview", order=10, shortcut="g o"))
    navigation.register(
        Item("campaigns", "Campaigns", "send", "campaign-list", order=20, shortcut="g c", counted=counted_campaigns)
    )
    navigation.register(
        Item(
            "templates",
            "Templates",
            "layout-template",
            "template-list",
            order=40,
            shortcut="g t",
            counted=counted_templates,
        )
    )
    navigation.register(
        Item(
            "reconciliation", "Reconciliation", "scale", "reconciliation", section="evidence", order=10, shortcut="g r"
        )
    )
    navigation.register_search(find_campaigns)
    navigation.register_search(find_templates)
    uses.register_uses(uses_of_audiences)
    uses.register_verdict(verdict_on_size)
    holders.register(holds.PREFIX, holds.is_needed)
    forecasts.register(planned.volume)


def counted_campaigns(scope: Scope) -> QuerySet[Campaign]:
    return Campaign.objects.within(scope)


def counted_templates(scope: Scope) -> QuerySet[Template]:
    return Template.objects.within(scope).filter(status=Template.Status.ACTIVE)


def find_campaigns(scope: Scope, access: Access, text: str) -> Sequence[Hit]:
    rows = Campaign.objects.within(scope).filter(name__icontains=text).order_by("-updated_at", "id")
    return [
        Hit(
            row.name,
            navigation.url_of(scope, "campaign-detail", row.public_id),
            str(row.state).replace("_", " ").capitalize(),
            "send",
            "Campaigns",
        )
        for row in rows[: navigation.HITS_PER_PROVIDER_MAX]
    ]


def find_templates(scope: Scope, access: Access, text: str) -> Sequence[Hit]:
    rows = Template.objects.within(scope).filter(name__icontains=text, status=Template.Status.ACTIVE)
    return [
        Hit(
            row.name,
            navigation.url_of(scope, "template-detail", row.public_id),
            f"v{row.latest_number}" if row.latest_number else "Draft",
            "layout-template",
            "Templates",
        )
        for row in rows.order_by("-updated_at", "id")[: navigation.HITS_PER_PROVIDER_MAX]
    ]


def uses_of_audiences(scope: Scope, audience_ids: Sequence[int]) -> Mapping[int, Sequence[uses.Use]]:
    """The campaigns of each audience, newest change first."""
    found: dict[int, list[uses.Use]] = {}
    rows = Campaign.objects.within(scope).filter(audience_id__in=audience_ids).order_by("-updated_at", "id")
    for row in rows[:USES_SHOWN_MAX]:
        use = uses.Use(row.name, str(row.state), "campaign-detail", row.public_id, row.state == State.SCHEDULED)
        found.setdefault(row.audience_id, []).append(use)
    return found


def verdict_on_size(scope: Scope, contactable: int) -> uses.Verdict | None:
    """How an audience of this size stands against what one campaign may have."""
    plan = entitlements.effective(scope=scope, at=timezone.now())
    allowed = plan.limits[holds.AUDIENCE]
    if allowed is None:
        return None
    if contactable <= allowed:
        return uses.Verdict(True, f"Within the {allowed:,} limit, {allowed - contactable:,} spare")
    return uses.Verdict(False, f"{contactable - allowed:,} over the {allowed:,} of the {plan.plan_name} plan")
