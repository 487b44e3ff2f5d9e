"""Every way out that a refusal names really clears the limits that it says it resolves."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from limits import reservations, subscriptions
from limits.reservations import Ask
from limits.tests.test_machine import new_scope
from projects.scoping import SYSTEM, Scope

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
EXAMPLES = int(os.environ.get("LAMBA_TEST_EXAMPLES", "25"))
VOLUME, AUDIENCE, ACTIVE = "included_email_volume", "audience_per_campaign", "active_campaigns"
MONTHLY = "email_campaigns_per_month"


class Undo(Exception):
    pass


@hypothesis_settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    plan=st.sampled_from(["free", "starter", "growth", "scale"]),
    held=st.sampled_from([0, 900, 19_000, 25_000, 99_000, 900_000]),
    ahead=st.sampled_from([0, 1_000, 20_000]),
    running=st.integers(0, 5),
    people=st.sampled_from([1, 600, 6_000, 60_000, 300_000]),
    channel=st.sampled_from(["email", "webhook", "sms"]),
    downgrade=st.booleans(),
)
def test_every_remedy_resolves_what_it_says(
    plan: str, held: int, ahead: int, running: int, people: int, channel: str, downgrade: bool
) -> None:
    where = _crowded(plan, held, ahead, running, downgrade)
    asks = [Ask(f"channel.{channel}", 1), Ask(ACTIVE, 1), Ask(MONTHLY, 1), Ask(AUDIENCE, people), Ask(VOLUME, people)]
    refusal = reservations.refusal_of(scope=where, asks=asks, at=NOW, now=NOW)
    if refusal is None:
        return
    assert {each["limit"] for each in refusal.extra["violations"]} == _violated(where, asks, NOW)
    for way in refusal.extra["remedies"]:
        try:
            with transaction.atomic():
                left = _take(way, where, asks)
                raise Undo
        except Undo:
            assert not left & set(way["resolves"]), way


def _crowded(plan: str, held: int, ahead: int, running: int, downgrade: bool) -> Scope:
    """A workspace that held so much on a large plan, has something held in the next period, and is on `plan` now."""
    where = new_scope()
    with transaction.atomic():
        subscriptions.start(workspace_id=where.workspace_id, plan="scale", now=NOW - timedelta(days=40))
        for name, asks, at in (
            ("now", [Ask(VOLUME, held), Ask(ACTIVE, running), Ask(MONTHLY, running)], NOW),
            ("ahead", [Ask(VOLUME, ahead)], datetime(2026, 12, 5, tzinfo=UTC)),
        ):
            reservations.reserve(scope=where, actor=SYSTEM, purpose=f"launch:{name}:1", asks=asks, at=at, now=NOW)
        subscriptions.start(workspace_id=where.workspace_id, plan=plan, now=NOW - timedelta(days=1))
        if downgrade and plan != "free":
            subscriptions.change_plan(scope=where, actor=SYSTEM, plan="free", now=NOW - timedelta(hours=1))
    return where


def _take(way: dict[str, Any], where: Scope, asks: list[Ask]) -> set[str]:
    """Go this way; the limits that are in the way afterwards."""
    at = NOW + timedelta(seconds=1)
    if way["kind"] == "upgrade":
        subscriptions.change_plan(scope=where, actor=SYSTEM, plan=way["plan"], now=NOW)
    if way["kind"] == "add_on":
        given = {"sku": way["sku"], "quantity": way["quantity"]}
        subscriptions.add_add_on(scope=where, actor=SYSTEM, now=NOW, **given)
    if way["kind"] == "wait":
        at = datetime.fromisoformat(way["until"])
    if way["kind"] == "reduce_audience":
        asks = [Ask(ask.key, way["max"] if ask.key in (VOLUME, AUDIENCE) else ask.quantity) for ask in asks]
    return _violated(where, asks, at, way.get("quantity") if way["kind"] == "accept_overage" else None)


def _violated(where: Scope, asks: list[Ask], at: datetime, accept: int | None = None) -> set[str]:
    found = reservations.check(scope=where, asks=asks, at=at, now=NOW, accept_overage=accept)
    return {violation.limit for violation in found}
