"""Many launches at once: never more than the plan has, never a deadlock, never a leak. With a control that races."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from random import Random

import pytest
from django.db import OperationalError, connection, transaction

from conftest import World
from lamba_campaigns.lib import sql
from limits import reservations, subscriptions, upkeep
from limits.models import Reservation, UsageCounter, UsageEntry
from limits.reservations import Ask, PlanLimitExceeded
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db(transaction=True)
THREADS, TRIES = 8, 12


@pytest.fixture
def scope(transactional_db: None, world: World, now: datetime) -> Scope:
    with transaction.atomic():
        subscriptions.start(
            workspace_id=world.workspace.pk,
            plan="growth",
            now=now - timedelta(days=1),
            overrides={"included_email_volume": 500, "email_campaigns_per_month": 1_000, "active_campaigns": 1_000},
        )
    return world.production


def hammer(scope: Scope, actor: Actor, now: datetime, asks: Sequence[Ask]) -> tuple[int, int, int]:
    """(held, refused, deadlocked) of THREADS times TRIES launches, each with its asks in another order."""

    def work(thread: int) -> list[str]:
        found = []
        for number in range(TRIES):
            mixed = Random(thread * TRIES + number).sample(list(asks), len(asks))
            try:
                with transaction.atomic():
                    reservations.reserve(
                        scope=scope, actor=actor, purpose=f"launch:cmp_{thread}_{number}", asks=mixed, at=now, now=now
                    )
                found.append("held")
            except PlanLimitExceeded:
                found.append("refused")
            except OperationalError:
                found.append("deadlocked")
        connection.close()
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        results = [each for found in pool.map(work, range(THREADS)) for each in found]
    return results.count("held"), results.count("refused"), results.count("deadlocked")


LAUNCH = (Ask("included_email_volume", 70), Ask("email_campaigns_per_month", 1), Ask("active_campaigns", 1))


def test_exactly_what_fits_is_held_and_nothing_deadlocks(scope: Scope, actor: Actor, now: datetime) -> None:
    assert hammer(scope, actor, now, LAUNCH) == (7, THREADS * TRIES - 7, 0)

    counters = dict(UsageCounter.objects.values_list("limit_key", "reserved"))
    assert counters == {"included_email_volume": 490, "email_campaigns_per_month": 7, "active_campaigns": 7}
    assert upkeep.prove(now=now) == []


SLOWLY = "FROM pg_sleep(0.02);"  # time for the others between reading and writing, as on a busy machine


def test_what_moved_between_reading_and_writing_is_judged_again(
    scope: Scope, actor: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    swift = sql.statement
    monkeypatch.setattr(
        sql,
        "statement",
        lambda app, name: swift(app, name).replace(";", SLOWLY) if name == "reserve" else swift(app, name),
    )
    assert hammer(scope, actor, now, LAUNCH) == (7, THREADS * TRIES - 7, 0)
    assert upkeep.prove(now=now) == []


def test_control_without_the_guard_the_plan_is_overrun(
    scope: Scope, actor: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = sql.statement

    def unguarded(app: str, name: str) -> str:
        text = guarded(app, name)
        if name == "reserve":
            return text.replace("%(ceilings)s", "array_fill(NULL::bigint, ARRAY[9])").replace(";", SLOWLY)
        return text

    monkeypatch.setattr(sql, "statement", unguarded)
    held, _, _ = hammer(scope, actor, now, LAUNCH)

    assert held > 7, "the guard is what the tests before prove"


def test_overage_is_charged_for_what_really_lies_over_the_limit(
    scope: Scope, actor: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    swift = sql.statement
    monkeypatch.setattr(
        sql,
        "statement",
        lambda app, name: swift(app, name).replace(";", SLOWLY) if name == "reserve" else swift(app, name),
    )

    def work(number: int) -> None:
        try:
            with transaction.atomic():
                asks = [Ask("included_email_volume", 90)]
                given = {"purpose": f"launch:cmp_{number}", "asks": asks, "accept_overage": 90, "at": now, "now": now}
                reservations.reserve(scope=scope, actor=actor, **given)  # type: ignore[arg-type]
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(12)))
    rows = Reservation.objects.within(scope)
    assert UsageCounter.objects.get().reserved == 12 * 90
    assert sum(rows.values_list("overage_quantity", flat=True)) == 12 * 90 - 500


def test_one_purpose_from_many_threads_is_held_once(scope: Scope, actor: Actor, now: datetime) -> None:
    def work(_: int) -> int:
        try:
            with transaction.atomic():
                return reservations.reserve(
                    scope=scope, actor=actor, purpose="launch:cmp_1", asks=LAUNCH, at=now, now=now
                ).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        assert len(set(pool.map(work, range(THREADS * 3)))) == 1
    assert UsageCounter.objects.get(limit_key="included_email_volume").reserved == 70


def test_launches_that_end_in_any_way_leave_nothing_behind(scope: Scope, actor: Actor, now: datetime) -> None:
    def work(number: int) -> None:
        purpose, dice = f"launch:cmp_{number}", Random(number)
        try:
            with transaction.atomic():
                reservations.reserve(
                    scope=scope, actor=actor, purpose=purpose, asks=[Ask("included_email_volume", 20)], at=now, now=now
                )
            for chunk in range(dice.randint(0, 3)):
                for _ in range(dice.randint(1, 2)):  # a chunk that reports twice
                    with transaction.atomic():
                        reservations.settle(
                            scope=scope,
                            purpose=purpose,
                            key="included_email_volume",
                            quantity=4,
                            event_key=f"chunk:{chunk}",
                            now=now,
                        )
            if dice.random() < 0.6:  # the others crash: nobody releases them
                with transaction.atomic():
                    reservations.release(scope=scope, purpose=purpose, now=now)
        except PlanLimitExceeded:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(60)))
    upkeep.expire(now=now + reservations.HOLD_TIME + timedelta(hours=24))

    assert UsageCounter.objects.get().reserved == 0
    assert not Reservation.objects.within(scope).filter(state="held").exists()
    assert sum(UsageEntry.objects.values_list("delta_used", flat=True)) == UsageCounter.objects.get().used
    assert upkeep.prove(now=now) == []
