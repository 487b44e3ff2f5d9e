"""Signing in and out, as a person does it."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from conftest import World

PASSWORD = "correct horse battery"


def test_a_person_signs_in_and_lands_where_they_wanted_to_go(
    page: Page, at: Callable[[str], Page], world: World
) -> None:
    at("/acme/app/production/settings/")
    expect(page).to_have_url(re.compile("/sign-in"))

    page.get_by_label("Email").fill("alice@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page).to_have_url(re.compile("/acme/app/production/settings/$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")


def test_a_wrong_password_says_so_and_keeps_the_name(
    page: Page, at: Callable[[str], Page], world: World, quiet_console: list[str]
) -> None:
    at("/sign-in")
    page.get_by_label("Email").fill("alice@example.com")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    expect(page.get_by_label("Email")).to_have_value("alice@example.com")
    expect(page.get_by_label("Password")).to_have_value("")
    assert [line for line in quiet_console if "422" not in line] == []
    quiet_console.clear()


def test_signing_out_ends_the_session(
    page: Page, at: Callable[[str], Page], sign_in: Callable[..., None], world: World
) -> None:
    sign_in(world.alice)
    at("/")
    page.get_by_role("button", name=re.compile("Your account")).click()
    page.get_by_role("button", name="Sign out").click()

    expect(page).to_have_url(re.compile("/sign-in"))
    at("/")
    expect(page).to_have_url(re.compile("/sign-in"))


def test_the_picker_offers_the_sandbox_first(
    page: Page, at: Callable[[str], Page], sign_in: Callable[..., None], world: World
) -> None:
    sign_in(world.alice)
    at("/")
    doors = page.locator(".door")
    expect(doors).to_have_count(2)
    expect(doors.first).to_contain_text("Sandbox")
    expect(page.get_by_text("Other App")).to_have_count(0)
