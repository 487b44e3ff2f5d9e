"""Order, deadlines, replays and versions of what is sent, against a real HTTP server."""

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from lamba_campaigns.lib.canonical import strict_loads
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Actor, Scope
from webhooks import connections, endpoints, log_retention, posting, replay, sender, versions
from webhooks.models import Delivery, DeliveryAttempt, Endpoint, OutboxEvent
from webhooks.tests.customers import Receiver, later, published

pytestmark = pytest.mark.django_db
Customer = tuple[Endpoint, str]


def got_ids(receiver: Receiver) -> list[str]:
    return [headers["webhook-id"] for headers, _ in receiver.got]


# --- order ----------------------------------------------------------------------------------------------------------
def test_an_ordered_endpoint_gets_one_event_at_a_time_and_the_earlier_one_first(
    sandbox: Scope, customer: Customer, receiver: Receiver, now: datetime
) -> None:
    Endpoint.objects.within(sandbox).update(ordered=True)
    ids = [published(sandbox, now) for _ in range(3)]
    receiver.answers = [(500, {}, b""), (204, {}, b"")]

    assert sender.run(now=later()) == 1
    assert sender.run(now=later()) == 0, "the first one failed and holds up the others"
    while sender.run(now=later(seconds=10)):
        pass

    assert got_ids(receiver) == [ids[0], *ids]


def test_an_event_that_fails_twice_no_longer_holds_up_an_ordered_endpoint(
    sandbox: Scope, customer: Customer, receiver: Receiver, now: datetime
) -> None:
    Endpoint.objects.within(sandbox).update(ordered=True)
    first, second = published(sandbox, now), published(sandbox, now)
    receiver.answers = [(500, {}, b""), (500, {}, b""), (204, {}, b"")]

    for seconds in (0, 10, 20):
        sender.run(now=later(seconds=seconds))

    assert got_ids(receiver) == [first, first, second]
    assert Delivery.objects.within(sandbox).get(event__public_id=second).status == "delivered"


# --- deadlines and the log ------------------------------------------------------------------------------------------
def test_headers_that_trickle_in_end_at_the_deadline(sandbox: Scope) -> None:
    """Each byte comes well within the read timeout; the whole answer would take for ever."""
    server, stop = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def trickle() -> None:
        client, _ = server.accept()
        with client:
            client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not stop.wait(0.05):
                try:
                    client.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    sessions, began = connections.Sessions(), time.monotonic()
    url = f"http://127.0.0.1:{server.getsockname()[1]}/"

    answer = posting.post(url=url, body=b"{}", headers={}, scope=sandbox, sessions=sessions, seconds=0.6)

    stop.set()
    thread.join()
    server.close()
    sessions.close()
    assert (answer.code, answer.detail) == (None, "No answer in time.")
    assert time.monotonic() - began < 3


def test_the_log_keeps_what_was_sent_and_what_came_back(
    sandbox: Scope, customer: Customer, receiver: Receiver, now: datetime
) -> None:
    receiver.answers = [(503, {"X-Reason": "busy", "Set-Cookie": "a=b"}, b"later")]
    event_id = published(sandbox, now)

    sender.run(now=later())

    [attempt] = DeliveryAttempt.objects.within(sandbox)
    assert attempt.request_headers["webhook-id"] == event_id
    assert (attempt.response_code, attempt.response_headers["X-Reason"], attempt.excerpt) == (503, "busy", "later")
    assert "Set-Cookie" not in attempt.response_headers


def test_the_log_of_requests_has_an_age_and_nothing_else_goes_with_it(
    sandbox: Scope,
    customer: Customer,
    receiver: Receiver,
    now: datetime,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(3):
        published(sandbox, now)
    sender.run(now=later())
    kept = DeliveryAttempt.objects.within(sandbox).latest("id")
    DeliveryAttempt.objects.within(sandbox).exclude(pk=kept.pk).update(started_at=later(days=-91))
    monkeypatch.setattr(log_retention, "ATTEMPTS_PER_STEP", 1)

    assert log_retention.forget_attempts(now=later()) == 2
    assert log_retention.forget_attempts(now=later()) == 0
    assert list(DeliveryAttempt.objects.within(sandbox)) == [kept]
    assert Delivery.objects.within(sandbox).filter(status="delivered").count() == 3
    settings.WEBHOOK_LOG_DAYS = 1
    assert log_retention.forget_attempts(now=later(days=2)) == 1


# --- replay ---------------------------------------------------------------------------------------------------------
def replayed(scope: Scope, actor: Actor, endpoint: Endpoint, now: datetime, **more: Any) -> replay.Replayed:
    given: dict[str, Any] = {"since": now, "until": now + timedelta(hours=1), "reason": "They were down", **more}
    return replay.replay(scope=scope, actor=actor, endpoint_id=endpoint.public_id, now=datetime.now(UTC), **given)


def test_a_range_is_sent_again_with_what_the_endpoint_missed(
    sandbox: Scope, customer: Customer, receiver: Receiver, actor: Actor, now: datetime
) -> None:
    endpoint = customer[0]
    before = published(sandbox, now - timedelta(hours=1))
    got = published(sandbox, now)
    sender.run(now=later())
    Endpoint.objects.within(sandbox).update(status="disabled")
    missed = published(sandbox, now + timedelta(minutes=1))
    published(sandbox, now + timedelta(minutes=2), type="campaign.paused")  # not subscribed
    Endpoint.objects.within(sandbox).update(status="active")
    receiver.got.clear()

    assert replayed(sandbox, actor, endpoint, now, dry_run=True).count == 2
    assert sender.run(now=later(seconds=1)) == 0, "a dry run moves nothing"
    assert replayed(sandbox, actor, endpoint, now).count == 2
    sender.run(now=later(seconds=1))

    assert set(got_ids(receiver)) == {got, missed}
    assert before not in got_ids(receiver)
    entry = AuditEntry.objects.get(action="endpoint.replayed")
    assert (entry.reason, (entry.after or {})["events"]) == ("They were down", 2)


def test_a_replay_needs_a_reason_and_a_range(sandbox: Scope, customer: Customer, actor: Actor, now: datetime) -> None:
    for wrong in ({"reason": " "}, {"until": now}):
        with pytest.raises(Invalid):
            replayed(sandbox, actor, customer[0], now, **wrong)


# --- versions -------------------------------------------------------------------------------------------------------
def test_an_endpoint_pinned_to_an_older_version_gets_the_same_old_bytes_each_time(
    sandbox: Scope, customer: Customer, receiver: Receiver, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "VERSIONS", ("2026-05-01", "2026-11-01"))

    def back(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "data": {"campaignId": body["data"]["campaign"]["id"]}}

    monkeypatch.setattr(versions, "STEPS_BACK", {"2026-11-01": back})
    Endpoint.objects.within(sandbox).update(api_version="2026-05-01")
    receiver.answers = [(500, {}, b""), (204, {}, b"")]
    event_id = published(sandbox, now)

    sender.run(now=later())
    sender.run(now=later(seconds=10))

    bodies = [body for _, body in receiver.got]
    assert bodies[0] == bodies[1]
    told = strict_loads(bodies[0])
    assert (told["id"], told["apiVersion"], told["data"]) == (event_id, "2026-05-01", {"campaignId": "cmp_1"})
    assert strict_loads(bytes(OutboxEvent.objects.within(sandbox).get().payload))["apiVersion"] == "2026-11-01"


def test_an_unknown_version_is_refused(sandbox: Scope, customer: Customer, actor: Actor, now: datetime) -> None:
    with pytest.raises(Invalid):
        endpoints.update(
            scope=sandbox,
            actor=actor,
            endpoint_id=customer[0].public_id,
            expected_version=1,
            changes={"api_version": "1999-01-01"},
            now=now,
        )
