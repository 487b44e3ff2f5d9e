"""`make screenshots`: every page of a running instance, wide and narrow, light and dark, for the eye.

It signs in with var/demo-credentials.json (or --email and --password), follows the links of the first
project from its overview, and keeps one picture of each kind of page in each environment. Nothing is compared.
"""

import argparse
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Error, FloatRect, Page, sync_playwright

from tests.browser.chromium import ARGUMENTS, chromium

ROOT = Path(__file__).resolve().parents[2]
VAR = Path(os.environ.get("LAMBA_VAR_DIR", ROOT / "var"))
ADDRESS_DEFAULT = "http://localhost:8000"
WIDTHS = (1440, 390)
THEMES = ("light", "dark")
PAGES_MAX = 150
HEIGHT_MAX = 12_000  # the REST reference is ten times as long, and a browser can't paint that in one piece
ID = re.compile(r"(?<=/)[a-z]{2,4}_[\w.:-]+")
SEVERAL = {"campaigns-id": 8}  # a campaign looks different in each stage of its life
SKIPPED = re.compile(r"\.(csv|json|ndjson|py|eml|zip)$|/theme|/sign-out|/staff/|/frame/|/body/$|/csv/$|/find$")


@dataclass(frozen=True)
class Target:
    url: str
    email: str
    password: str


def kind_of(path: str) -> str:
    """`campaigns-id-books`: addresses that differ by an id only are one kind of page."""
    text = re.sub(r"/\d+(?=/|$)", "/number", ID.sub("id", path))
    return re.sub(r"[^a-z]+", "-", text.strip("/")) or "home"


def sign_in(page: Page, target: Target) -> None:
    page.goto(f"{target.url}/sign-in")
    page.get_by_label("Email").fill(target.email)
    page.get_by_label("Password").fill(target.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(r"^(?!.*sign-in)"))


def pages(page: Page, target: Target) -> Iterator[tuple[str, str]]:
    """(name, path) of every page that can be reached by links; of most kinds one."""
    page.goto(f"{target.url}/")
    doors = page.eval_on_selector_all(".door", "all => all.map(a => a.pathname)")[:2]  # of the first project
    roots = sorted(doors)  # production before sandbox
    queue = ["/", "/preferences", "/api/docs/", *roots]
    seen: Counter[str] = Counter()
    done: set[str] = set()
    while queue and len(done) < PAGES_MAX:
        path = queue.pop(0)
        kind = kind_of(path)
        if path in done or SKIPPED.search(path) or seen[kind] >= _room(kind):
            continue
        done.add(path)
        if not is_page(page, target.url + path):
            continue
        seen[kind] += 1
        yield kind if seen[kind] == 1 else f"{kind}-{seen[kind]}", path
        links = page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        here = [urlsplit(link) for link in links if link.startswith(target.url)]
        queue += [link.path for link in here if any(link.path.startswith(root) for root in roots)]


def is_page(page: Page, address: str) -> bool:
    """Opens it; False for what a browser saves as a file."""
    try:
        page.goto(address)
    except Error as error:
        if "Download is starting" not in str(error):
            raise
        return False
    return True


def _room(kind: str) -> int:
    return next((count for name, count in SEVERAL.items() if kind.endswith(f"production-{name}")), 1)


def shoot(page: Page, target: Target, found: list[tuple[str, str]], folder: Path, theme: str) -> None:
    for kind, path in found:
        page.goto(target.url + path)
        if page.locator("redoc").count():
            page.locator("redoc h1").first.wait_for()  # the REST reference draws itself after it was loaded
        page.wait_for_timeout(250)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(100)
            height = min(page.evaluate("document.documentElement.scrollHeight"), HEIGHT_MAX)
            clip: FloatRect = {"x": 0, "y": 0, "width": width, "height": height}
            page.screenshot(path=folder / f"{kind}-{theme}-{width}.png", full_page=True, clip=clip)
        print(f"  {theme:<5} {kind}", flush=True)  # noqa: T201


def take(browser: Browser, target: Target, folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": WIDTHS[0], "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{target.url}/sign-in")
    page.screenshot(path=folder / "sign-in-light-1440.png")
    sign_in(page, target)
    found = list(pages(page, target))
    for theme in THEMES:
        context.add_cookies([{"name": "theme", "value": theme, "url": target.url}])
        shoot(page, target, found, folder, theme)
    return len(found)


def arguments() -> tuple[Target, Path]:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", default="", help=f"the running instance; {ADDRESS_DEFAULT} or the embedded one")
    parser.add_argument("--email", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--out", type=Path, default=VAR / "screenshots")
    given = parser.parse_args()
    file = VAR / "demo-credentials.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    chosen = {name: getattr(given, name) or known.get(name, "") for name in ("email", "password")}
    missing = [name for name, value in chosen.items() if not value]
    if missing:
        parser.error(f"no {', '.join(missing)}: start `make run` first, or say it with --{missing[0]}")
    return Target((given.url or _running() or ADDRESS_DEFAULT).rstrip("/"), **chosen), given.out


def _running() -> str:
    """The console's address of the embedded instance, when one is up."""
    file = VAR / "embedded.env"
    if not file.exists():
        return ""
    found = re.search(r"^LAMBA_PUBLIC_URL=(.+)$", file.read_text(), re.M)
    return found[1].strip().strip('"') if found else ""


def main() -> int:
    target, folder = arguments()
    place = chromium()
    if place is None:
        print("There is no Chromium on this machine. Name one with LAMBA_CHROMIUM.", file=sys.stderr)  # noqa: T201
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=ARGUMENTS)
        count = take(browser, target, folder)
        browser.close()
    print(f"{count} pages, {count * len(WIDTHS) * len(THEMES)} pictures in {folder}")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
