"""The audience builder under the hands of somebody who types, and without scripts."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from audiences.models import Audience
from campaigns.tests.conftest import MakeAudience, MakePeople
from conftest import World
from lamba_campaigns.web.console import url
from projects.scoping import Scope

At = Callable[[str], Page]
SignIn = Callable[..., None]
RULE = {
    "all": [
        {"field": "membership", "op": "is", "value": "active"},
        {"any": [{"field": "last_session", "op": "within_last", "value": 30}]},
    ]
}


@pytest.fixture
def audience(growth: None, make_people: MakePeople, make_audience: MakeAudience) -> Audience:
    make_people(4, consent=3)
    return make_audience("Active", RULE)


@pytest.fixture(autouse=True)
def _signed_in(sign_in: SignIn, world: World) -> None:
    sign_in(world.alice)


def test_typing_counts_again_and_leaves_the_caret_alone(page: Page, at: At, scope: Scope, audience: Audience) -> None:
    at(url(scope, "audience-edit", audience.public_id))
    expect(page.locator("#counts .big")).to_have_text("0")
    days = page.locator(".unit input")
    days.click()
    days.press("Home")

    with page.expect_response(lambda answer: "part=counts" in answer.url):
        page.keyboard.type("1")
    page.keyboard.type("2")

    expect(days).to_be_focused()
    expect(days).to_have_value("1230")
    expect(page.locator(".sentence")).to_contain_text("within the last 1230 days")


def test_rows_come_and_go_with_the_focus(page: Page, at: At, scope: Scope, audience: Audience) -> None:
    at(url(scope, "audience-edit", audience.public_id))
    page.get_by_role("button", name="Condition").last.click()
    expect(page.get_by_role("combobox", name="Field")).to_have_count(3)
    expect(page.get_by_role("combobox", name="Field").last).to_be_focused()

    page.get_by_role("button", name="Remove this group").click()
    expect(page.get_by_role("combobox", name="Field")).to_have_count(2)
    expect(page.get_by_role("button", name="Condition")).to_be_focused()
    expect(page.locator("#counts .big")).to_have_text("0")  # the new row asks for a session that nobody had

    page.get_by_role("button", name="Remove").last.click()
    expect(page.locator("#counts .big")).to_have_text("3")


def test_the_builder_is_a_plain_form_without_scripts(
    without_scripts: BrowserContext, sign_in: SignIn, world: World, live_server: Any, scope: Scope, audience: Audience
) -> None:
    sign_in(world.alice, without_scripts)
    page = without_scripts.new_page()
    page.goto(live_server.url + url(scope, "audience-edit", audience.public_id))

    page.get_by_role("button", name="Remove this group").click()
    expect(page.get_by_role("combobox", name="Field")).to_have_count(1)
    expect(page.locator("#counts .big")).to_have_text("3")
    page.get_by_role("button", name="Save as v2").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Active")
    audience.refresh_from_db()
    assert audience.version == 2
