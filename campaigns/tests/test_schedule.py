"""A schedule is a wall-clock time that exists once and lies ahead; at that moment everything is checked again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from campaigns import launch, planned, preflight, schedule, sweeps
from campaigns.models import Campaign, State
from campaigns.schedule import NoSuchTime, TimePassed, TwoSuchTimes
from campaigns.tests.conftest import MakeDraft, fresh
from campaigns.tests.launching import actions, events, limit
from lamba_campaigns.lib.errors import Invalid
from limits.reservations import PlanLimitExceeded
from projects.scoping import Actor, Scope

BERLIN = "Europe/Berlin"


def test_a_usual_time_is_one_moment() -> None:
    found = schedule.moment_of(wall=datetime(2026, 11, 24, 9, 30), zone_name=BERLIN)  # noqa: DTZ001 - wall clock

    assert found == datetime(2026, 11, 24, 8, 30, tzinfo=UTC)


def test_a_time_that_the_clocks_skip_is_refused_with_the_next_one() -> None:
    with pytest.raises(NoSuchTime, match="Choose 03:30 or later"):
        schedule.moment_of(wall=datetime(2027, 3, 28, 2, 30), zone_name=BERLIN)  # noqa: DTZ001


def test_a_time_that_comes_twice_needs_to_say_which() -> None:
    twice = datetime(2027, 10, 31, 2, 30)  # noqa: DTZ001

    with pytest.raises(TwoSuchTimes, match="at 00:30 and at 01:30 UTC"):
        schedule.moment_of(wall=twice, zone_name=BERLIN)

    first, second = (schedule.moment_of(wall=twice, zone_name=BERLIN, fold=fold) for fold in (0, 1))
    assert second - first == timedelta(hours=1)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(Invalid):
        schedule.moment_of(wall=datetime(2026, 11, 24, 9, 30), zone_name=zone)  # noqa: DTZ001


def test_the_past_and_the_far_future_are_refused(now: datetime) -> None:
    with pytest.raises(TimePassed):
        schedule.require_ahead(at=now, now=now)
    with pytest.raises(Invalid):
        schedule.require_ahead(at=now + timedelta(days=400), now=now)


@pytest.fixture
def plan_it(scope: Scope, actor: Actor, now: datetime) -> Callable[..., Campaign]:
    def put(draft: Campaign, at: datetime) -> Campaign:
        return launch.request_schedule(
            scope=scope, actor=actor, campaign_id=draft.public_id, at=at, time_zone=BERLIN, version=None, now=now
        )

    return put


def test_a_scheduled_campaign_fires_when_it_is_due_and_not_before(
    scope: Scope, now: datetime, make_draft: MakeDraft, plan_it: Callable[..., Campaign]
) -> None:
    due = now + timedelta(hours=2)
    campaign = plan_it(make_draft(), due)
    assert (campaign.state, limit(scope, "active_campaigns", now)) == (State.SCHEDULED, (1, 0))

    sweeps.ring_launches(now=due - timedelta(seconds=1))
    assert fresh(campaign).state == State.SCHEDULED
    sweeps.ring_launches(now=due)
    assert fresh(campaign).state == State.LAUNCHING
    launch.run_launch(scope=scope, campaign_id=campaign.pk, now=due)

    assert fresh(campaign).state == State.SENDING
    assert limit(scope, "active_campaigns", now) == (1, 0), "the slot that was held is the slot that is used"
    assert events(scope) == ["campaign.scheduled", "campaign.launched"]


def test_what_blocks_at_the_moment_sends_it_back_to_a_draft_that_says_why(
    scope: Scope,
    now: datetime,
    plan: Callable[..., None],
    make_draft: MakeDraft,
    plan_it: Callable[..., Campaign],
) -> None:
    due = now + timedelta(hours=2)
    campaign = plan_it(make_draft(people=3), due)
    plan("starter", at=now + timedelta(hours=1), included_email_volume=1)

    sweeps.ring_launches(now=due)

    back = fresh(campaign)
    assert back.state == State.DRAFT and back.blockers[0]["errorCode"] == "PLAN_LIMIT_EXCEEDED"
    assert limit(scope, "active_campaigns", due) == (0, 0)
    assert events(scope) == ["campaign.scheduled", "campaign.failed"]
    assert actions(scope, campaign)[-1] == ("campaign.launched", "refused")


def test_scheduling_holds_a_place_of_the_plan_and_unscheduling_frees_it(
    scope: Scope,
    actor: Actor,
    now: datetime,
    plan: Callable[..., None],
    make_draft: MakeDraft,
    plan_it: Callable[..., Campaign],
) -> None:
    first, second = make_draft("First"), make_draft("Second")
    plan("starter", at=now - timedelta(minutes=1), active_campaigns=1)
    plan_it(first, now + timedelta(hours=1))

    with pytest.raises(PlanLimitExceeded):
        plan_it(second, now + timedelta(hours=2))
    launch.unschedule(scope=scope, actor=actor, campaign_id=first.public_id, version=None, now=now)

    assert plan_it(fresh(second), now + timedelta(hours=2)).state == State.SCHEDULED
    assert fresh(first).state == State.DRAFT


def test_scheduling_holds_the_volume_so_that_the_next_one_is_refused_then_and_not_when_it_fires(
    scope: Scope,
    now: datetime,
    plan: Callable[..., None],
    make_draft: MakeDraft,
    plan_it: Callable[..., Campaign],
) -> None:
    first, second = make_draft("First"), make_draft("Second")
    plan("growth", at=now - timedelta(minutes=1), included_email_volume=5)
    due = now + timedelta(hours=1)
    plan_it(first, due)
    assert limit(scope, "included_email_volume", now) == (0, 3)

    with pytest.raises(PlanLimitExceeded) as refusal:
        plan_it(second, due)
    assert [(each["limit"], each["shortfall"]) for each in refusal.value.extra["violations"]] == [
        ("included_email_volume", 1)
    ]
    assert [(each.messages, each.held) for each in planned.volume(scope, now, due + timedelta(days=1))] == [(3, 3)]

    found = preflight.report(scope=scope, campaign=fresh(first), at=due, now=now, holds_counts=True)
    assert found.ready and found.overage == 0 and found.volume is not None and found.volume.left == 5
    sweeps.ring_launches(now=due)
    launch.run_launch(scope=scope, campaign_id=first.pk, now=due)
    assert fresh(first).state == State.SENDING and limit(scope, "included_email_volume", now) == (0, 3)


def test_a_lost_doorbell_is_rung_again(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = make_draft()
    launch.request_launch(scope=scope, actor=actor, campaign_id=draft.public_id, version=None, now=now)
    rung: list[Any] = []
    monkeypatch.setattr(launch, "ring", rung.append)

    sweeps.ring_launches(now=now)
    Campaign.objects.within(scope).filter(pk=draft.pk).update(launch_lease_until=now + launch.LAUNCH_LEASE)
    sweeps.ring_launches(now=now)

    assert [row.pk for row in rung] == [draft.pk], "only while nobody holds the lease"


def test_sweeps_read_their_partial_indexes(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'campaigns_campaign'")
        names = {row[0] for row in cursor.fetchall()}
    assert {"campaign_due", "campaign_moving", "campaign_books_open", "campaign_by_change"} <= names
