"""Any order of reserve, adjust, settle, release, expire and plan changes, against a model that fits on one page."""

import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any
from uuid import uuid4

import pytest
import yaml
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from limits import holders, reservations, subscriptions, upkeep
from limits.asks import pool_of
from limits.models import Reservation, ReservationLine, UsageCounter, UsageEntry
from limits.reservations import Ask, PlanLimitExceeded
from limits.subscriptions import AlreadyOnPlan, NotForThisPlan
from projects import access
from projects.models import Environment, Project, Workspace
from projects.scoping import SYSTEM, Scope

pytestmark = pytest.mark.django_db
RAW = yaml.safe_load(resources.files("limits").joinpath("catalogue.yaml").read_text())["catalogues"][0]
PLANS = {each["id"]: each for each in RAW["plans"]}
RANK = list(PLANS)
VOLUME, MONTHLY, ACTIVE = "included_email_volume", "email_campaigns_per_month", "active_campaigns"
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
EXAMPLES = int(os.environ.get("LAMBA_TEST_EXAMPLES", "20"))
Key = tuple[str, datetime]


def month_of(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(moment: datetime) -> datetime:
    return month_of(month_of(moment) + 32 * DAY)


@dataclass
class Hold:
    """What one purpose has in the model."""

    held: dict[Key, int]
    expires: datetime | None
    state: str = "held"
    used: Counter[Key] = field(default_factory=Counter)
    events: set[str] = field(default_factory=set)


class Model:
    """The same promises, written down in the plainest way."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.plans: list[tuple[datetime, str]] = [(now - 9 * DAY, "starter")]
        self.extra: list[tuple[datetime, int]] = []
        self.holds: dict[str, Hold] = {}
        self.ended: list[Hold] = []

    def plan(self, at: datetime) -> str:
        return max((each for each in self.plans if each[0] <= at), key=lambda each: each[0])[1]

    def limit(self, key: str, at: datetime) -> int:
        bought = sum(n for since, n in self.extra if since <= at) if key == VOLUME else 0
        return int(PLANS[self.plan(at)]["limits"][key]) + bought

    def counts(self) -> dict[Key, tuple[int, int]]:
        used: Counter[Key] = Counter()
        held: Counter[Key] = Counter()
        for hold in [*self.ended, *self.holds.values()]:
            used.update(hold.used)
            held.update(hold.held)
        return {key: (used[key], held[key]) for key in used.keys() | held.keys() if used[key] or held[key]}

    def reserve(self, purpose: str, asks: dict[str, int], at: datetime, accept: int) -> bool:
        earlier = self.holds.get(purpose)
        if earlier and earlier.state in ("held", "settled"):
            return True
        lines = {(key, ALWAYS if key == ACTIVE else month_of(at)): n for key, n in asks.items()}
        if not all(self._fits(key, wanted, at, accept) for key, wanted in lines.items()):
            return False
        if earlier:
            self.ended.append(earlier)
        expires = max(at, self.now) + DAY if set(asks) - {ACTIVE} else None
        self.holds[purpose] = Hold(lines, expires)
        return True

    def _fits(self, key: Key, wanted: int, at: datetime, accept: int) -> bool:
        over = sum(self.counts().get(key, (0, 0))) + wanted - self.limit(key[0], at)
        if not wanted or over <= 0:
            return True
        overage = PLANS[self.plan(at)]["overage"]
        return key[0] == VOLUME and over <= overage.get("cap", 0) and min(wanted, over) <= accept

    def settle(self, purpose: str, quantity: int, event: str) -> None:
        hold = self.holds[purpose]
        key = next(each for each in hold.held if each[0] == VOLUME)
        if event not in hold.events and quantity:
            hold.events.add(event)
            hold.held[key] -= min(hold.held[key], quantity)
            hold.used[key] += quantity
        if hold.state == "held" and hold.expires and hold.expires < self.now + DAY / 2:
            hold.expires = self.now + DAY

    def end(self, purpose: str, state: str) -> None:
        hold = self.holds.get(purpose)
        if hold is None or hold.state != "held":
            return
        hold.state = "settled" if hold.used else state
        for key in hold.held:
            if hold.used and key[0] == MONTHLY:
                hold.used[key] += hold.held[key]
            hold.held[key] = 0

    def expire(self) -> None:
        for purpose, hold in self.holds.items():
            if hold.expires and hold.expires <= self.now:
                self.end(purpose, "expired")

    def change_plan(self, plan: str) -> bool:
        present, planned = self.plan(self.now), [each for each in self.plans if each[0] > self.now]
        if plan == (planned[0][1] if planned else present):
            return False
        self.plans = [each for each in self.plans if each[0] <= self.now]
        if plan != present:
            up = RANK.index(plan) > RANK.index(present)
            self.plans.append((self.now if up else month_after(self.now), plan))
        return True


class Machine(RuleBasedStateMachine):
    """Each step is done to the model and to the database; afterwards both say the same."""

    @initialize()
    def begin(self) -> None:
        self.model = Model(datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
        self.scope = new_scope()
        with transaction.atomic():
            subscriptions.start(workspace_id=self.scope.workspace_id, plan="starter", now=self.model.plans[0][0])

    PURPOSES = st.sampled_from([f"launch:cmp_{number}:1" for number in range(5)])
    VOLUMES = st.sampled_from([0, 300, 1_000, 6_000, 19_000, 31_000])
    DAYS = st.sampled_from([0, 0, 9, 14, 45])
    ACCEPT = st.sampled_from([0, 4_000, 1_000_000])

    @rule(purpose=PURPOSES, volume=VOLUMES, days=DAYS, accept=ACCEPT)
    def reserve(self, purpose: str, volume: int, days: int, accept: int) -> None:
        self._hold(reservations.reserve, purpose, volume, days, accept)

    @rule(purpose=PURPOSES, volume=VOLUMES, days=DAYS, accept=ACCEPT)
    def adjust(self, purpose: str, volume: int, days: int, accept: int) -> None:
        """As between a launch and its start: nothing of the hold is used yet."""
        hold = self.model.holds.get(purpose)
        assume(hold is None or not hold.used)
        before = self.model.holds.copy()
        if hold and hold.state == "held":
            self.model.ended.append(Hold({}, None))
            self.model.holds.pop(purpose)
        if not self._hold(reservations.adjust, purpose, volume, days, accept):
            self.model.holds = before

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data(), quantity=st.sampled_from([0, 1, 250, 7_000]), event=st.sampled_from("abc"))
    def settle(self, data: Any, quantity: int, event: str) -> None:
        purpose = data.draw(st.sampled_from(sorted(self.model.holds)))
        self.model.settle(purpose, quantity, event)
        given: dict[str, Any] = {"key": VOLUME, "quantity": quantity, "event_key": event, "now": self.model.now}
        with transaction.atomic():
            reservations.settle(scope=self.scope, purpose=purpose, **given)

    @rule(purpose=PURPOSES)
    def release(self, purpose: str) -> None:
        self.model.end(purpose, "released")
        with transaction.atomic():
            reservations.release(scope=self.scope, purpose=purpose, now=self.model.now)

    @rule(hours=st.sampled_from([1, 13, 25, 24 * 12]))
    def time_passes(self, hours: int) -> None:
        self.model.now += timedelta(hours=hours)
        self.model.expire()
        upkeep.expire(now=self.model.now)

    @rule(plan=st.sampled_from(RANK))
    def change_plan(self, plan: str) -> None:
        self.model.now += timedelta(seconds=1)
        expected = self.model.change_plan(plan)
        try:
            with transaction.atomic():
                subscriptions.change_plan(scope=self.scope, actor=SYSTEM, plan=plan, now=self.model.now)
            assert expected
        except AlreadyOnPlan:
            assert not expected

    @rule()
    def add_volume(self) -> None:
        sold = self.model.plan(self.model.now) != "free"
        given: dict[str, Any] = {"sku": "email_10k", "quantity": 1, "now": self.model.now}
        try:
            with transaction.atomic():
                subscriptions.add_add_on(scope=self.scope, actor=SYSTEM, **given)
            assert sold
            self.model.extra.append((self.model.now, 10_000))
        except NotForThisPlan:
            assert not sold

    @invariant()
    def both_say_the_same(self) -> None:
        if not hasattr(self, "scope"):
            return
        pool = pool_of(self.scope)
        rows = UsageCounter.objects.filter(pool=pool).exclude(used=0, reserved=0)
        counters = {(row.limit_key, row.period_start): (row.used, row.reserved) for row in rows}
        assert counters == self.model.counts()
        sums = (
            UsageEntry.objects.filter(pool=pool)
            .values_list("limit_key", "period_start")
            .annotate(used=Sum("delta_used"), reserved=Sum("delta_reserved"))
        )
        assert {(key, start): (used, held) for key, start, used, held in sums if used or held} == counters
        held = ReservationLine.objects.within(self.scope).exclude(reservation__state="held").filter(held__gt=0)
        assert not held.exists(), "only a reservation that is held holds anything"
        states = Reservation.objects.within(self.scope).order_by("pk").values_list("purpose", "state")
        assert dict(states) == {purpose: hold.state for purpose, hold in self.model.holds.items()}

    def _hold(self, call: Any, purpose: str, volume: int, days: int, accept: int) -> bool:
        at = self.model.now + days * DAY
        asks = {VOLUME: volume, MONTHLY: 1, ACTIVE: 1}
        expected = self.model.reserve(purpose, asks, at, accept)
        given = {"purpose": purpose, "at": at, "accept_overage": accept, "now": self.model.now}
        try:
            with transaction.atomic():
                call(scope=self.scope, actor=SYSTEM, asks=[Ask(*each) for each in asks.items()], **given)
            assert expected, "held what the plan does not have"
        except PlanLimitExceeded:
            assert not expected, "refused what the plan has"
        return expected


def new_scope() -> Scope:
    workspace = Workspace.objects.create(slug=f"w-{uuid4().hex[:12]}", name="W")
    project = Project.objects.create(workspace=workspace, slug="app", name="App")
    return access.scope_of(Environment.objects.create(project=project, name="production"))


def test_the_books_of_capacity_follow_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "_holders", {})
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert upkeep.prove(now=datetime(2026, 11, 20, tzinfo=UTC)) == []
