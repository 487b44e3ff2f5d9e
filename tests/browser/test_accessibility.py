"""No axe violation on any page, in either theme, wide or narrow; nothing to scroll sideways at 320 px."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

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
REFUSED = ["/acme/app/production/nowhere", GALLERY.format("production") + "/refused"]
WIDTHS = (1440, 390)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_breaks_an_accessibility_rule(
    page: Page,
    live_server: Any,
    gallery: str,
    sign_in: Callable[..., None],
    world: World,
    make_key: Callable[..., str],
    quiet_console: list[str],
    theme: str,
) -> None:
    make_key(world.production)
    page.context.add_cookies([{"name": "theme", "value": theme, "url": live_server.url}])
    page.goto(f"{live_server.url}/sign-in")
    found = {f"/sign-in {theme}": violations(page)}

    sign_in(world.alice)
    for path in PAGES + REFUSED:
        page.goto(live_server.url + path)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            found[f"{path} {theme} {width}"] = violations(page)

    assert {where: wrong for where, wrong in found.items() if wrong} == {}
    assert [line for line in quiet_console if "404" not in line and "409" not in line] == []
    quiet_console.clear()


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
