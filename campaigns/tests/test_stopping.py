"""A send job that stops itself: the campaign is paused, says why, and one click goes on."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from campaigns import completion
from campaigns.models import Campaign
from campaigns.tests.conftest import fresh, run_job
from delivery.tests.conftest import Postbox
from projects.scoping import Scope
from webhooks.models import InboundEvent

pytestmark = pytest.mark.django_db


def test_a_campaign_whose_job_stopped_itself_says_why_and_goes_on_with_one_click(
    world: Any,
    scope: Scope,
    now: datetime,
    browser_of: Callable[..., Client],
    make_draft: Callable[..., Campaign],
    launch_it: Callable[..., Campaign],
    postbox: Postbox,
) -> None:
    campaign = launch_it(make_draft(people=900))
    postbox.rcpt = lambda address: "554 5.7.1 Blocked"
    assert run_job(campaign, scope, now).state == "paused"
    assert InboundEvent.objects.within(scope).filter(type="delivery.job_paused").count() == 1
    with transaction.atomic():
        completion.settle_pause(scope=scope, campaign_id=campaign.public_id, reason="told", now=now)
    assert fresh(campaign).state == "paused"
    browser, page = browser_of(world.alice), f"/acme/app/production/campaigns/{campaign.public_id}/"

    shown = browser.get(page).content.decode()

    assert "It stopped itself: 100.0% of" in shown
    assert "were refused or failed" in shown
    version = fresh(campaign).state_version
    assert browser.post(page + "resume/", {"state_version": version}).status_code == 302
    assert fresh(campaign).state == "sending"
    assert "It stopped itself" not in browser.get(page).content.decode()
    postbox.rcpt = lambda address: None
    assert run_job(campaign, scope, now).state == "finished"
