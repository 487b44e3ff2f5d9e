"""Outgoing events against a real HTTP server: signed twice, tried again by rows, the same bytes each time."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from lamba_campaigns.lib.signing import verify_lamba_v1
from projects.scoping import Actor, Scope
from webhooks import posting, rotation, sender
from webhooks.models import DeliveryAttempt, Endpoint
from webhooks.tests.customers import CAMPAIGN, Receiver, later, only_delivery, published

pytestmark = pytest.mark.django_db


def test_an_event_arrives_signed_both_ways_in_lambas_envelope(
    sandbox: Scope, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver
) -> None:
    event_id = published(sandbox, now)

    assert sender.run(now=later()) == 1

    [(headers, body)] = receiver.got
    assert json.loads(body) == {
        "id": event_id,
        "type": "campaign.launched",
        "occurredAt": "2026-11-23T09:30:00Z",
        "workspaceId": sandbox.workspace,
        "projectId": sandbox.project,
        "environment": "test",
        "apiVersion": "2026-11-01",
        "sequence": 1,
        "data": CAMPAIGN,
    }
    secret = customer[1]
    moment = headers["x-lamba-timestamp"]
    assert (
        verify_lamba_v1(
            timestamp=moment, signature=headers["x-lamba-signature"], body=body, secrets=[secret], now=int(moment)
        )
        == 0
    )
    assert Webhook(secret).verify(body, headers) == json.loads(body)
    assert (headers["x-lamba-event"], headers["x-lamba-tenant"]) == ("campaign.launched", sandbox.workspace)
    assert headers["webhook-id"] == event_id
    delivery = only_delivery(sandbox)
    assert (delivery.status, delivery.response_code, delivery.attempts) == ("delivered", 204, 1)
    assert sender.run(now=later(days=2)) == 0


def test_a_failure_is_tried_again_with_the_same_bytes_and_a_fresh_timestamp(
    sandbox: Scope, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answers = [(500, {}, b"broken \x00"), (200, {}, b"ok")]
    published(sandbox, now)

    sender.run(now=later())
    waiting = only_delivery(sandbox)
    assert (waiting.status, waiting.response_code, waiting.detail) == ("pending", 500, "Answered 500.")
    assert timedelta(seconds=3) < waiting.next_attempt_at - datetime.now(UTC) < timedelta(seconds=7)
    assert sender.run(now=datetime.now(UTC)) == 0
    clock = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: clock)
    sender.run(now=later(seconds=10))

    assert only_delivery(sandbox).status == "delivered"
    (first, body), (second, again) = receiver.got
    assert body == again
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["x-lamba-timestamp"]) - int(first["x-lamba-timestamp"]) >= 59
    assert first["x-lamba-signature"] != second["x-lamba-signature"]
    log = DeliveryAttempt.objects.within(sandbox).order_by("number")
    assert [(each.number, each.response_code, each.excerpt) for each in log] == [
        (1, 500, "broken \ufffd"),
        (2, 200, "ok"),
    ]


def test_the_ladder_ends_after_ten_attempts(
    sandbox: Scope, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver
) -> None:
    receiver.answers = [(500, {}, b"")]
    published(sandbox, now)

    for day in range(12):
        sender.run(now=later(days=day * 2))

    assert len(receiver.got) == sender.ATTEMPTS_MAX == 10
    assert only_delivery(sandbox).status == "failed"


@pytest.mark.parametrize(
    ("attempt", "code", "asked", "low", "high"),
    [
        (1, 500, None, 4, 6),
        (2, 500, None, 240, 360),
        (1, 429, None, 48, 72),
        (1, None, None, 48, 72),
        (1, 429, 90.0, 90, 90),
        (1, 429, 999_999.0, 120, 120),
        (2, 503, 1.0, 300, 300),
        (9, 500, None, 69_120, 103_680),
    ],
)
def test_pauses_follow_the_ladder_and_a_clamped_retry_after(
    attempt: int, code: int | None, asked: float | None, low: float, high: float
) -> None:
    answer = posting.Answer(datetime.now(UTC), 1, code, retry_after=asked)

    assert low <= sender.pause_seconds(attempt=attempt, answer=answer) <= high


def test_during_a_rotation_both_secrets_verify(
    sandbox: Scope, actor: Actor, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver
) -> None:
    endpoint, old = customer
    _, new = rotation.rotate(scope=sandbox, actor=actor, endpoint_id=endpoint.public_id, now=datetime.now(UTC))
    receiver.answers = [(401, {}, b""), (200, {}, b"")]
    published(sandbox, now)
    sender.run(now=later())
    sender.run(now=later(minutes=2))

    for headers, body in receiver.got:
        assert Webhook(old).verify(body, headers) == Webhook(new).verify(body, headers)
    signers = [
        verify_lamba_v1(
            timestamp=headers["x-lamba-timestamp"],
            signature=headers["x-lamba-signature"],
            body=body,
            secrets=[new, old],
            now=int(headers["x-lamba-timestamp"]),
        )
        for headers, body in receiver.got
    ]
    assert signers == [0, 1], "Lamba's header has room for one: attempts take turns"
