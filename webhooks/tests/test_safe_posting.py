"""Bytes leave for public https addresses only, and an answer costs a bounded time and space."""

from datetime import datetime
from typing import Any

import pytest

from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Actor, Scope
from webhooks import addresses, connections, endpoints, posting, sender
from webhooks.models import DeliveryAttempt, Endpoint
from webhooks.tests.customers import Receiver, later, only_delivery, published

pytestmark = pytest.mark.django_db


PRIVATE = [
    "https://127.0.0.1/hook",
    "https://localhost/hook",
    "https://169.254.169.254/latest/meta-data",
    "https://10.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://0.0.0.0/",
    "https://100.64.0.1/",
    "https://db.internal/",
]


def test_a_redirect_is_a_failure_and_is_not_followed(
    sandbox: Scope, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver
) -> None:
    receiver.answers = [(302, {"Location": "/elsewhere"}, b"")]
    published(sandbox, now)

    sender.run(now=later())

    assert len(receiver.got) == 1
    assert only_delivery(sandbox).detail == "Answered 302: redirects are not followed."


def test_a_receiver_that_does_not_answer_costs_its_timeout_only(
    sandbox: Scope,
    customer: tuple[Endpoint, str],
    now: datetime,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(posting, "READ_SECONDS", 0.3)
    receiver.answers = [(0, {}, b"")]
    published(sandbox, now)

    sender.run(now=later())

    delivery = only_delivery(sandbox)
    assert (delivery.status, delivery.response_code, delivery.detail) == ("pending", None, "No answer in time.")
    assert delivery.next_attempt_at > later(seconds=40)


def test_a_long_answer_is_cut(
    sandbox: Scope, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver
) -> None:
    receiver.answers = [(200, {}, b"x" * 1_000_000)]
    published(sandbox, now)

    sender.run(now=later())

    assert len(DeliveryAttempt.objects.within(sandbox).get().excerpt) == posting.EXCERPT_BYTES_MAX


@pytest.mark.parametrize(
    "url",
    [
        *PRIVATE,
        "http://crm.example/hook",
        "https://crm.example:22/",
        "https://user:word@crm.example/",
        "ftp://crm.example/",
        "file:///etc/passwd",
        "https:///hook",
        "https://crm.example/\r\nX: y",
        "https://bücher.example/",
        "https://crm.example:99999/",
        "not a url",
        "https://crm.example/" + "x" * 2_000,
    ],
)
def test_production_refuses_what_is_not_a_public_https_address(
    scope: Scope, actor: Actor, now: datetime, url: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        endpoints.create_outbound(scope=scope, actor=actor, name="CRM", url=url, event_types=[], now=now)

    assert refusal.value.problems[0].pointer == "#/url"
    assert Endpoint.objects.within(scope).count() == 0


@pytest.mark.parametrize("url", [*PRIVATE, "https://2130706433/", "https://0x7f000001/", "https://127.1/"])
def test_a_private_address_is_refused_again_when_bytes_would_leave(
    scope: Scope, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "require_reachable", lambda **_: None)

    answer = posting.post(url=url, body=b"{}", headers={}, scope=scope, sessions=connections.Sessions())

    assert answer.code is None
    assert "private" in answer.detail or "No connection" in answer.detail


def test_a_real_production_sandbox_may_not_reach_its_host(sandbox: Scope, settings: Any) -> None:
    settings.PRODUCTION = True

    with pytest.raises(Invalid):
        addresses.require_reachable(url="http://localhost:8000/", scope=sandbox)
    settings.WEBHOOK_ALLOWED_HOSTS = ["localhost:8000"]
    addresses.require_reachable(url="http://localhost:8000/", scope=sandbox)
