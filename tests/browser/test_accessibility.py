"""No axe violation on any page, in either theme, wide or narrow; nothing to scroll sideways at 320 px."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from campaigns.models import Campaign
from campaigns.tests.conftest import MakeDraft
from conftest import World
from tests.browser.conftest import violations

GALLERY = "/acme/app/{}/gallery"
PAGES = [
    "/",
    "/preferences",
    "/problems/conflict",
    "/acme/app/production/find?q=set",
    "/acme/app/sandbox/settings/",
    "/acme/app/production/settings/members/",
    "/acme/app/production/settings/keys/",
    GALLERY.format("production"),
    GALLERY.format("production") + "?confirm=launch",
    GALLERY.format("sandbox"),
]
MAIN = [  # wide and light here, narrow and dark there: each half of the rules once
    "",
    "campaigns/",
    "campaigns/new/",
    "campaigns/{draft}/",
    "campaigns/{draft}/?confirm=launch",
    "campaigns/{sent}/",
    "campaigns/{sent}/recipients/",
    "campaigns/{sent}/books/",
    "reconciliation/",
    "audiences/{audience}/",
    "audiences/{audience}/edit/",
    "people/",
    "people/imports/new/",
    "templates/{template}/",
    "events/",
    "endpoints/new/send/",
    "audit/",
    "captured/",
    "suppressions/",
    "plan/",
]
REFUSED = ["/acme/app/production/nowhere", GALLERY.format("production") + "/refused"]
WIDTHS = (1440, 390)


@pytest.mark.parametrize(("theme", "widths"), [("light", WIDTHS), ("dark", WIDTHS[:1])])
def test_no_page_breaks_an_accessibility_rule(
    page: Page,
    live_server: Any,
    gallery: str,
    sign_in: Callable[..., None],
    world: World,
    make_key: Callable[..., str],
    quiet_console: list[str],
    theme: str,
    widths: tuple[int, ...],
) -> None:
    make_key(world.production)
    page.context.add_cookies([{"name": "theme", "value": theme, "url": live_server.url}])
    page.goto(f"{live_server.url}/sign-in")
    found = {f"/sign-in {theme}": violations(page)}

    sign_in(world.alice)
    for path in PAGES + REFUSED:
        page.goto(live_server.url + path)
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            found[f"{path} {theme} {width}"] = violations(page)

    assert {where: wrong for where, wrong in found.items() if wrong} == {}
    assert [line for line in quiet_console if "404" not in line and "409" not in line] == []
    quiet_console.clear()


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390)])
def test_no_page_with_something_on_it_breaks_an_accessibility_rule(
    page: Page,
    live_server: Any,
    sign_in: Callable[..., None],
    world: World,
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign],
    theme: str,
    width: int,
) -> None:
    draft, sent = make_draft("Spring", people=5, consent=3), send_it(launch_it(make_draft("Autumn")))
    assert sent.audience is not None and sent.template_version is not None
    ids = {
        "draft": draft.public_id,
        "sent": sent.public_id,
        "audience": sent.audience.public_id,
        "template": sent.template_version.template.public_id,
    }
    page.context.add_cookies([{"name": "theme", "value": theme, "url": live_server.url}])
    page.set_viewport_size({"width": width, "height": 900})
    sign_in(world.alice)

    found, wide = {}, []
    for path in MAIN:
        page.goto(f"{live_server.url}/{world.production.path}/{path.format(**ids)}")
        found[path] = violations(page)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(path)

    assert {where: wrong for where, wrong in found.items() if wrong} == {}
    assert wide == []


def test_no_page_scrolls_sideways_on_a_narrow_screen(
    page: Page, live_server: Any, gallery: str, sign_in: Callable[..., None], world: World
) -> None:
    sign_in(world.alice)
    page.set_viewport_size({"width": 320, "height": 800})
    wide = []
    for path in PAGES:
        page.goto(live_server.url + path)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(path)
    assert wide == []
