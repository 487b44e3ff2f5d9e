"""Tracking: a link leads where it was made to lead and nowhere else; opens and clicks never move a balance."""

import re
from collections.abc import Callable
from datetime import datetime
from html import unescape
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from audiences.models import PersonFacts
from audit import ledger
from delivery import tokens, tracking
from delivery.content.rendering import Content
from delivery.models import JobCounters, Receipt, SendJob
from delivery.tests.conftest import Postbox, counters
from projects.scoping import Scope
from webhooks import process

pytestmark = pytest.mark.django_db
LINKS = Content(
    subject="Hello",
    preheader="",
    body="[a](https://acme.example/a?x=1&y=2) [b](https://acme.example/{{ person.given_name }}) [c](mailto:a@b.ex)",
    from_name="Acme",
    from_address="hello@acme.example",
)


def settle() -> None:
    while process.run(now=timezone.now()):
        pass


def hrefs(postbox: Postbox, to: str) -> list[str]:
    message = next(each for each in postbox.messages() if each["To"] == to)
    html = message.get_body(("html",))
    assert html is not None
    return [unescape(found) for found in re.findall(r'(?:href|src)="([^"]+)"', html.get_content())]


@pytest.fixture
def sent(make_job: Callable[..., SendJob], deliver: Any, postbox: Postbox) -> SendJob:
    job = make_job(2, content=LINKS, track_opens=True, track_clicks=True)
    deliver(job)
    return job


def local(url: str) -> str:
    return url.removeprefix("http://localhost:8000")


def test_every_link_but_ours_is_tracked_and_leads_where_it_led(client: Client, sent: SendJob, postbox: Postbox) -> None:
    links = hrefs(postbox, "u1@example.com")
    tracked = [link for link in links if "/c/" in link]
    assert [parse_qs(urlsplit(link).query)["to"][0] for link in tracked] == [
        "https://acme.example/a?x=1&y=2",
        "https://acme.example/U1",
    ]
    assert "mailto:a@b.ex" in links
    assert sum("/u/" in link for link in links) >= 1
    assert sum("/o/" in link for link in links) == 1
    for link in tracked:
        answer = client.get(local(link))
        assert (answer.status_code, answer["Location"]) == (302, parse_qs(urlsplit(link).query)["to"][0])
    assert not set(tracked) & set(hrefs(postbox, "u2@example.com"))


def test_opens_and_clicks_are_overlays_counted_once_and_known_to_rules(
    client: Client, scope: Scope, sent: SendJob, postbox: Postbox
) -> None:
    links = hrefs(postbox, "u1@example.com")
    first, second = (local(link) for link in links if "/c/" in link)
    (pixel,) = (local(link) for link in links if "/o/" in link)
    for _ in range(2):
        assert client.get(pixel)["Content-Type"] == "image/gif"
        client.get(first)
    settle()
    client.get(second)
    client.get(pixel)
    settle()

    row = JobCounters.objects.within(scope).get(pk=sent.pk)
    assert (row.opened, row.clicked) == (1, 1)
    assert counters(sent) == {"accepted": 1, "delivered": 1}
    balance = ledger.balance(scope=scope, job_id=sent.pk)
    assert balance.residual == 0
    assert Receipt.objects.filter(type="message.clicked").count() == 2
    assert Receipt.objects.filter(type="message.opened").count() == 1
    opened = PersonFacts.objects.within(scope).exclude(last_opened_at=None)
    assert opened.count() == 1


def test_machines_that_say_so_are_not_readers(client: Client, sent: SendJob, postbox: Postbox) -> None:
    links = hrefs(postbox, "u1@example.com")
    click = next(local(link) for link in links if "/c/" in link)
    pixel = next(local(link) for link in links if "/o/" in link)
    assert client.head(click).status_code == 302
    assert client.get(click, headers={"Sec-Purpose": "prefetch;prerender"}).status_code == 302
    assert client.get(pixel, headers={"Purpose": "prefetch"}).status_code == 200
    assert client.post(click).status_code == 405
    settle()
    assert not Receipt.objects.exists()


def test_a_link_that_we_did_not_make_leads_nowhere(
    client: Client, scope: Scope, sent: SendJob, postbox: Postbox
) -> None:
    link = next(local(each) for each in hrefs(postbox, "u1@example.com") if "/c/" in each)
    path = link.partition("?")[0]
    other = tokens.unsubscribe_token(environment_id=scope.environment_id, job_id=sent.pk, person_id=1)
    wrong = [
        f"{path}?to={quote('https://evil.example/', safe='')}",
        f"{path}?to={quote('https://acme.example/a?x=1', safe='')}",
        path,
        f"{path}?to=javascript%3Aalert(1)",
        link.replace("/c/", "/c/a", 1),
        f"/c/{other}{'a' * 16}?to=https%3A%2F%2Facme.example%2F",
        "/c/x?to=https%3A%2F%2Facme.example%2F",
    ]
    for each in wrong:
        answer = client.get(each)
        assert answer.status_code == 404, each
        assert "Location" not in answer
    assert client.get(f"/o/{other}").status_code == 404


def test_without_tracking_nothing_is_added(make_job: Callable[..., SendJob], deliver: Any, postbox: Postbox) -> None:
    deliver(make_job(1, content=LINKS))
    links = hrefs(postbox, "u1@example.com")
    assert "https://acme.example/a?x=1&y=2" in links
    assert not any("/c/" in link or "/o/" in link for link in links)


def test_what_was_sent_can_be_made_again_byte_for_byte(scope: Scope, sent: SendJob, now: datetime) -> None:
    rewrite, again = tracking.rewriter(scope=scope, job=sent), tracking.rewriter(scope=scope, job=sent)
    assert rewrite is not None
    assert again is not None
    page = '<html><body><a href="https://acme.example/">x</a></body></html>'
    assert rewrite(page, 1) == again(page, 1) != rewrite(page, 2)


@given(st.text(min_size=1, max_size=80))
def test_a_mark_fits_one_address_alone(text: str) -> None:
    url = f"https://acme.example/{quote(text)}"
    token = tokens.tokens("click", environment_id=1, job_id=2, numbers=[3])[0]
    sealed = token + tracking._mark(token, url)
    assert tracking.target(sealed=sealed, url=url) == tokens.Reference(1, 2, 3)
    assert tracking.target(sealed=sealed, url=url + "x") is None
