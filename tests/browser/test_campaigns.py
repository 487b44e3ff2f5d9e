"""A campaign by hand: launch with the typed word, pause, resume, cancel; with the scripts of the page and without."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from campaigns import launch, sweeps
from campaigns.models import Campaign
from campaigns.tests.conftest import MakeDraft, Postbox, fresh, run_job
from conftest import World
from lamba_campaigns.web.console import url
from projects.scoping import Scope

At = Callable[[str], Page]
SignIn = Callable[..., None]
LaunchIt = Callable[..., Campaign]


@pytest.fixture(autouse=True)
def _alice_without_workers(sign_in: SignIn, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of the workers are taken by the tests, so nobody is rung."""
    monkeypatch.setattr(launch, "_send", lambda _: None)
    sign_in(world.alice)


def address(scope: Scope, campaign: Campaign) -> str:
    return url(scope, "campaign-detail", campaign.public_id)


def settle(campaign: Campaign, scope: Scope, now: datetime) -> None:
    run_job(campaign, scope, now)
    sweeps.settle_finished(now=now)


def test_a_launch_asks_for_the_word_and_then_launches(page: Page, at: At, scope: Scope, make_draft: MakeDraft) -> None:
    draft = make_draft(people=5, consent=3)
    at(address(scope, draft))
    page.get_by_role("link", name="Launch…").click()
    dialog = page.get_by_role("dialog", name="Launch “Spring renewal” now?")
    go = dialog.get_by_role("button", name="Launch to production")

    expect(dialog).to_contain_text("3 real people")
    expect(dialog.get_by_label("Type production to confirm")).to_be_focused()
    expect(go).to_be_disabled()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert fresh(draft).state == "draft"

    page.get_by_role("link", name="Launch…").click()
    page.keyboard.type("production")
    page.keyboard.press("Enter")

    expect(page.locator(".badge", has_text="Launching").first).to_be_visible()
    assert fresh(draft).state == "launching"


def test_pause_by_key_then_resume_and_the_page_follows_by_itself(
    page: Page, at: At, scope: Scope, now: datetime, make_draft: MakeDraft, launch_it: LaunchIt, postbox: Postbox
) -> None:
    sending = launch_it(make_draft())
    at(address(scope, sending))
    expect(page.get_by_role("heading", level=1)).to_have_text("Spring renewal")

    page.keyboard.press("p")
    expect(page.locator(".head .badge")).to_have_text("Pausing")
    settle(sending, scope, now)
    expect(page.locator(".head .badge")).to_have_text("Paused")  # nobody loaded the page again

    page.get_by_role("link", name="Resume").click()
    page.get_by_role("dialog", name="Resume sending?").get_by_role("button", name="Resume").click()
    expect(page.locator(".head .badge")).to_have_text("Sending")
    assert fresh(sending).state == "sending"


def test_cancelling_asks_for_the_name(
    page: Page, at: At, scope: Scope, make_draft: MakeDraft, launch_it: LaunchIt
) -> None:
    sending = launch_it(make_draft())
    at(address(scope, sending))
    page.get_by_role("link", name="Cancel").click()
    dialog = page.get_by_role("dialog", name="Cancel “Spring renewal”?")
    dialog.get_by_label("Type Spring renewal to confirm").fill("production")
    expect(dialog.get_by_role("button", name="Cancel the campaign")).to_be_disabled()

    dialog.get_by_label("Type Spring renewal to confirm").fill("spring renewal")
    dialog.get_by_role("button", name="Cancel the campaign").click()

    expect(page.locator(".head .badge")).to_have_text("Cancelling")
    assert fresh(sending).state == "cancelling"


def test_launch_and_pause_without_scripts(
    without_scripts: BrowserContext,
    sign_in: SignIn,
    world: World,
    live_server: Any,
    scope: Scope,
    now: datetime,
    make_draft: MakeDraft,
) -> None:
    draft = make_draft()
    sign_in(world.alice, without_scripts)
    page = without_scripts.new_page()
    page.goto(live_server.url + address(scope, draft))

    page.get_by_role("link", name="Launch…").click()
    page.get_by_label("Type production to confirm").fill("sandbox")
    page.get_by_role("button", name="Launch to production").click()
    assert fresh(draft).state == "draft"
    expect(page.get_by_label("Type production to confirm")).to_be_visible()

    page.get_by_label("Type production to confirm").fill("production")
    page.get_by_role("button", name="Launch to production").click()
    expect(page).to_have_url(re.compile(f"{draft.public_id}/$"))
    launch.run_launch(scope=scope, campaign_id=draft.pk, now=now)

    page.reload()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".head .badge")).to_have_text("Pausing")
    assert fresh(draft).state == "pausing"
