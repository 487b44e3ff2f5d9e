"""An endpoint moves to another payload version: the difference first, then a confirmed and audited decision."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from audit.models import AuditEntry
from conftest import World
from lamba_campaigns.web import navigation
from projects.scoping import Actor, Scope
from webhooks import endpoints, versions
from webhooks.models import Endpoint
from webhooks.tests.conftest import Sender

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
OLD, NEW = "2026-05-01", "2026-11-01"


@pytest.fixture
def path(scope: Scope, actor: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch) -> str:
    """The version page of an endpoint that is pinned to the older of two versions."""
    monkeypatch.setattr(versions, "VERSIONS", (OLD, NEW))
    monkeypatch.setattr(versions, "STEPS_BACK", {NEW: back})
    endpoint, _ = endpoints.create_outbound(
        scope=scope,
        actor=actor,
        name="CRM",
        url="https://crm.example/hook",
        event_types=["campaign.launched", "limit.warning"],
        now=now,
    )
    Endpoint.objects.within(scope).update(api_version=OLD)
    return navigation.url_of(scope, "endpoint-version", endpoint.public_id)


def back(body: dict[str, Any]) -> dict[str, Any]:
    """In the older version a campaign was only its id."""
    data = dict(body["data"])
    if "campaign" in data:
        data["campaignId"] = data.pop("campaign")["id"]
    return {**body, "data": data}


def test_the_page_shows_what_changes_in_the_types_that_the_endpoint_gets(
    browser_of: Browser, world: World, path: str
) -> None:
    [found] = browser_of(world.alice).get(path).context["differences"]

    assert found.type == "campaign.launched"
    assert ("-", '    "campaignId": "cmp_01JDCEXAMPLE00000000000001",') in found.lines
    assert ("+", '      "name": "Spring sale"') in found.lines or ("+", '      "name": "Spring sale",') in found.lines
    assert browser_of(world.alice).get(f"{path}?to={OLD}").context["differences"] == []
    assert browser_of(world.alice).get(f"{path}?to=1999-01-01").status_code == 422


def test_a_change_is_confirmed_versioned_and_audited(
    browser_of: Browser, world: World, scope: Scope, path: str
) -> None:
    browser = browser_of(world.alice)

    assert browser.post(path, {"to": NEW}).status_code == 422
    assert browser.post(path, {"to": NEW, "version": "9"}).status_code == 412
    assert browser.post(path, {"to": "1999-01-01", "version": "1"}).status_code == 422
    assert Endpoint.objects.within(scope).get().api_version == OLD
    assert browser.post(path, {"to": NEW, "version": "1"}).status_code == 302

    assert Endpoint.objects.within(scope).get().api_version == NEW
    entries = AuditEntry.objects.filter(action="endpoint.updated").order_by("sequence")
    assert [each.outcome for each in entries] == ["refused", "refused", "done"]
    changed = entries[2]
    assert ((changed.before or {})["apiVersion"], (changed.after or {})["apiVersion"]) == (OLD, NEW)


def test_the_endpoint_page_leads_there_once_there_is_a_choice(
    browser_of: Browser, world: World, scope: Scope, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    detail = navigation.url_of(scope, "endpoint-detail", Endpoint.objects.within(scope).get().public_id)

    assert path in browser_of(world.alice).get(detail).content.decode()
    monkeypatch.setattr(versions, "VERSIONS", (NEW,))
    assert path not in browser_of(world.alice).get(detail).content.decode()


def test_a_receiving_endpoint_has_no_version(browser_of: Browser, world: World, scope: Scope, lamba: Sender) -> None:
    path = navigation.url_of(scope, "endpoint-version", lamba.endpoint.public_id)

    assert browser_of(world.alice).get(path).status_code == 409
