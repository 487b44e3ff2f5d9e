"""Every form that the console shows, filled in with what nobody should type: never a 5xx. The forms are found as a
person finds them, by following links from the first page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import Resolver404, resolve

from campaigns.models import Campaign
from campaigns.tests.conftest import MakeDraft, Postbox
from conftest import World

FIRST = "/acme/app/production/"
PAGES_MAX, PAGES_OF_A_KIND_MAX = 150, 2
LEFT_OUT = ("/sign-out", "/theme", "/staff/")  # they end the session, or have no fields
TYPED = {
    "empty": "",
    "long": "x" * 10_000,
    "emoji": "🦜🏳️‍🌈",
    "NUL": "a\x00b",
    "markup": "<b>{{ person.x }}{% if",
    "past": "2001-01-01T00:00",
}


@dataclass
class Form:
    """What one form would send as it stands; `free` are the fields that a person fills in."""

    action: str
    values: dict[str, list[str]] = field(default_factory=dict)
    free: list[str] = field(default_factory=list)

    @property
    def kind(self) -> tuple[str, ...]:
        return (_kind(self.action), *sorted(self.values))

    def filled(self, text: str) -> dict[str, list[str]]:
        return self.values | {name: [text] for name in self.free}


class Reader(HTMLParser):
    """The links and the POST forms of one page."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address, self.links, self.forms = address, list[str](), list[Form]()
        self._form: Form | None = None
        self._select = ""

    def handle_starttag(self, tag: str, found: Any) -> None:
        given = dict(found)
        name = given.get("name") or ""
        if tag == "a" and given.get("href"):
            self.links.append(urljoin(self.address, given["href"]).partition("#")[0])
        elif tag == "form":
            action = urljoin(self.address, given.get("action") or self.address)
            self._form = Form(action) if (given.get("method") or "").lower() == "post" else None
        elif self._form is not None and name and tag in ("input", "textarea", "button"):
            self._take(self._form, name, given, tag)
        elif self._form is not None and tag == "select":
            self._select = name
            self._form.values.setdefault(name, [])
            self._form.free.append(name)
        elif self._form is not None and tag == "option" and self._select and "selected" in given:
            self._form.values[self._select].append(given.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._form is not None:
            self.forms.append(self._form)
            self._form = None
        if tag == "select":
            self._select = ""

    def _take(self, form: Form, name: str, given: dict[str, Any], tag: str) -> None:
        kind = "textarea" if tag == "textarea" else given.get("type", "text" if tag == "input" else "submit")
        if kind in ("checkbox", "radio") and "checked" not in given:
            return
        if kind != "file" and (tag != "button" or name not in form.values):
            form.values.setdefault(name, []).append(given.get("value") or "")
        if kind not in ("hidden", "submit", "file"):
            form.free.append(name)


@pytest.fixture
def filled(
    make_draft: MakeDraft, launch_it: Callable[..., Campaign], send_it: Callable[..., Campaign], postbox: Postbox
) -> None:
    """A campaign that was sent, and a draft: every kind of page has something to show."""
    send_it(launch_it(make_draft()))
    make_draft("Summer")


def test_no_form_answers_bad_input_with_a_crash(
    filled: None, world: World, browser_of: Callable[[User], Client]
) -> None:
    browser = browser_of(world.alice)
    forms = {form.kind: form for form in _forms(browser)}
    assert len(forms) > 40
    browser.raise_request_exception = False  # so that all of them are named
    crashed = [
        (what, *form.kind)
        for form in forms.values()
        for what, text in TYPED.items()
        if browser.post(form.action, form.filled(text)).status_code >= 500
    ]
    assert crashed == []


def _forms(browser: Client) -> Iterator[Form]:
    """By breadth: every kind of page once or twice."""
    waiting, seen, kinds = [FIRST], {FIRST}, dict[str, int]()
    for _ in range(PAGES_MAX):
        if not waiting:
            return
        address = waiting.pop(0)
        answer = browser.get(address)
        assert answer.status_code < 500, address
        if not answer["Content-Type"].startswith("text/html") or answer.streaming:
            continue
        page = Reader(address)
        page.feed(answer.content.decode())
        yield from (form for form in page.forms if not form.action.startswith(LEFT_OUT))
        for link in page.links:
            kind = _kind(link)
            ours = urlsplit(link).netloc == "" and kind and not link.startswith(LEFT_OUT)
            if ours and link not in seen and kinds.get(kind, 0) < PAGES_OF_A_KIND_MAX:
                kinds[kind] = kinds.get(kind, 0) + 1
                seen.add(link)
                waiting.append(link)


def _kind(address: str) -> str:
    try:
        return resolve(urlsplit(address).path).route
    except Resolver404:
        return ""
