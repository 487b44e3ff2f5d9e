"""Every page in every state: it renders, it asks few questions of the database, and it keeps to its scope."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from campaigns import completion, drafts, launch
from campaigns.models import Campaign, State
from campaigns.tests.conftest import MakeDraft, Postbox, fresh, run_job
from conftest import World
from delivery import finishing
from lamba_campaigns.web.console import url
from projects.scoping import Actor, Scope

BrowserOf = Callable[[User], Client]
QUERIES_MAX = 40  # the frame around a page takes about a dozen of them


@pytest.fixture
def alice(world: World, browser_of: BrowserOf) -> Client:
    return browser_of(world.alice)


def read(client: Client, address: str, status: int = 200, **headers: Any) -> str:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        answer = client.get(address, **headers)
    assert answer.status_code == status, f"{address}: {answer.status_code}\n{answer.content.decode()[:3000]}"
    assert len(seen) <= QUERIES_MAX, f"{address} asked {len(seen)} questions"
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
    return str(body.decode())


def page_of(scope: Scope, campaign: Campaign, name: str = "campaign-detail") -> str:
    return url(scope, name, campaign.public_id)


@pytest.mark.parametrize(
    "name", ["overview", "campaign-list", "campaign-new", "reconciliation", "template-list", "template-new"]
)
def test_pages_render_when_there_is_nothing(alice: Client, scope: Scope, world: World, name: str) -> None:
    assert "<h1>" in read(alice, url(scope, name))
    assert "<h1>" in read(alice, url(world.sandbox, name))


def test_pages_of_a_draft(alice: Client, scope: Scope, make_draft: MakeDraft) -> None:
    draft = make_draft(people=5, consent=3)

    text = read(alice, page_of(scope, draft))
    assert "Ready to launch" in text and "3</b> real people" in " ".join(text.split())
    read(alice, page_of(scope, draft, "campaign-edit"))
    read(alice, url(scope, "campaign-list"))
    read(alice, url(scope, "overview"))


def test_pages_of_a_campaign_from_launch_to_closed_books(
    alice: Client,
    scope: Scope,
    now: datetime,
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign],
) -> None:
    draft = make_draft(people=5, consent=3)
    sending = launch_it(draft)
    assert "Sending" in read(alice, page_of(scope, sending))
    read(alice, url(scope, "overview"))

    ended = send_it(sending)

    assert "The books are closed" in read(alice, page_of(scope, ended))
    assert "u1@example.com" in read(alice, page_of(scope, ended, "campaign-recipients"))
    assert "No consent" in read(alice, page_of(scope, ended, "campaign-recipients") + "?outcome=excluded")
    assert "Residual" in read(alice, page_of(scope, ended, "campaign-books"))
    assert ended.name in read(alice, url(scope, "reconciliation"))
    assert "u1@example.com" in read(alice, page_of(scope, ended, "campaign-recipients-csv"))
    assert "planned,5" in read(alice, page_of(scope, ended, "campaign-books-csv"))
    assert '"residual": 0' in read(alice, page_of(scope, ended, "campaign-books-json"))
    read(alice, url(scope, "overview"))
    read(alice, url(scope, "campaign-list"))


def test_pages_of_a_template(alice: Client, scope: Scope, make_template: Any, make_people: Any) -> None:
    make_people(2)
    template = make_template()

    text = read(alice, url(scope, "template-detail", template.public_id))
    frame = text.split('data-frame="')[1].split('"')[0]
    shown = alice.get(frame)
    assert "Hi <strong>U2</strong>" in shown.content.decode()
    assert "sandbox" in shown["Content-Security-Policy"] and "script-src" not in shown["Content-Security-Policy"]
    read(alice, url(scope, "template-list"))
    read(alice, url(scope, "template-version", template.public_id, 1))
