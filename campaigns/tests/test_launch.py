"""A launch becomes closed books, however it is paused, cancelled or refused on the way."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from audit import ledger
from audit.models import Break
from campaigns import completion, launch, sweeps
from campaigns.lifecycle import CampaignChanged
from campaigns.models import Campaign, State
from campaigns.tests.conftest import MakeDraft, Postbox, fresh, run_job
from campaigns.tests.launching import actions, events, limit
from projects.scoping import Actor, Scope

Launch = Callable[..., Campaign]


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
