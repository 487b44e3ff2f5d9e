"""Expiry and the proof of the counters."""

from datetime import datetime, timedelta

import pytest
from django.db import transaction

from audit.models import AuditEntry
from conftest import World
from limits import holders, reservations, tasks, upkeep
from limits.models import Reservation, Subscription, UsageCounter
from limits.reservations import PlanLimitExceeded
from limits.tests.conftest import Reserve
from projects.scoping import Scope

pytestmark = pytest.mark.django_db
LATER = reservations.HOLD_TIME + timedelta(seconds=1)


def test_a_hold_that_nobody_claims_expires(growth: Subscription, reserve: Reserve, scope: Scope, now: datetime) -> None:
    reserve("launch:cmp_1", included_email_volume=40, active_campaigns=1)

    assert upkeep.expire(now=now + timedelta(hours=1)) == 0
    assert upkeep.expire(now=now + LATER) == 1
    assert set(UsageCounter.objects.values_list("reserved", flat=True)) == {0}
    row = Reservation.objects.within(scope).get()
    assert (row.state, row.ended_at) == ("expired", now + LATER)


def test_a_hold_for_a_later_send_waits_for_it(growth: Subscription, reserve: Reserve, now: datetime) -> None:
    reserve("launch:cmp_1", included_email_volume=40, at=now + timedelta(days=3))
    assert upkeep.expire(now=now + timedelta(days=3)) == 0


def test_a_gauge_lives_until_it_is_released(growth: Subscription, reserve: Reserve, now: datetime) -> None:
    reserve("template:tpl_1", templates=1)
    assert upkeep.expire(now=now + timedelta(days=900)) == 0


def test_a_running_campaign_keeps_its_hold(
    growth: Subscription, reserve: Reserve, scope: Scope, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders, "_holders", {"launch:": lambda _, purpose: purpose == "launch:cmp_1"})
    reserve("launch:cmp_1", included_email_volume=40)
    reserve("launch:cmp_2", included_email_volume=2)

    assert upkeep.expire(now=now + LATER) == 1
    kept = Reservation.objects.within(scope).get(purpose="launch:cmp_1")
    assert (kept.state, kept.expires_at) == ("held", now + LATER + reservations.HOLD_TIME)
    assert UsageCounter.objects.get().reserved == 40


def test_settling_keeps_a_hold_alive(growth: Subscription, reserve: Reserve, scope: Scope, now: datetime) -> None:
    reserve("launch:cmp_1", included_email_volume=40)
    with transaction.atomic():
        reservations.settle(
            scope=scope,
            purpose="launch:cmp_1",
            key="included_email_volume",
            quantity=1,
            event_key="1",
            now=now + timedelta(hours=20),
        )
    assert upkeep.expire(now=now + LATER) == 0


def test_a_counter_that_drifted_is_repaired_and_the_repair_is_audited(
    growth: Subscription, reserve: Reserve, world: World, now: datetime
) -> None:
    reserve("launch:cmp_1", included_email_volume=40)
    reserve("launch:cmp_1", included_email_volume=7, into=world.sandbox)
    UsageCounter.objects.update(used=9, reserved=1)

    repairs = upkeep.prove(now=now)

    assert sorted((repair.before, repair.after) for repair in repairs) == [((9, 1), (0, 7)), ((9, 1), (0, 40))]
    assert sorted(UsageCounter.objects.values_list("used", "reserved")) == [(0, 7), (0, 40)]
    entries = AuditEntry.objects.filter(action="limit.counter_repaired").order_by("pk")
    assert {(entry.environment_id, entry.workspace_public_id) for entry in entries} == {
        (None, world.workspace.public_id),
        (world.sandbox.environment_id, world.workspace.public_id),
    }
    assert upkeep.prove(now=now) == []


def test_a_counter_that_was_deleted_comes_back(
    growth: Subscription, reserve: Reserve, scope: Scope, now: datetime
) -> None:
    reserve("launch:cmp_1", included_email_volume=40, active_campaigns=1)
    before = sorted(UsageCounter.objects.values_list("limit_key", "period_start", "period_end", "reserved"))
    UsageCounter.objects.all().delete()

    repairs = sorted((repair.before, repair.after) for repair in upkeep.prove(now=now))
    assert repairs == [((0, 0), (0, 1)), ((0, 0), (0, 40))]
    assert sorted(UsageCounter.objects.values_list("limit_key", "period_start", "period_end", "reserved")) == before
    assert AuditEntry.objects.filter(action="limit.counter_repaired").count() == 2
    with pytest.raises(PlanLimitExceeded):
        reserve("launch:cmp_2", included_email_volume=99_961)


def test_the_tasks_ring_upkeep(growth: Subscription, reserve: Reserve, now: datetime) -> None:
    reserve("launch:cmp_1", included_email_volume=40, at=now - timedelta(days=900))
    Reservation.objects.across_environments("test").update(expires_at=now - timedelta(days=900))
    tasks.expire_reservations()
    tasks.prove_counters()
    assert set(UsageCounter.objects.values_list("reserved", flat=True)) == {0}
