"""A launch ends in one running job or in a draft that says why; a crash between any two steps changes nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from audiences.models import Snapshot
from campaigns import holds, launch
from campaigns.lifecycle import CampaignChanged, WrongState
from campaigns.models import Campaign, State
from campaigns.tests.conftest import MakeDraft, fresh
from campaigns.tests.launching import events, limit, request
from delivery.models import SendJob
from projects.scoping import Actor, Scope

Launch = Callable[..., Campaign]


class Crash(Exception):
    """A worker that dies here."""


@pytest.mark.parametrize(
    "place",
    ["audiences.snapshot.take", "delivery.jobs.create", "campaigns.holds.take", "campaigns.lifecycle.announce"],
)
def test_a_crash_at_any_step_of_the_worker_is_made_good_by_the_next_run(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    draft = make_draft()
    request(scope, actor, draft, now)
    real = _target(place)

    def die_after(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(place, die_after)
        with pytest.raises(Crash):
            launch.run_launch(scope=scope, campaign_id=draft.pk, now=now)
    assert fresh(draft).state == State.LAUNCHING
    launch.run_launch(scope=scope, campaign_id=draft.pk, now=now)
    assert fresh(draft).state == State.LAUNCHING, "somebody still holds the lease"

    launch.run_launch(scope=scope, campaign_id=draft.pk, now=now + launch.LAUNCH_LEASE)

    assert fresh(draft).state == State.SENDING
    assert Snapshot.objects.within(scope).count() == SendJob.objects.within(scope).count() == 1
    assert limit(scope, "included_email_volume", now) == (0, 3)
    assert events(scope) == ["campaign.launched"]


def test_a_launch_that_breaks_again_and_again_ends_as_failed_and_holds_nothing(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = make_draft()
    request(scope, actor, draft, now)

    def die(**_: Any) -> None:
        raise Crash

    monkeypatch.setattr("audiences.snapshot.take", die)
    for turn in range(launch.LAUNCH_TRIES_MAX):
        with pytest.raises(Crash):
            launch.run_launch(scope=scope, campaign_id=draft.pk, now=now + turn * launch.LAUNCH_LEASE)
    launch.run_launch(scope=scope, campaign_id=draft.pk, now=now + timedelta(hours=1))

    assert fresh(draft).state == State.FAILED
    assert limit(scope, "active_campaigns", now) == (0, 0)
    assert events(scope) == ["campaign.failed"]


def test_a_cancelled_launch_is_not_started_by_the_worker(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft
) -> None:
    draft = make_draft()
    request(scope, actor, draft, now)

    launch.cancel(scope=scope, actor=actor, campaign_id=draft.public_id, version=None, now=now)
    launch.run_launch(scope=scope, campaign_id=draft.pk, now=now)

    assert fresh(draft).state == State.CANCELLED
    assert not SendJob.objects.within(scope).exists()
    assert limit(scope, "active_campaigns", now) == limit(scope, "email_campaigns_per_month", now) == (0, 0)
    assert events(scope) == ["campaign.cancelled"]


@pytest.mark.django_db(transaction=True)
def test_two_people_who_launch_at_once_start_one_job(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft
) -> None:
    draft = make_draft(people=2)

    def both(_: int) -> str:
        try:
            request(scope, actor, draft, now)
            launch.run_launch(scope=scope, campaign_id=draft.pk, now=now)
            return "launched"
        except (WrongState, CampaignChanged) as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(both, range(4)))

    assert answers.count("launched") == 1
    assert SendJob.objects.within(scope).count() == 1
    assert limit(scope, "active_campaigns", now) == (1, 0)
    assert limit(scope, "included_email_volume", now) == (0, 2)


@pytest.mark.django_db(transaction=True)
def test_four_workers_on_one_launch_start_one_job(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft
) -> None:
    draft = make_draft(people=2)
    request(scope, actor, draft, now)

    def work(turn: int) -> None:
        try:
            # each thinks that the lease of the one before is over
            launch.run_launch(scope=scope, campaign_id=draft.pk, now=now + turn * launch.LAUNCH_LEASE)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    assert fresh(draft).state == State.SENDING
    assert SendJob.objects.within(scope).count() == Snapshot.objects.within(scope).count() == 1
    assert events(scope) == ["campaign.launched"]


def test_a_hold_lives_as_long_as_its_attempt(
    scope: Scope, now: datetime, make_draft: MakeDraft, launch_it: Launch, send_it: Launch
) -> None:
    sending = launch_it(make_draft())
    held = holds.purpose(sending)
    assert holds.is_needed(scope, held)

    send_it(sending)

    assert not holds.is_needed(scope, held)
    assert not holds.is_needed(scope, f"launch:{sending.public_id}:99")


def _target(place: str) -> Callable[..., Any]:
    module, _, name = place.rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name)  # type: ignore[no-any-return]
