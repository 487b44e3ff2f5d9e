"""What keeps a launch from starting holds nothing, and says what to do; environments do not mix."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from campaigns import drafts, launch, preflight
from campaigns.models import Campaign, State
from campaigns.preflight import NotReady
from campaigns.tests.conftest import MakeAudience, MakeDraft, MakePeople, MakeTemplate, fresh
from campaigns.tests.launching import actions, events, limit, request
from conftest import World
from delivery.models import SendJob
from lamba_campaigns.lib.errors import Invalid, NotFound
from limits import reservations
from limits.reservations import PlanLimitExceeded
from projects.scoping import Actor, Scope

Launch = Callable[..., Campaign]


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
