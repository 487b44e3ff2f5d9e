"""The frame around every page: environment signals, theme, menu, keyboard, find."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, ViewportSize, expect

from conftest import World
from projects.models import Preference

At = Callable[[str], Page]
SignIn = Callable[..., None]
SETTINGS = "/acme/app/production/settings/"
PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture(autouse=True)
def _signed_in(sign_in: SignIn, world: World) -> None:
    sign_in(world.alice)


@pytest.mark.parametrize(
    ("environment", "icon", "pattern"),
    [("production", "favicon-production", "none"), ("sandbox", "favicon-sandbox", "repeating-linear-gradient")],
)
def test_seven_signals_name_the_environment(page: Page, at: At, environment: str, icon: str, pattern: str) -> None:
    at(f"/acme/app/{environment}/settings/")

    name = environment.capitalize()
    assert f"/{environment}/" in page.url
    expect(page.locator(".env-chip")).to_have_text(name)
    rule = page.evaluate("getComputedStyle(document.querySelector('.topbar'), '::before').backgroundImage")
    assert rule.startswith(pattern)
    expect(page.locator(".envs a[aria-current]")).to_have_text(name)
    assert page.locator(".env-note").count() == (environment == "sandbox")
    expect(page).to_have_title(re.compile(f"Acme App {name}$"))
    assert icon in str(page.locator("link[rel=icon]").get_attribute("href"))


def test_the_switch_leads_to_the_same_page_of_the_other_environment(page: Page, at: At) -> None:
    at(SETTINGS)
    page.locator(".envs").get_by_role("link", name="Sandbox").click()
    expect(page).to_have_url(re.compile("/acme/app/sandbox/settings/$"))


def test_the_theme_is_rendered_by_the_server_and_kept(page: Page, at: At, context: BrowserContext) -> None:
    at(SETTINGS)
    assert page.locator("html").get_attribute("data-theme") == "auto"
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.get_by_role("button", name="Use the dark theme").click()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page).to_have_url(re.compile("/settings/$"))
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    at("/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_role("button", name="Use the light theme")).to_be_visible()


def test_the_menu_of_a_phone_opens_and_closes_without_scripts(
    without_scripts: BrowserContext, sign_in: SignIn, world: World, live_server: Any
) -> None:
    sign_in(world.alice, without_scripts)
    page = without_scripts.new_page()
    page.set_viewport_size(PHONE)
    page.goto(live_server.url + SETTINGS)
    menu = page.locator("#nav")
    expect(menu).to_be_hidden()

    page.get_by_role("button", name="Menu").click()
    expect(menu).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()


def test_the_project_switcher_lists_only_projects_of_the_person(page: Page, at: At) -> None:
    at(SETTINGS)
    page.get_by_role("button", name="Switch project").click()
    expect(page.locator("#projects")).to_contain_text("Acme App")
    expect(page.locator("#projects")).not_to_contain_text("Other App")


def test_slash_finds_a_page_by_keyboard_alone(page: Page, at: At) -> None:
    at("/acme/app/production/settings/keys/")
    page.keyboard.press("/")
    box = page.locator("#find-dialog [role=combobox]")
    expect(box).to_be_focused()

    page.keyboard.type("setti")
    expect(page.get_by_role("option", name="Settings")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("/settings/$"))


def test_escape_closes_the_find_box_whatever_is_typed(page: Page, at: At) -> None:
    at(SETTINGS)
    page.keyboard.press("/")
    page.keyboard.type("renewal")
    page.keyboard.press("Escape")
    expect(page.locator("#find-dialog")).to_be_hidden()


def test_find_is_a_page_of_its_own_without_scripts(
    without_scripts: BrowserContext, sign_in: SignIn, world: World, live_server: Any
) -> None:
    sign_in(world.alice, without_scripts)
    page = without_scripts.new_page()
    page.goto(live_server.url + SETTINGS)
    page.locator("a.find").click()
    page.locator("main input[name=q]").fill("setti")
    page.keyboard.press("Enter")
    expect(page.locator("main").get_by_role("link", name="Settings")).to_be_visible()


def test_shortcuts_go_to_pages_and_rest_while_typing(page: Page, at: At) -> None:
    at("/acme/app/production/find")
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page).to_have_url(re.compile("/settings/$"))

    name = page.get_by_label("Project name")
    name.fill("")
    name.press_sequentially("gs/?")
    expect(name).to_have_value("gs/?")
    expect(page.locator("dialog:modal")).to_have_count(0)


def test_question_mark_shows_the_shortcuts_and_escape_closes_them(page: Page, at: At) -> None:
    at(SETTINGS)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()


def test_a_person_can_turn_the_shortcuts_off(page: Page, at: At, world: World) -> None:
    Preference.objects.create(user=world.alice, keyboard=False)
    at(SETTINGS)
    page.keyboard.press("?")
    page.keyboard.press("/")
    expect(page.locator("dialog:modal")).to_have_count(0)


def test_the_skip_link_is_the_first_stop_and_leads_to_the_content(page: Page, at: At) -> None:
    at(SETTINGS)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
