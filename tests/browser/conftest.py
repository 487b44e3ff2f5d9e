"""A real Chromium against a live server. Any complaint of the browser fails the test."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from campaigns.tests.conftest import (
    Postbox,
    growth,
    launch_it,
    make_audience,
    make_draft,
    make_people,
    make_template,
    plan,
    postbox,
    send_it,
)
from conftest import World
from tests.browser.chromium import ARGUMENTS, chromium

__all__ = [  # fixtures of a campaign
    "Postbox",
    "growth",
    "launch_it",
    "make_audience",
    "make_draft",
    "make_people",
    "make_template",
    "plan",
    "postbox",
    "send_it",
]
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # playwright's own event loop runs in this thread

AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here drives a browser, and is skipped where there is none."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))
            if chromium() is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine; set LAMBA_CHROMIUM"))


@pytest.fixture(scope="session")
def base_url() -> None:
    """Addresses are written in full: the live server's port is not known before a test."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_type_launch_args, "executable_path": chromium(), "args": ARGUMENTS}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"}


@pytest.fixture(autouse=True)
def quiet_console(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Fails the test on any error or warning in the browser. A test that expects one clears the list."""
    said: list[str] = []
    if "page" not in request.fixturenames:
        yield said
        return
    page: Page = request.getfixturevalue("page")

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "was preloaded using link preload" not in message.text:
            said.append(f"{message.type}: {message.text}")

    page.on("console", listen)
    page.on("pageerror", lambda error: said.append(f"exception: {error}"))
    yield said
    assert not said, "The browser complained:\n" + "\n".join(said)


@pytest.fixture
def gallery(settings: Any) -> str:
    """Address part of a page with every component; the product itself has no such page."""
    settings.ROOT_URLCONF = "tests.browser.gallery"
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [*settings.TEMPLATES[0]["DIRS"], HERE / "templates"]}]
    return "gallery"


@pytest.fixture
def sign_in(context: BrowserContext, live_server: Any, world: World) -> Callable[..., None]:
    """sign_in(user): the browser has the session cookie, without the form."""

    def enter(user: User, into: BrowserContext = context) -> None:
        client = Client()
        client.force_login(user)
        value = client.cookies[settings.SESSION_COOKIE_NAME].value
        into.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])

    return enter


@pytest.fixture
def without_scripts(
    browser: Browser, browser_context_args: dict[str, Any], live_server: Any
) -> Iterator[BrowserContext]:
    """A browser with scripts turned off. Every page works in it."""
    context = browser.new_context(**{**browser_context_args, "java_script_enabled": False})
    yield context
    context.close()


@pytest.fixture
def at(page: Page, live_server: Any) -> Callable[[str], Page]:
    """at("/preferences") opens a page of the live server."""

    def go(path: str) -> Page:
        page.goto(live_server.url + path)
        return page

    return go


def violations(page: Page) -> list[str]:
    """What axe finds wrong on the page, WCAG 2.2 AA and best practice."""
    found = Axe().run(page, options={"runOnly": AXE_TAGS, "resultTypes": ["violations"]}).response["violations"]
    return [
        f"{each['id']}: {each['help']} at {node['target']}: {node['html'][:160]}"
        for each in found
        for node in each["nodes"]
    ]
