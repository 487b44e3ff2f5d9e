"""reserve, settle, release: what is held is held once, and never more than the plan has."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from audit.models import AuditEntry
from conftest import World
from limits import reservations, subscriptions
from limits.models import LimitWarning, Reservation, Subscription, UsageCounter, UsageEntry
from limits.reservations import Ask, PlanLimitExceeded
from limits.tests.conftest import Reserve
from projects.scoping import Actor, Scope
from webhooks.models import OutboxEvent

pytestmark = pytest.mark.django_db


def counter(key: str, pool: str | None = None) -> tuple[int, int]:
    rows = UsageCounter.objects.filter(limit_key=key, **({"pool": pool} if pool else {}))
    row = rows.first()
    return (row.used, row.reserved) if row else (0, 0)


def test_all_asks_of_a_launch_are_held_together(growth: Subscription, reserve: Reserve, now: datetime) -> None:
    found = reserve("launch:cmp_1", included_email_volume=40, email_campaigns_per_month=1, active_campaigns=1)

    assert found.state == "held" and found.plan == "growth"
    assert counter("included_email_volume") == (0, 40)
    assert counter("email_campaigns_per_month") == (0, 1)
    assert counter("active_campaigns") == (0, 1)
    assert found.expires_at == now + reservations.HOLD_TIME


def test_a_second_reserve_for_one_purpose_changes_nothing(growth: Subscription, reserve: Reserve) -> None:
    first = reserve("launch:cmp_1", included_email_volume=40)
    again = reserve("launch:cmp_1", included_email_volume=40)

    assert again.pk == first.pk
    assert counter("included_email_volume") == (0, 40)
    assert UsageEntry.objects.count() == 1


def test_a_refused_launch_holds_nothing_at_all(growth: Subscription, reserve: Reserve) -> None:
    with pytest.raises(PlanLimitExceeded):
        reserve("launch:cmp_1", active_campaigns=1, templates=26)

    assert counter("active_campaigns") == (0, 0) and counter("templates") == (0, 0)
    assert not Reservation.objects.across_environments("test").exists() and not UsageEntry.objects.exists()


def test_the_last_unit_fits_and_the_next_does_not(growth: Subscription, reserve: Reserve) -> None:
    for number in range(5):
        reserve(f"active:cmp_{number}", active_campaigns=1)

    with pytest.raises(PlanLimitExceeded) as refused:
        reserve("active:cmp_6", active_campaigns=1)
    assert refused.value.extra["allowed"] == 5 and refused.value.extra["current"] == 6
    asked = refused.value.extra["violations"][0]
    assert (asked["used"], asked["reserved"]) == (5, 0), "as the list of limits says it"


def test_settling_moves_reserved_to_used_once_per_event(
    growth: Subscription, reserve: Reserve, scope: Scope, now: datetime
) -> None:
    reserve("launch:cmp_1", included_email_volume=40)

    for _ in range(2):
        with transaction.atomic():
            settle(scope, now, 25, "chunk:1")
    assert counter("included_email_volume") == (25, 15)


def settle(scope: Scope, now: datetime, quantity: int, event: str, key: str = "included_email_volume") -> None:
    with transaction.atomic():
        reservations.settle(scope=scope, purpose="launch:cmp_1", key=key, quantity=quantity, event_key=event, now=now)


def release(scope: Scope, now: datetime) -> None:
    with transaction.atomic():
        reservations.release(scope=scope, purpose="launch:cmp_1", now=now)


def test_release_gives_back_what_is_left_and_repeats_harmlessly(
    growth: Subscription, reserve: Reserve, scope: Scope, now: datetime
) -> None:
    reserve("launch:cmp_1", included_email_volume=40, active_campaigns=1, email_campaigns_per_month=1)
    settle(scope, now, 25, "chunk:1")

    release(scope, now)
    release(scope, now)

    assert counter("included_email_volume") == (25, 0)
    assert counter("active_campaigns") == (0, 0)
    assert counter("email_campaigns_per_month") == (1, 0), "something was sent, so the month's count stays"
    assert Reservation.objects.within(scope).get().state == "settled"


def test_a_launch_cancelled_before_the_first_message_frees_its_count(
    growth: Subscription, reserve: Reserve, scope: Scope, now: datetime
) -> None:
    reserve("launch:cmp_1", included_email_volume=40, email_campaigns_per_month=1)
    release(scope, now)

    assert counter("email_campaigns_per_month") == (0, 0)
    assert Reservation.objects.within(scope).get().state == "released"
    assert reserve("launch:cmp_1", included_email_volume=10).state == "held", "a released purpose may hold anew"


def test_more_accepted_than_held_still_counts(
    growth: Subscription, reserve: Reserve, scope: Scope, now: datetime
) -> None:
    reserve("launch:cmp_1", included_email_volume=10)
    settle(scope, now, 13, "chunk:1")
    release(scope, now)
    settle(scope, now, 2, "late")

    assert counter("included_email_volume") == (15, 0)


def test_adjust_replaces_the_hold_and_keeps_it_when_refused(
    growth: Subscription, reserve: Reserve, scope: Scope, actor: Actor, now: datetime
) -> None:
    reserve("launch:cmp_1", included_email_volume=40, active_campaigns=1)

    def adjust(quantity: int) -> None:
        asks = [Ask("included_email_volume", quantity), Ask("active_campaigns", 1)]
        reservations.adjust(scope=scope, actor=actor, purpose="launch:cmp_1", asks=asks, at=now, now=now)

    adjust(60)
    assert counter("included_email_volume") == (0, 60) and counter("active_campaigns") == (0, 1)
    with pytest.raises(PlanLimitExceeded):
        adjust(100_001)
    assert counter("included_email_volume") == (0, 60) and counter("active_campaigns") == (0, 1)


def test_check_says_what_reserve_would_refuse_and_writes_nothing(
    growth: Subscription, reserve: Reserve, scope: Scope, now: datetime
) -> None:
    asks = [Ask("audience_per_campaign", 61_840), Ask("included_email_volume", 100_001), Ask("channel.sms", 1)]

    found = reservations.check(scope=scope, asks=asks, at=now, now=now)

    with pytest.raises(PlanLimitExceeded) as refused:
        reserve("launch:cmp_1", asks=asks)
    assert [each.as_json() for each in found] == refused.value.extra["violations"]
    assert [each.limit for each in found] == ["channel.sms", "audience_per_campaign", "included_email_volume"]
    assert not UsageCounter.objects.exists(), "a check makes no counter, and a refusal rolls its counters back"


def test_what_a_purpose_holds_is_not_counted_against_itself(
    growth: Subscription, reserve: Reserve, scope: Scope, now: datetime
) -> None:
    reserve("launch:cmp_1", included_email_volume=100_000)
    asks = [Ask("included_email_volume", 100_000)]

    assert reservations.check(scope=scope, asks=asks, at=now, now=now, purpose="launch:cmp_1") == ()
    assert len(reservations.check(scope=scope, asks=asks, at=now, now=now)) == 1


def test_the_send_time_picks_the_period(growth: Subscription, reserve: Reserve, now: datetime) -> None:
    reserve("launch:cmp_1", included_email_volume=100_000)
    later = reserve("launch:cmp_2", included_email_volume=100_000, at=now + timedelta(days=10))

    assert later.expires_at == now + timedelta(days=10) + reservations.HOLD_TIME
    rows = UsageCounter.objects.order_by("period_start").values_list("period_start__month", "reserved")
    assert list(rows) == [(11, 100_000), (12, 100_000)]


def test_sandbox_and_strangers_have_counters_of_their_own(growth: Subscription, reserve: Reserve, world: World) -> None:
    reserve("launch:cmp_1", included_email_volume=100_000)
    reserve("launch:cmp_1", included_email_volume=100_000, into=world.sandbox)
    with pytest.raises(PlanLimitExceeded) as refused:
        reserve("launch:cmp_1", included_email_volume=1_001, into=world.stranger)

    assert refused.value.extra["plan"] == "free"
    pools = sorted(UsageCounter.objects.values_list("pool", "reserved"))
    assert pools == [
        (f"sandbox:{world.sandbox.environment_id}", 100_000),
        (f"workspace:{world.production.workspace_id}", 100_000),
    ]


def test_overage_needs_consent_and_is_recorded_with_who_and_how_much(
    growth: Subscription, reserve: Reserve, scope: Scope
) -> None:
    reserve("launch:cmp_1", included_email_volume=78_100)
    for accepted in (None, 39_939):
        with pytest.raises(PlanLimitExceeded):
            reserve("launch:cmp_2", included_email_volume=61_840, accept_overage=accepted)

    found = reserve("launch:cmp_2", included_email_volume=61_840, accept_overage=39_940)

    assert (found.overage_quantity, str(found.overage_amount), found.actor_label) == (39_940, "31.95", "Alice")
    entry = AuditEntry.objects.get(action="limit.overage_reserved")
    assert entry.after is not None and entry.after["messages"] == 39_940 and entry.after["estimate"] == "31.95"


def test_overage_of_an_earlier_launch_is_not_charged_again(growth: Subscription, reserve: Reserve) -> None:
    reserve("launch:cmp_1", included_email_volume=110_000, accept_overage=10_000)

    assert reserve("launch:cmp_2", included_email_volume=5, accept_overage=5).overage_quantity == 5


def test_overage_stops_at_the_cap_of_the_plan(growth: Subscription, reserve: Reserve) -> None:
    reserve("launch:cmp_1", included_email_volume=200_000, accept_overage=100_000)
    with pytest.raises(PlanLimitExceeded) as refused:
        reserve("launch:cmp_2", included_email_volume=1, accept_overage=1)

    assert "accept_overage" not in [way["kind"] for way in refused.value.extra["remedies"]]


def test_add_ons_count_at_once(
    growth: Subscription, reserve: Reserve, scope: Scope, actor: Actor, now: datetime
) -> None:
    with transaction.atomic():
        reservations.add_add_on(scope=scope, actor=actor, sku="email_50k", quantity=2, now=now)
        reservations.add_add_on(scope=scope, actor=actor, sku="sms", quantity=1, now=now)

    found = reserve("launch:cmp_1", asks=[Ask("included_email_volume", 200_000), Ask("channel.sms", 1)])
    assert found.overage_quantity == 0


def test_overrides_of_a_workspace_win_over_the_plan(scope: Scope, reserve: Reserve, now: datetime) -> None:
    with transaction.atomic():
        subscriptions.start(
            workspace_id=scope.workspace_id,
            plan="free",
            now=now,
            overrides={"templates": None, "active_campaigns": 0},
        )

    assert reserve("template:tpl_1", templates=10_000).state == "held"
    with pytest.raises(PlanLimitExceeded):
        reserve("active:cmp_1", active_campaigns=1)


def test_warnings_come_once_per_threshold_and_as_events(growth: Subscription, reserve: Reserve, scope: Scope) -> None:
    for number, quantity in enumerate((79_999, 1, 5, 19_995, 1)):
        reserve(f"launch:cmp_{number}", included_email_volume=quantity, accept_overage=1)

    rows = LimitWarning.objects.within(scope).order_by("pk").values_list("threshold", "current")
    assert list(rows) == [(80, 80_000), (100, 100_000), (101, 100_001)]
    types = OutboxEvent.objects.within(scope).order_by("pk").values_list("type", flat=True)
    assert list(types) == ["limit.warning", "limit.warning", "limit.exceeded"]


def test_a_settle_past_the_hold_warns_at_once_and_once(
    growth: Subscription, reserve: Reserve, scope: Scope, now: datetime
) -> None:
    reserve("launch:cmp_1", included_email_volume=79_990)
    settle(scope, now, 79_990, "chunk:1")
    settle(scope, now, 9, "chunk:2")
    assert not LimitWarning.objects.within(scope).exists()

    for event, quantity in (("chunk:3", 20_000), ("chunk:3", 20_000), ("chunk:4", 2)):
        settle(scope, now, quantity, event)

    rows = LimitWarning.objects.within(scope).order_by("pk").values_list("threshold", "current")
    assert list(rows) == [(80, 99_999), (100, 100_001), (101, 100_001)]
    types = OutboxEvent.objects.within(scope).order_by("pk").values_list("type", flat=True)
    assert list(types) == ["limit.warning", "limit.warning", "limit.exceeded"]


@pytest.mark.parametrize("change", ["UPDATE limits_usageentry SET delta_used = 9", "DELETE FROM limits_usageentry"])
def test_usage_entries_are_append_only(growth: Subscription, reserve: Reserve, change: str) -> None:
    reserve("launch:cmp_1", included_email_volume=40)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def test_the_402_has_exactly_this_shape(growth: Subscription, reserve: Reserve, scope: Scope) -> None:
    reserve("launch:cmp_1", included_email_volume=78_100)
    with pytest.raises(PlanLimitExceeded) as refused:
        reserve("launch:cmp_2", audience_per_campaign=61_840, included_email_volume=61_840)

    error = refused.value
    page = f"http://localhost:8000/{scope.path}/plan/"
    words = (
        "This needs 61,840 people; one campaign may have 50,000. Email volume: this needs 61,840 messages; "
        "21,900 of 100,000 remain until 1 Dec 2026 00:00 UTC."
    )
    assert (error.status, error.code, error.detail) == (402, "PLAN_LIMIT_EXCEEDED", words)
    assert error.extra == {
        "error": "PLAN_LIMIT_EXCEEDED",
        "limit": "audience_per_campaign",
        "allowed": 50_000,
        "current": 61_840,
        "plan": "growth",
        "message": words,
        "planName": "Growth",
        "catalogueVersion": "2026-11-01",
        "workspace": scope.workspace,
        "project": scope.project,
        "environment": "production",
        "violations": _violations_of_402(),
        "remedies": _remedies_of_402(page),
    }


def _violations_of_402() -> list[dict[str, Any]]:
    november: dict[str, Any] = {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z", "timeZone": "UTC"}
    return [
        {
            "limit": "audience_per_campaign",
            "label": "Audience per campaign",
            "kind": "cap",
            "unit": "person",
            "requested": 61_840,
            "allowed": 50_000,
            "included": 50_000,
            "addOns": 0,
            "used": 0,
            "reserved": 0,
            "available": 50_000,
            "shortfall": 11_840,
            "period": None,
            "overagePolicy": "block",
        },
        {
            "limit": "included_email_volume",
            "label": "Email volume",
            "kind": "counter",
            "unit": "message",
            "requested": 61_840,
            "allowed": 100_000,
            "included": 100_000,
            "addOns": 0,
            "used": 0,
            "reserved": 78_100,
            "available": 21_900,
            "shortfall": 39_940,
            "period": november,
            "overagePolicy": "allow",
        },
    ]


def _remedies_of_402(page: str) -> list[dict[str, Any]]:
    return [
        {
            "kind": "upgrade",
            "label": "Upgrade to Scale",
            "plan": "scale",
            "planName": "Scale",
            "price": {"amount": "399.00", "currency": "USD"},
            "url": f"{page}?confirm=plan-scale",
            "action": {"method": "PATCH", "path": "/api/v1/plan", "body": {"plan": "scale"}},
            "resolves": ["audience_per_campaign", "included_email_volume"],
        },
        {
            "kind": "add_on",
            "label": "Add 50,000 emails, $25",
            "sku": "email_50k",
            "quantity": 1,
            "price": {"amount": "25.00", "currency": "USD"},
            "url": f"{page}?confirm=add-email_50k",
            "action": {
                "method": "POST",
                "path": "/api/v1/add-ons",
                "body": {"sku": "email_50k", "quantity": 1},
            },
            "resolves": ["included_email_volume"],
        },
        {
            "kind": "accept_overage",
            "label": "Accept 39,940 over the limit, $31.95",
            "quantity": 39_940,
            "estimate": {"amount": "31.95", "currency": "USD"},
            "how": "Repeat the request with acceptOverage=39940.",
            "change": {"acceptOverage": 39_940},
            "resolves": ["included_email_volume"],
        },
        {
            "kind": "reduce_audience",
            "label": "Reduce the audience to 21,900",
            "max": 21_900,
            "change": {"totalCap": 21_900},
            "resolves": ["audience_per_campaign", "included_email_volume"],
        },
        {
            "kind": "wait",
            "label": "Wait until 1 Dec 2026 00:00 UTC",
            "until": "2026-12-01T00:00:00Z",
            "change": {"scheduledAt": "2026-12-01T00:00:00Z"},
            "resolves": ["included_email_volume"],
        },
    ]
