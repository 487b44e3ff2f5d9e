"""A launch ends in one running job or in a draft that says why; a crash between any two steps changes nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from audiences.models import Snapshot
from audit import ledger
from audit.models import AuditEntry, Break
from campaigns import completion, drafts, holds, launch, preflight, sweeps
from campaigns.lifecycle import CampaignChanged, WrongState
from campaigns.models import Campaign, State
from campaigns.preflight import NotReady
from campaigns.tests.conftest import MakeAudience, MakeDraft, MakePeople, MakeTemplate, Postbox, fresh, run_job
from conftest import World
from delivery.models import SendJob
from lamba_campaigns.lib.errors import Invalid, NotFound
from limits import reservations, usage
from limits.reservations import PlanLimitExceeded
from projects.scoping import Actor, Scope
from webhooks.models import OutboxEvent

Launch = Callable[..., Campaign]


class Crash(Exception):
    """A worker that dies here."""


def limit(scope: Scope, key: str, now: datetime) -> tuple[int, int]:
    """(used, reserved) of one limit."""
    found = next(each for each in usage.usage(scope=scope, now=now) if each.key == key)
    return found.used, found.reserved


def actions(scope: Scope, campaign: Campaign) -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(environment_id=scope.environment_id, subject_id=campaign.public_id)
    return list(rows.order_by("sequence").values_list("action", "outcome"))


def events(scope: Scope) -> list[str]:
    return list(OutboxEvent.objects.within(scope).order_by("id").values_list("type", flat=True))


def request(scope: Scope, actor: Actor, draft: Campaign, now: datetime) -> Campaign:
    return launch.request_launch(
        scope=scope, actor=actor, campaign_id=draft.public_id, version=draft.state_version, now=now
    )


def test_a_launch_becomes_closed_books(
    scope: Scope, now: datetime, make_draft: MakeDraft, launch_it: Launch, send_it: Launch, postbox: Postbox
) -> None:
    draft = make_draft(people=5, consent=3)

    sending = launch_it(draft)

    assert sending.state == State.SENDING
    assert sending.snapshot is not None and (sending.snapshot.planned, sending.snapshot.included) == (5, 3)
    assert limit(scope, "active_campaigns", now) == (1, 0)
    assert limit(scope, "included_email_volume", now) == (0, 3)

    ended = send_it(sending)

    assert ended.state == State.COMPLETED and ended.books_closed_at == now
    assert postbox.addresses() == ["u1@example.com", "u2@example.com", "u3@example.com"]
    assert limit(scope, "active_campaigns", now) == (0, 0)
    assert limit(scope, "included_email_volume", now) == (3, 0)
    assert limit(scope, "email_campaigns_per_month", now) == (1, 0)
    assert not Break.objects.within(scope).exists()
    assert events(scope) == ["campaign.launched", "campaign.sent"]
    assert actions(scope, draft) == [
        ("campaign.created", "done"),
        ("campaign.launched", "done"),
        ("campaign.updated", "done"),
        ("books.closed", "done"),
        ("campaign.completed", "done"),
        ("statement.issued", "done"),
    ]


def test_completion_publishes_once_however_often_it_is_told(
    scope: Scope, now: datetime, make_draft: MakeDraft, launch_it: Launch, send_it: Launch
) -> None:
    ended = send_it(launch_it(make_draft()))

    for _ in range(3):
        with transaction.atomic():
            assert completion.settle(scope=scope, campaign_id=ended.public_id, now=now) is None
        sweeps.settle_finished(now=now)
        sweeps.close_books(now=now + timedelta(hours=1))

    assert events(scope).count("campaign.sent") == 1
    assert limit(scope, "included_email_volume", now) == (3, 0)
    assert fresh(ended).state_version == ended.state_version


@pytest.mark.parametrize(
    "place",
    ["audiences.snapshot.take", "delivery.jobs.create", "campaigns.holds.take_all", "campaigns.lifecycle.announce"],
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


def test_nobody_to_contact_is_a_clear_refusal_and_holds_nothing(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft
) -> None:
    draft = make_draft(people=2, consent=0)

    with pytest.raises(NotReady) as refused:
        request(scope, actor, draft, now)

    assert "Nobody can be contacted" in refused.value.detail
    assert fresh(draft).state == State.DRAFT
    assert actions(scope, draft)[-1] == ("campaign.launched", "refused")


def test_an_audience_that_empties_between_request_and_worker_sends_the_draft_back(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, make_people: MakePeople
) -> None:
    draft = make_draft(people=2)
    request(scope, actor, draft, now)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audiences_personfacts SET consent_mask = 0")

    launch.run_launch(scope=scope, campaign_id=draft.pk, now=now)

    back = fresh(draft)
    assert back.state == State.DRAFT and back.blockers[0]["errorCode"] == "EMPTY_AUDIENCE"
    assert limit(scope, "active_campaigns", now) == limit(scope, "email_campaigns_per_month", now) == (0, 0)
    assert actions(scope, draft)[-1] == ("campaign.launched", "refused")
    assert events(scope) == ["campaign.failed"]


def test_over_a_limit_is_402_now_and_a_remedy_lets_it_through(
    scope: Scope,
    actor: Actor,
    now: datetime,
    plan: Callable[..., None],
    make_draft: MakeDraft,
    launch_it: Launch,
) -> None:
    draft = make_draft(people=3)
    plan("starter", at=now - timedelta(minutes=5), audience_per_campaign=2, included_email_volume=2)

    with pytest.raises(PlanLimitExceeded) as refused:
        request(scope, actor, draft, now)

    assert {each["limit"] for each in refused.value.extra["violations"]} == {
        "audience_per_campaign",
        "included_email_volume",
    }
    assert fresh(draft).state == State.DRAFT and fresh(draft).state_version == draft.state_version
    assert limit(scope, "active_campaigns", now) == (0, 0)
    assert actions(scope, draft)[-1] == ("campaign.launched", "refused")
    report = preflight.report(scope=scope, campaign=fresh(draft), at=now, now=now)
    assert {check.key for check in report.blocking} == {"audience_per_campaign", "included_email_volume"}
    assert next(fix.kind for check in report.blocking for fix in check.fixes) == "upgrade"

    with transaction.atomic():
        reservations.change_plan(scope=scope, actor=actor, plan="growth", now=now)

    assert launch_it(fresh(draft)).state == State.SENDING


def test_accepted_overage_lets_the_volume_pass(
    scope: Scope, actor: Actor, now: datetime, plan: Callable[..., None], make_draft: MakeDraft, launch_it: Launch
) -> None:
    draft = make_draft(people=3)
    plan("starter", at=now - timedelta(minutes=5), included_email_volume=2)
    with pytest.raises(PlanLimitExceeded):
        request(scope, actor, draft, now)

    accepted = drafts.edit(
        scope=scope,
        actor=actor,
        campaign_id=draft.public_id,
        changes={"accept_overage": 1},
        version=draft.state_version,
        now=now,
    )

    assert launch_it(accepted).state == State.SENDING
    assert limit(scope, "included_email_volume", now) == (0, 3)


def test_the_limit_that_filled_up_before_the_worker_came_sends_the_draft_back(
    scope: Scope, actor: Actor, now: datetime, plan: Callable[..., None], make_draft: MakeDraft
) -> None:
    draft = make_draft(people=3)
    request(scope, actor, draft, now)
    plan("starter", at=now - timedelta(minutes=5), included_email_volume=2)

    launch.run_launch(scope=scope, campaign_id=draft.pk, now=now)

    back = fresh(draft)
    assert back.state == State.DRAFT and back.blockers[0]["errorCode"] == "PLAN_LIMIT_EXCEEDED"
    assert limit(scope, "active_campaigns", now) == (0, 0)
    assert not SendJob.objects.within(scope).exists()


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


def test_pause_resume_and_cancel_reach_the_job_and_the_books_still_close(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, launch_it: Launch, postbox: Postbox
) -> None:
    sending = launch_it(make_draft(people=4))
    step: dict[str, Any] = {
        "scope": scope,
        "actor": actor,
        "campaign_id": sending.public_id,
        "version": None,
        "now": now,
    }

    launch.pause(**step)
    run_job(sending, scope, now)
    sweeps.settle_finished(now=now)
    assert fresh(sending).state == State.PAUSED and postbox.received == []

    launch.resume(**step)
    assert fresh(sending).state == State.SENDING

    launch.cancel(**step)
    assert fresh(sending).state == State.CANCELLING
    run_job(sending, scope, now)
    sweeps.settle_finished(now=now)

    ended = fresh(sending)
    assert ended.state == State.CANCELLED and ended.books_closed_at == now
    assert ended.job is not None
    found = ledger.balance(scope=scope, job_id=ended.job.pk)
    assert found.residual == 0 and found.accounts["cancelled"] == 4
    assert limit(scope, "email_campaigns_per_month", now) == (0, 0), "it reached nobody, so it costs nothing"
    assert events(scope)[-1] == "campaign.cancelled" and events(scope).count("campaign.cancelled") == 1


def test_refused_addresses_end_in_an_honest_state(
    scope: Scope, make_draft: MakeDraft, launch_it: Launch, send_it: Launch, postbox: Postbox
) -> None:
    postbox.rcpt = lambda address: "550 5.1.1 no such user" if address.startswith("u1@") else None

    ended = send_it(launch_it(make_draft(people=3)))

    assert ended.state == State.COMPLETED_WITH_EXCEPTIONS
    assert ended.job is not None
    assert ledger.balance(scope=scope, job_id=ended.job.pk).residual == 0


def test_when_nothing_went_out_the_campaign_failed(
    scope: Scope, now: datetime, make_draft: MakeDraft, launch_it: Launch, send_it: Launch, postbox: Postbox
) -> None:
    postbox.rcpt = lambda address: "550 5.1.1 no such user"

    ended = send_it(launch_it(make_draft(people=2)))

    assert ended.state == State.FAILED
    assert limit(scope, "included_email_volume", now) == (0, 0)
    assert events(scope)[-1] == "campaign.failed"


def test_a_stale_version_changes_nothing(scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft) -> None:
    draft = make_draft()

    with pytest.raises(CampaignChanged):
        launch.request_launch(
            scope=scope, actor=actor, campaign_id=draft.public_id, version=draft.state_version + 1, now=now
        )

    assert fresh(draft).state == State.DRAFT


def test_things_of_the_other_environment_are_unknown_here(
    scope: Scope,
    actor: Actor,
    now: datetime,
    world: World,
    growth: None,
    make_audience: MakeAudience,
    make_template: MakeTemplate,
) -> None:
    foreign_audience = make_audience(within=world.sandbox)
    foreign_template = make_template(within=world.sandbox)

    with pytest.raises(Invalid) as refused:
        drafts.create(
            scope=scope,
            actor=actor,
            setup=drafts.Setup(name="Mixed", audience=foreign_audience.public_id, template=foreign_template.public_id),
            now=now,
        )

    assert [each.pointer for each in refused.value.problems] == ["#/templateId", "#/audienceId"]
    assert not Campaign.objects.within(scope).exists()


def test_postgres_itself_refuses_a_sandbox_audience_on_a_production_campaign(
    scope: Scope, world: World, make_draft: MakeDraft, make_audience: MakeAudience
) -> None:
    draft = make_draft()
    foreign = make_audience("Seats", within=world.sandbox)

    with pytest.raises(IntegrityError, match="campaigns_campaign_audience_scope"), transaction.atomic():
        Campaign.objects.within(scope).filter(pk=draft.pk).update(audience_id=foreign.pk)


def test_a_campaign_of_the_other_environment_is_not_found(
    actor: Actor, now: datetime, world: World, make_draft: MakeDraft
) -> None:
    draft = make_draft()

    with pytest.raises(NotFound):
        launch.request_launch(scope=world.sandbox, actor=actor, campaign_id=draft.public_id, version=None, now=now)


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
