"""Channel connections: secrets go in or come out once, are encrypted at rest, and stand in no log and no page."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from audit.models import AuditEntry
from delivery import connections
from delivery.models import ChannelSettings
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
ACCOUNT = "AC" + "0a" * 16
SMS = {
    "provider": "twilio",
    "config": {"account": ACCOUNT, "sender": "+4930123456"},
    "secret": "their-auth-token",
}


def test_a_secret_of_ours_is_shown_once_and_can_be_renewed(api: Api, scope: Scope) -> None:
    client, where = api(), "/api/v1/channels/webhook"
    body = {"provider": "endpoint", "config": {"url": "https://hooks.acme.example/in"}}
    made = client.put(where, body, format="json")
    assert made.status_code == 200, made.content
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    read = client.get(where)
    assert "secret" not in read.json()
    assert read.json()["secretHint"] == secret[-4:]
    row = ChannelSettings.objects.within(scope).get()
    assert secret.encode() not in bytes(row.secret_cipher)
    found = connections.find(scope=scope, channel="webhook")
    assert found is not None
    assert (found.secret, secret in repr(found)) == (secret, False)

    assert client.put(where, body, format="json").status_code == 412
    kept = client.put(where, body, format="json", headers={"If-Match": read["ETag"]})
    assert (kept.json()["secret"], kept["ETag"]) == ("", '"2"')
    renewed = client.put(where, body | {"secret": "new"}, format="json", headers={"If-Match": '"2"'}).json()["secret"]
    assert renewed.startswith("whsec_")
    assert renewed != secret
    entries = AuditEntry.objects.filter(action="channel.connected")
    assert [(entry.after or {})["secretChanged"] for entry in entries.filter(outcome="done").order_by("pk")] == [
        True,
        False,
        True,
    ]
    assert entries.filter(outcome="refused").count() == 1
    assert not any(secret in str(entry.after) for entry in entries)


def test_a_secret_of_theirs_is_kept_until_another_comes(api: Api, scope: Scope) -> None:
    client, where = api(), "/api/v1/channels/sms"
    made = client.put(where, SMS, format="json")
    assert (made.status_code, made.json()["secret"], made.json()["secretHint"]) == (200, "", "oken")
    again = SMS | {"secret": "", "config": SMS["config"] | {"sender": "Acme"}}  # type: ignore[operator]
    assert (
        client.put(where, again, format="json", headers={"If-Match": made["ETag"]}).json()["config"]["sender"] == "Acme"
    )
    found = connections.find(scope=scope, channel="sms")
    assert found is not None
    assert found.secret == "their-auth-token"
    assert found.config["url"] == "https://api.twilio.com"
    assert client.delete(where).status_code == 428
    assert client.delete(where, headers={"If-Match": '"2"'}).status_code == 204
    assert not connections.is_connected(scope=scope, channel="sms")
    assert client.get(where).json()["connected"] is False
    assert client.get("/api/v1/channels/fax").status_code == 404


@pytest.mark.parametrize(
    ("channel", "change", "pointer"),
    [
        ("sms", {"provider": "pigeon"}, "#/provider"),
        ("webhook", {}, "#/provider"),
        ("sms", {"secret": ""}, "#/secret"),
        ("sms", {"config": {"account": ACCOUNT}}, "#/config/sender"),
        ("sms", {"config": {"account": "x", "sender": "+4930123456"}}, "#/config/account"),
        ("sms", {"config": {"account": ACCOUNT, "sender": "+4930123456", "url": "http://10.0.0.1"}}, "#/config/url"),
        ("sms", {"config": {"account": ACCOUNT, "sender": "+4930123456", "colour": "red"}}, "#/config/colour"),
    ],
)
def test_what_can_not_work_is_refused_and_nothing_is_kept(
    api: Api, scope: Scope, channel: str, change: dict[str, Any], pointer: str
) -> None:
    answer = api().put(f"/api/v1/channels/{channel}", SMS | change, format="json")
    assert answer.status_code == 422, answer.content
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert not ChannelSettings.objects.within(scope).exists()


def test_environments_are_connected_each_for_itself(world: Any, api: Api, actor: Actor, now: datetime) -> None:
    with pytest.raises(Invalid):  # production posts to public https only
        connections.connect(
            scope=world.production, actor=actor, channel="webhook", provider="endpoint", secret="", version=0, now=now,
            config={"url": "http://hooks.acme.example/"},
        )  # fmt: skip
    connections.connect(
        scope=world.sandbox, actor=actor, channel="webhook", provider="endpoint", secret="", version=0, now=now,
        config={"url": "http://hooks.acme.example/"},
    )  # fmt: skip
    assert [row["connected"] for row in api(world.sandbox).get("/api/v1/channels").json()["items"]] == [
        True, True, False, True,
    ]  # fmt: skip
    assert not connections.is_connected(scope=world.production, channel="webhook")
    reader = api(permissions=["console.read"])
    assert reader.put("/api/v1/channels/sms", SMS, format="json").status_code == 403
    assert reader.get("/api/v1/channels").status_code == 200


def test_pages_connect_show_the_secret_once_and_disconnect(
    world: Any, scope: Scope, browser_of: Callable[..., Client]
) -> None:
    alice, base = browser_of(world.alice), f"/{scope.path}/settings/channels/"
    with CaptureQueriesContext(connection) as asked:
        assert "Not connected" in alice.get(base).content.decode()
    assert len(asked) <= 15
    detail = f"{base}webhook/"
    assert alice.post(detail, {"version": 0, "url": "ftp://x"}).status_code == 422
    made = alice.post(detail, {"version": 0, "url": "https://hooks.acme.example/in"}).content.decode()
    found = connections.find(scope=scope, channel="webhook")
    assert found is not None
    assert found.secret in made
    assert found.secret not in alice.get(detail).content.decode()
    assert alice.post(detail, {"version": 1, "url": "https://hooks.acme.example/in2"}).status_code == 302
    stale = alice.post(detail, {"version": 1, "url": "https://hooks.acme.example/in3"})
    assert (stale.status_code, "changed since you read it" in stale.content.decode()) == (422, True)
    assert alice.post(f"{detail}disconnect/", {"version": 2}).status_code == 302
    assert not connections.is_connected(scope=scope, channel="webhook")
    assert alice.get(f"{base}in_app/").status_code == 404
    assert browser_of(world.charlie).get(base).status_code == 404


def test_a_sandbox_has_no_provider_of_mail_to_connect(scope: Scope, world: Any, actor: Actor, now: datetime) -> None:
    way = {"channel": "email", "provider": "resend", "config": {}, "secret": "re_key"}
    with pytest.raises(Invalid, match="Providers of this channel here: none"):
        connections.connect(scope=world.sandbox, actor=actor, now=now, version=0, **way)  # type: ignore[arg-type]
    connections.connect(scope=scope, actor=actor, now=now, version=0, **way)  # type: ignore[arg-type]
