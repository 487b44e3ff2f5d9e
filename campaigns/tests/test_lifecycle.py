"""Every state against every action: what the table allows happens once and is told once; the rest changes nothing."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, get_args

import pytest
from django.db import IntegrityError, transaction

from audit.models import AuditEntry
from campaigns import lifecycle
from campaigns.lifecycle import ENDED, TABLE, Action, CampaignChanged, WrongState
from campaigns.models import Campaign, State
from campaigns.models.campaign import WITH_JOB
from campaigns.tests.conftest import MakeDraft, fresh
from projects.scoping import Actor, Scope
from webhooks.models import OutboxEvent

ACTIONS: tuple[Action, ...] = get_args(Action)


@pytest.fixture
def in_state(
    scope: Scope, now: datetime, make_draft: MakeDraft, launch_it: Callable[..., Campaign]
) -> Callable[[State], Campaign]:
    """in_state("paused") -> a campaign whose row says so, with everything that the state needs."""

    def make(state: State) -> Campaign:
        campaign = make_draft(people=1)
        if state in WITH_JOB:
            launch_it(campaign)
        times: dict[str, Any] = {"scheduled_at": now} if state == State.SCHEDULED else {}
        Campaign.objects.within(scope).filter(pk=campaign.pk).update(state=state, **times)
        return fresh(campaign)

    return make


def test_the_table_names_every_action_once() -> None:
    assert set(TABLE) == set(ACTIONS)
    assert {rule.audit.partition(".")[0] for rule in TABLE.values()} == {"campaign"}
    assert all(not set(rule.moves) & set(ENDED) for rule in TABLE.values()), "nothing leaves an end"


@pytest.mark.parametrize("state", list(State))
def test_every_action_in_every_state(
    scope: Scope, actor: Actor, now: datetime, in_state: Callable[[State], Campaign], state: State
) -> None:
    campaign = in_state(state)
    for action in ACTIONS:
        sid = transaction.atomic()
        sid.__enter__()
        try:
            _try(scope, actor, now, campaign, state, action)
        finally:
            transaction.set_rollback(True)
            sid.__exit__(None, None, None)


def _try(scope: Scope, actor: Actor, now: datetime, campaign: Campaign, state: State, action: Action) -> None:
    told = AuditEntry.objects.filter(subject_id=campaign.public_id).count()
    said = OutboxEvent.objects.within(scope).count()
    target = TABLE[action].moves.get(state)
    extra: dict[str, Any] = {"scheduled_at": now} if target == State.SCHEDULED else {}
    if target in WITH_JOB and campaign.job is None:
        return  # the database wants a job for this state; test_launch shows this move with one
    if target is None:
        with pytest.raises(WrongState) as refused:
            lifecycle.swap(scope=scope, campaign_id=campaign.pk, action=action, actor=actor, now=now)
        assert refused.value.extra["allowedFrom"] == [str(each) for each in TABLE[action].moves]
        assert fresh(campaign).state_version == campaign.state_version
        return
    move = lifecycle.swap(scope=scope, campaign_id=campaign.pk, action=action, actor=actor, now=now, **extra)
    facts = {"planned": 1, "excluded": 0, "accounts": {"cancelled": 1}}  # what campaign.sent may not go without
    lifecycle.announce(scope=scope, move=move, actor=actor, now=now, facts=facts)
    after = fresh(campaign)
    assert (after.state, after.state_version) == (target, campaign.state_version + 1)
    assert AuditEntry.objects.filter(subject_id=campaign.public_id).count() == told + 1
    expected = 1 if TABLE[action].event and target != State.CANCELLING else 0
    assert OutboxEvent.objects.within(scope).count() == said + expected


def test_a_version_that_is_not_the_current_one_moves_nothing(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft
) -> None:
    draft = make_draft()

    with pytest.raises(CampaignChanged) as refused, transaction.atomic():
        lifecycle.swap(scope=scope, campaign_id=draft.pk, action="launch", actor=actor, now=now, version=99)

    assert refused.value.status == 412 and refused.value.extra["etag"] == '"1"'
    assert fresh(draft).state == State.DRAFT


@pytest.mark.parametrize(
    ("state", "constraint"),
    [
        ("scheduled", "campaign_scheduled_has_time"),
        ("sending", "campaign_sending_has_snapshot_and_job"),
        ("gone", "campaign_state_is_known"),
    ],
)
def test_the_database_refuses_a_state_without_what_it_needs(
    scope: Scope, make_draft: MakeDraft, state: str, constraint: str
) -> None:
    draft = make_draft()

    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Campaign.objects.within(scope).filter(pk=draft.pk).update(state=state)


def test_allowed_actions_are_those_of_the_table() -> None:
    assert lifecycle.allowed("draft") == ["schedule", "launch"]
    assert lifecycle.allowed("sending") == ["pause", "cancel"]
    assert all(lifecycle.allowed(state) == [] for state in ENDED)
