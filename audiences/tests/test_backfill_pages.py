"""The backfill in console and REST: started, followed and cancelled by those who may, its secret shown to nobody."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from audiences.backfill import connection, runs
from audiences.models import BackfillRun, LambaConnection
from conftest import World
from projects.scoping import Actor, Scope

ACCESS = {"authUrl": "https://id.uselamba.com", "apiUrl": "https://api.uselamba.com", "clientId": "mgmt"}


@pytest.fixture
def rest(scope: Scope, make_key: Callable[..., str]) -> Callable[..., Any]:
    """rest("get", "/backfills", body) -> the answer to a key that may do everything."""
    from rest_framework.test import APIClient

    def ask(method: str, path: str, body: Any = None, within: Scope | None = None, **headers: str) -> Any:
        client = APIClient()
        key = make_key(within or scope)
        return getattr(client, method)(
            f"/api/v1{path}", body, format="json", headers={"Authorization": f"Bearer {key}", **headers}
        )

    return ask


@pytest.fixture
def alice(world: World) -> Client:
    client = Client()
    client.force_login(world.alice)
    return client


@pytest.fixture
def access(scope: Scope, actor: Actor, now: Any) -> LambaConnection:
    given = connection.Access(
        auth_url=ACCESS["authUrl"], api_url=ACCESS["apiUrl"], client_id="mgmt", client_secret="s3cret-text"
    )
    return connection.save(scope=scope, actor=actor, access=given, state_version=None, now=now)


def test_access_is_saved_once_and_then_by_etag(rest: Callable[..., Any]) -> None:
    assert rest("get", "/lamba-access").status_code == 404
    made = rest("put", "/lamba-access", ACCESS | {"clientSecret": "s3cret-text"})
    assert (made.status_code, made.json()["secretHint"], made.headers["ETag"]) == (200, "text", '"1"')
    assert "s3cret" not in made.content.decode()
    assert rest("put", "/lamba-access", ACCESS).status_code == 412
    again = rest("put", "/lamba-access", ACCESS | {"pageSize": 50}, **{"If-Match": '"1"'})
    assert (again.status_code, again.json()["pageSize"]) == (200, 50)
    refused = rest("put", "/lamba-access", ACCESS | {"apiUrl": "http://10.0.0.1"}, **{"If-Match": '"2"'})
    assert refused.status_code == 422


def test_a_run_is_started_followed_and_cancelled(rest: Callable[..., Any], world: World, access: Any) -> None:
    started = rest("post", "/backfills")
    assert started.status_code == 202
    run = started.json()["id"]
    assert started.headers["Location"] == f"/api/v1/backfills/{run}"
    assert rest("post", "/backfills").status_code == 409
    assert rest("get", f"/backfills/{run}").json()["state"] == "queued"
    assert [each["id"] for each in rest("get", "/backfills").json()["items"]] == [run]
    assert rest("get", f"/backfills/{run}", within=world.sandbox).status_code == 404
    assert rest("post", f"/backfills/{run}/cancel").json()["state"] == "cancelled"
    assert rest("post", f"/backfills/{run}/cancel").status_code == 409


def test_without_access_nothing_starts(rest: Callable[..., Any], scope: Scope) -> None:
    assert rest("post", "/backfills").status_code == 404
    assert not BackfillRun.objects.within(scope).exists()


def test_the_page_leads_from_access_to_a_run(alice: Client, scope: Scope) -> None:
    base = f"/{scope.path}/people/backfill/"
    assert "Give access" in alice.get(base).content.decode()
    form = alice.get(f"{base}access/").content.decode()
    assert "https://id.uselamba.com" in form
    fields = {
        "auth_url": "https://id.uselamba.com", "api_url": "https://api.uselamba.com", "client_id": "mgmt",
        "page_size": "200", "token_path": "/connect/token", "members_path": "/v1/admin/members", "sms_path": "/v1/sms",
        "cursor_parameter": "cursor",
    }  # fmt: skip
    assert alice.post(f"{base}access/", fields).status_code == 422
    assert alice.post(f"{base}access/", fields | {"client_secret": "s3cret-text"}).status_code == 302
    assert "s3cret" not in alice.get(f"{base}access/").content.decode()
    assert alice.post(f"{base}start/").status_code == 302
    run = BackfillRun.objects.within(scope).get()
    shown = alice.get(base).content.decode()
    assert "data-live" in shown
    assert "Read all members" not in shown
    assert alice.post(f"{base}{run.public_id}/cancel/").status_code == 302
    assert "Cancelled" in alice.get(base).content.decode()


def test_an_unchanged_run_costs_no_page(
    alice: Client, scope: Scope, actor: Actor, now: Any, access: Any, django_assert_max_num_queries: Any
) -> None:
    run = runs.start(scope=scope, actor=actor, now=now)
    base, live = f"/{scope.path}/people/backfill/", {"HX-Request": "true"}
    assert alice.get(f"{base}?seen={run.public_id}queued00", headers=live).status_code == 204
    with django_assert_max_num_queries(12):
        alice.get(base)
