"""Outgoing events against a real HTTP server: signed twice, retried by rows, never into a private network."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import transaction
from standardwebhooks import Webhook

from conftest import World
from lamba_campaigns.lib.errors import Invalid
from lamba_campaigns.lib.signing import verify_lamba_v1
from projects.scoping import Actor, Scope
from webhooks import addresses, endpoints, outbox, posting, rotation, sender
from webhooks.models import Delivery, DeliveryAttempt, Endpoint, OutboxEvent
from webhooks.outbox import PayloadRefused

pytestmark = pytest.mark.django_db
CAMPAIGN = {"campaign": {"id": "cmp_1", "name": "Spring", "channel": "email"}}


class Receiver:
    """A customer's server. `answers` are used up one by one; the last one stays."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = [(204, {}, b"")]
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({name.lower(): text for name, text in self.headers.items()}, body))
                code, headers, answer = receiver.answers[0]
                if len(receiver.answers) > 1:
                    receiver.answers.pop(0)
                if code == 0:
                    receiver.release.wait(5)
                    return
                self.send_response(code)
                for name, text in headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self.release = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


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


def published(scope: Scope, now: datetime, type: str = "campaign.launched") -> str:
    with transaction.atomic():
        return outbox.publish(scope=scope, type=type, data=CAMPAIGN, now=now)


def only_delivery(scope: Scope) -> Delivery:
    found: Delivery = Delivery.objects.within(scope).get()
    return found


def later(**delta: float) -> datetime:
    return datetime.now(UTC) + timedelta(**delta)


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


@pytest.mark.parametrize("answer", [(410, {}, b""), (500, {"webhook-delivery": "disable"}, b"")])
def test_a_receiver_that_says_stop_is_disabled_and_what_waits_is_skipped(
    sandbox: Scope, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver, answer: Any
) -> None:
    receiver.answers = [answer]
    published(sandbox, now)
    sender.run(now=later())
    published(sandbox, now)

    endpoint = Endpoint.objects.within(sandbox).get()
    assert endpoint.status == "disabled"
    assert endpoint.disabled_reason
    assert [each.status for each in Delivery.objects.within(sandbox)] == ["skipped"]
    assert sender.run(now=later(days=1)) == 0
    types = OutboxEvent.objects.within(sandbox).order_by("sequence").values_list("type", flat=True)
    assert list(types) == ["campaign.launched", "endpoint.disabled", "campaign.launched"]


def test_an_endpoint_that_fails_for_days_is_disabled(
    sandbox: Scope, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver
) -> None:
    receiver.answers = [(500, {}, b"")]
    published(sandbox, now)
    sender.run(now=later())
    Endpoint.objects.within(sandbox).update(failing_since=later(days=-6))

    sender.run(now=later(hours=1))

    assert Endpoint.objects.within(sandbox).get().status == "disabled"


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

    answer = posting.post(url=url, body=b"{}", headers={}, scope=scope, sessions=posting.Sessions())

    assert answer.code is None
    assert "private" in answer.detail or "No connection" in answer.detail


def test_a_real_production_sandbox_may_not_reach_its_host(sandbox: Scope, settings: Any) -> None:
    settings.PRODUCTION = True

    with pytest.raises(Invalid):
        addresses.require_reachable(url="http://localhost:8000/", scope=sandbox)
    settings.WEBHOOK_ALLOWED_HOSTS = ["localhost:8000"]
    addresses.require_reachable(url="http://localhost:8000/", scope=sandbox)


def test_only_subscribed_types_are_sent_and_all_are_kept_in_sequence(
    sandbox: Scope, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver
) -> None:
    for type in ("campaign.launched", "campaign.paused", "campaign.launched"):
        published(sandbox, now, type)

    while sender.run(now=later()):
        pass

    assert [headers["x-lamba-event"] for headers, _ in receiver.got] == ["campaign.launched"] * 2
    kept = OutboxEvent.objects.within(sandbox).order_by("sequence").values_list("sequence", "type")
    assert list(kept) == [(1, "campaign.launched"), (2, "campaign.paused"), (3, "campaign.launched")]


def test_news_of_a_change_that_is_rolled_back_never_existed(sandbox: Scope, now: datetime) -> None:
    with transaction.atomic():
        outbox.publish(scope=sandbox, type="campaign.launched", data=CAMPAIGN, now=now)
        transaction.set_rollback(True)

    assert OutboxEvent.objects.within(sandbox).count() == 0
    published(sandbox, now)
    assert OutboxEvent.objects.within(sandbox).get().sequence == 1


def test_a_publisher_with_the_wrong_shape_is_a_bug(sandbox: Scope, now: datetime) -> None:
    with transaction.atomic():
        with pytest.raises(PayloadRefused):
            outbox.publish(scope=sandbox, type="campaign.launched", data={}, now=now)
        with pytest.raises(KeyError):
            outbox.publish(scope=sandbox, type="campaign.exploded", data={}, now=now)
        with pytest.raises(AssertionError):
            outbox.publish(scope=sandbox, type="user.created", data={"userId": "x"}, now=now)


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


def test_a_test_event_goes_to_its_endpoint_alone(
    sandbox: Scope, actor: Actor, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver
) -> None:
    endpoints.create_outbound(scope=sandbox, actor=actor, name="Other", url=receiver.url, event_types=[], now=now)

    event_id = endpoints.send_test(scope=sandbox, actor=actor, endpoint_id=customer[0].public_id, now=now)
    sender.run(now=later())

    [(headers, _)] = receiver.got
    assert (headers["webhook-id"], headers["x-lamba-event"]) == (event_id, "endpoint.test")
