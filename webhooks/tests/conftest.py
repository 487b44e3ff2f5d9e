"""A sender of signed events, as Lamba and a mail provider are one, and a quiet doorbell."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from conftest import World
from lamba_campaigns.lib.ids import new_id
from lamba_campaigns.lib.signing import lamba_v1_signature
from projects.scoping import Actor, Scope
from webhooks import directory, doorbell, endpoints, registry
from webhooks.models import Endpoint
from webhooks.tests.customers import Receiver

BASE = "/api/lamba/webhooks/"


@dataclass
class Sender:
    """Signs and posts events to one endpoint through the plain door."""

    scope: Scope
    endpoint: Endpoint
    secret: str

    def envelope(self, type: str = "user.created", data: Any = None, **changes: Any) -> dict[str, Any]:
        return {
            "id": new_id("evt"),
            "type": type,
            "occurredAt": "2026-11-23T09:00:00Z",
            "workspaceId": self.scope.workspace,
            "projectId": self.scope.project,
            "environment": "prod" if self.scope.is_production else "test",
            "data": {"userId": "usr_1"} if data is None else data,
            **changes,
        }

    def signed(self, body: bytes, timestamp: int | None = None) -> dict[str, str]:
        moment = str(int(time.time()) if timestamp is None else timestamp)
        signature = lamba_v1_signature(secret=self.secret, timestamp=moment, body=body)
        return {"X-Lamba-Timestamp": moment, "X-Lamba-Signature": signature}

    @property
    def path(self) -> str:
        return BASE + self.endpoint.public_id

    def post(self, body: bytes | dict[str, Any], headers: dict[str, str] | None = None) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = self.signed(raw) if headers is None else headers
        return Client().post(self.path, raw, content_type="application/json", headers=given)


@pytest.fixture
def lamba(scope: Scope, actor: Actor, now: datetime) -> Sender:
    """Lamba, with an endpoint in Acme production."""
    endpoint, secret = endpoints.create_inbound(scope=scope, actor=actor, name="Lamba", kind="lamba", now=now)
    return Sender(scope, endpoint, secret)


@pytest.fixture(autouse=True)
def rings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The tasks that were rung for, instead of a broker; and no endpoint remembered from another test."""
    rung: list[str] = []
    monkeypatch.setattr(doorbell, "ring", rung.append)
    directory._entries.clear()
    directory._used.clear()
    yield rung
    directory._entries.clear()


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[registry.Event]]:
    """handler("x.y", do=…) -> the list of events that the only handler of these types got, committed or not."""

    def make(*types: str, do: Callable[[Scope, Any], None] | None = None) -> list[registry.Event]:
        seen: list[registry.Event] = []

        def take(scope: Scope, events: Any, now: datetime) -> None:
            seen.extend(events)
            if do is not None:
                do(scope, events)

        for name in types:
            monkeypatch.setitem(registry._handlers, name, [take])
        return seen

    return make


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def sandbox(world: World) -> Scope:
    return world.sandbox


@pytest.fixture
def customer(sandbox: Scope, actor: Actor, now: datetime, receiver: Receiver) -> tuple[Endpoint, str]:
    return endpoints.create_outbound(
        scope=sandbox, actor=actor, name="CRM", url=receiver.url, event_types=["campaign.launched"], now=now
    )
