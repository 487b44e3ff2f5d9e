"""Components that move: dialogs, typed words, refusals, live regions, charts, forms."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from conftest import World

At = Callable[[str], Page]
GALLERY = "/acme/app/production/gallery"


@pytest.fixture(autouse=True)
def _signed_in(gallery: str, sign_in: Callable[..., None], world: World) -> None:
    sign_in(world.alice)


def test_a_launch_needs_its_word_typed(page: Page, at: At) -> None:
    at(GALLERY)
    page.get_by_role("link", name="Launch…").click()
    dialog = page.get_by_role("dialog", name=re.compile("Launch"))
    launch = dialog.get_by_role("button", name="Launch to production")

    expect(dialog).to_contain_text("Acme App / Production")
    expect(launch).to_be_disabled()
    page.get_by_label("Type production to confirm").fill("sandbox")
    expect(launch).to_be_disabled()
    page.get_by_label("Type production to confirm").fill("Production")
    expect(launch).to_be_enabled()

    dialog.get_by_role("link", name="Keep as draft").click()
    expect(dialog).to_be_hidden()


def test_a_dialog_opens_by_its_address_without_scripts(
    without_scripts: BrowserContext, sign_in: Callable[..., None], world: World, live_server: Any
) -> None:
    sign_in(world.alice, without_scripts)
    page = without_scripts.new_page()
    page.goto(live_server.url + GALLERY)
    page.get_by_role("link", name="Launch…").click()

    expect(page.get_by_role("dialog", name=re.compile("Launch"))).to_be_visible()
    expect(page.get_by_role("button", name="Launch to production")).to_be_enabled()
    page.get_by_role("link", name="Keep as draft").click()
    expect(page.get_by_role("dialog", name=re.compile("Launch"))).to_be_hidden()


def test_a_refusal_of_a_fragment_is_shown_as_a_dialog(page: Page, at: At, quiet_console: list[str]) -> None:
    at(GALLERY)
    page.get_by_role("button", name="Ask for a refusal").click()

    dialog = page.locator("#problem-dialog")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("Pause it first.")
    expect(page.locator("#refused")).to_be_empty()
    assert [line for line in quiet_console if "409" not in line] == []
    quiet_console.clear()


def test_a_live_region_ticks_until_its_state_is_final(page: Page, at: At) -> None:
    at(GALLERY)
    ticks = page.locator("#ticks")
    expect(ticks).to_have_text("3", timeout=15_000)
    page.wait_for_timeout(2_500)
    expect(ticks).to_have_text("3")


def test_a_chart_is_read_by_arrow_keys_and_as_a_table(page: Page, at: At) -> None:
    at(GALLERY)
    chart = page.locator("svg[data-chart]")
    chart.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tip")).to_contain_text("02:26")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tip")).to_contain_text("02:25")
    page.keyboard.press("Escape")
    expect(page.locator(".tip")).to_be_hidden()

    page.get_by_text("View as table").click()
    expect(page.get_by_role("table", name="Outcomes per minute").get_by_role("row")).to_have_count(28)


def test_a_refused_form_takes_the_focus_and_names_its_fields(page: Page, at: At, quiet_console: list[str]) -> None:
    at(GALLERY)
    page.locator("form.form").evaluate("form => (form.noValidate = true)")
    page.locator("#save").click()

    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text("Campaign name: This field is required.")
    field = page.get_by_label("Campaign name")
    expect(field).to_have_attribute("aria-invalid", "true")
    assert "id_name_error" in str(field.get_attribute("aria-describedby"))
    assert [line for line in quiet_console if "422" not in line] == []
    quiet_console.clear()


def test_what_was_done_is_said_once_as_a_toast(page: Page, at: At) -> None:
    at(GALLERY)
    page.get_by_label("Campaign name").fill("Spring")
    page.locator("#save").click()
    expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    at(GALLERY)
    expect(page.get_by_text("Saved.")).to_have_count(0)


def test_a_new_key_is_shown_once(page: Page, at: At) -> None:
    at("/acme/app/sandbox/settings/keys/")
    page.get_by_label("Name", exact=True).fill("Billing sync")
    page.get_by_label("See names and addresses").check()
    page.get_by_role("button", name="Create key").click()

    expect(page.locator(".secret code")).to_have_text(re.compile(r"^lmb_test_[0-9A-Za-z_]{60,}$"))
    at("/acme/app/sandbox/settings/keys/")
    expect(page.locator(".secret")).to_have_count(0)
    expect(page.get_by_role("cell", name="Billing sync lmb_test")).to_be_visible()
