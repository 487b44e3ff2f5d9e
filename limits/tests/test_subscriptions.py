"""Plans and add-ons: up at once, down at the end of the period."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import transaction

from audit.models import AuditEntry
from lamba_campaigns.lib.errors import Conflict, Invalid
from limits import billing, catalogue, entitlements, reservations, subscriptions
from limits.catalogue import AddOn
from limits.keys import DIMENSIONS
from limits.models import Subscription
from limits.reservations import PlanLimitExceeded
from limits.subscriptions import AlreadyOnPlan, NotForThisPlan, PlanChange
from limits.tests.conftest import Reserve
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


def change(scope: Scope, actor: Actor, plan: str, now: datetime) -> PlanChange:
    with transaction.atomic():
        return subscriptions.change_plan(scope=scope, actor=actor, plan=plan, now=now)


def plan_at(scope: Scope, at: datetime) -> str:
    return entitlements.effective(scope=scope, at=at).plan_id


def test_a_workspace_that_never_chose_is_on_the_free_plan(scope: Scope, now: datetime) -> None:
    found = entitlements.effective(scope=scope, at=now)
    assert (found.plan_id, found.limits["audience_per_campaign"], found.overage.policy) == ("free", 500, "block")
    assert found.channels == {"email", "in_app"}


def test_an_upgrade_counts_at_once_and_keeps_what_was_used(
    scope: Scope, actor: Actor, reserve: Reserve, now: datetime
) -> None:
    reserve("launch:cmp_1", included_email_volume=1_000)
    found = change(scope, actor, "growth", now)

    assert (found.before, found.after, found.effective_from) == ("free", "growth", now)
    volume = next(line for line in reservations.usage(scope=scope, now=now) if line.key == "included_email_volume")
    assert (volume.allowed, volume.reserved, volume.left) == (100_000, 1_000, 99_000)
    entry = AuditEntry.objects.get(action="plan.changed")
    assert entry.environment_id is None and entry.before == {"plan": "free"}
    assert entry.after is not None and entry.after["plan"] == "growth"


def test_a_downgrade_waits_for_the_end_of_the_period(
    growth: Subscription, scope: Scope, actor: Actor, now: datetime
) -> None:
    assert change(scope, actor, "starter", now).effective_from == DECEMBER
    assert plan_at(scope, DECEMBER - timedelta(seconds=1)) == "growth" and plan_at(scope, DECEMBER) == "starter"


def test_a_launch_planned_after_the_downgrade_meets_the_smaller_plan(
    growth: Subscription, scope: Scope, actor: Actor, reserve: Reserve, now: datetime
) -> None:
    change(scope, actor, "starter", now)
    reserve("launch:cmp_1", audience_per_campaign=6_000)
    with pytest.raises(PlanLimitExceeded):
        reserve("launch:cmp_2", audience_per_campaign=6_000, at=DECEMBER)


def test_what_is_over_after_a_downgrade_lives_on_but_nothing_new_starts(
    growth: Subscription, scope: Scope, actor: Actor, reserve: Reserve, now: datetime
) -> None:
    for number in range(4):
        reserve(f"active:cmp_{number}", active_campaigns=1)
    change(scope, actor, "starter", now)

    line = next(line for line in reservations.usage(scope=scope, now=DECEMBER) if line.key == "active_campaigns")
    assert (line.used, line.allowed, line.left, line.tone) == (4, 2, 0, "bad")
    with pytest.raises(PlanLimitExceeded):
        reserve("active:cmp_9", active_campaigns=1, at=DECEMBER)


def test_a_planned_change_is_replaced_or_taken_back(
    growth: Subscription, scope: Scope, actor: Actor, now: datetime
) -> None:
    change(scope, actor, "starter", now)
    change(scope, actor, "free", now)
    assert plan_at(scope, DECEMBER) == "free"

    change(scope, actor, "growth", now)
    assert plan_at(scope, DECEMBER) == "growth"
    assert entitlements.coming(workspace_id=scope.workspace_id, now=now) is None
    said = AuditEntry.objects.filter(action="plan.changed").order_by("sequence")
    assert [entry.before for entry in said] == [
        {"plan": "growth"},
        {"plan": "growth", "coming": "starter"},
        {"plan": "growth", "coming": "free"},
    ], "a plan that was only coming was never the plan"


def test_the_same_plan_again_is_a_conflict(growth: Subscription, scope: Scope, actor: Actor, now: datetime) -> None:
    with pytest.raises(AlreadyOnPlan):
        change(scope, actor, "growth", now)


def test_an_unknown_plan_names_those_that_exist(scope: Scope, actor: Actor, now: datetime) -> None:
    with pytest.raises(Invalid) as refused:
        change(scope, actor, "green", now)
    assert refused.value.next_step == "Use one of: free, starter, growth, scale."
    assert refused.value.problems[0].pointer == "#/plan"
    assert not Subscription.objects.exists() and not AuditEntry.objects.exists()


def test_add_ons_add_up_and_end_with_the_period(
    growth: Subscription, scope: Scope, actor: Actor, now: datetime
) -> None:
    with transaction.atomic():
        for quantity in (1, 2):
            subscriptions.add_add_on(scope=scope, actor=actor, sku="email_10k", quantity=quantity, now=now)
    assert entitlements.effective(scope=scope, at=now).limits["included_email_volume"] == 130_000

    with transaction.atomic():
        assert subscriptions.end_add_on(scope=scope, actor=actor, sku="email_10k", now=now) == DECEMBER
    assert (
        entitlements.effective(scope=scope, at=DECEMBER - timedelta(seconds=1)).added("included_email_volume") == 30_000
    )
    assert entitlements.effective(scope=scope, at=DECEMBER).added("included_email_volume") == 0
    with pytest.raises(Conflict), transaction.atomic():
        subscriptions.end_add_on(scope=scope, actor=actor, sku="email_10k", now=now)
    changes = AuditEntry.objects.filter(action="addon.changed").order_by("pk")
    assert [entry.after and entry.after["units"] for entry in changes] == [1, 3, 0]


def test_billing_is_told_of_every_change_also_of_an_add_on_that_ends(
    growth: Subscription, scope: Scope, actor: Actor, now: datetime
) -> None:
    told: list[tuple[str, int, datetime]] = []

    class Noting(billing.LocalBilling):
        def add_on_changed(self, *, workspace_id: int, add_on: AddOn, quantity: int, effective_from: datetime) -> str:
            told.append((add_on.sku, quantity, effective_from))
            return f"bill-{len(told)}"

    before = billing.use(Noting())
    try:
        with transaction.atomic():
            for quantity in (1, 2):
                subscriptions.add_add_on(scope=scope, actor=actor, sku="email_10k", quantity=quantity, now=now)
            subscriptions.end_add_on(scope=scope, actor=actor, sku="email_10k", now=now)
    finally:
        billing.use(before)

    assert told == [("email_10k", 1, now), ("email_10k", 2, now), ("email_10k", -3, DECEMBER)]
    entry = AuditEntry.objects.filter(action="addon.changed").order_by("sequence").last()
    assert entry is not None and entry.after is not None and entry.after["billing"] == "bill-3"


def test_a_channel_is_bought_once(growth: Subscription, scope: Scope, actor: Actor, now: datetime) -> None:
    def add(quantity: int) -> None:
        with transaction.atomic():
            subscriptions.add_add_on(scope=scope, actor=actor, sku="sms", quantity=quantity, now=now)

    with pytest.raises(Invalid, match="once or not at all"):
        add(2)
    add(1)
    with pytest.raises(Conflict, match="has SMS channel already"):
        add(1)
    assert entitlements.effective(scope=scope, at=now).add_ons["sms"] == 1


def test_an_add_on_of_a_larger_plan_is_refused(scope: Scope, actor: Actor, now: datetime) -> None:
    with pytest.raises(NotForThisPlan), transaction.atomic():
        subscriptions.add_add_on(scope=scope, actor=actor, sku="sms", quantity=1, now=now)


@pytest.mark.parametrize("quantity", [0, -1, 101])
def test_a_senseless_quantity_is_refused(
    growth: Subscription, scope: Scope, actor: Actor, now: datetime, quantity: int
) -> None:
    with pytest.raises(Invalid), transaction.atomic():
        subscriptions.add_add_on(scope=scope, actor=actor, sku="email_10k", quantity=quantity, now=now)


def test_the_catalogue_labels_its_figures_and_every_plan_is_larger_than_the_one_before(now: datetime) -> None:
    sheet = catalogue.at(now)
    assert "Demo figures" in sheet.source and sheet.effective_from <= now
    plans = list(sheet.plans.values())
    for smaller, larger in pairwise(plans):
        assert larger.price > smaller.price and larger.rank == smaller.rank + 1
        assert smaller.channels <= larger.channels
        assert all((larger.limits[key] or 0) > (smaller.limits[key] or 0) for key in DIMENSIONS)
