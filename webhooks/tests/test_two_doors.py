"""Both doors on real Postgres: many at once, hostile input, the process killed. One row per event, and never a 5xx."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
import requests
from django.db import connection, connections
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamba_campaigns.lib import sql
from projects.scoping import Scope
from webhooks import directory, ingest, process
from webhooks.asgi import Application
from webhooks.models import InboundConflict, InboundEvent
from webhooks.tests.conftest import Sender

SAME_TIME = 50


def rows(scope: Scope) -> list[InboundEvent]:
    return list(InboundEvent.objects.within(scope).order_by("id"))


# --- the plain door, in threads -------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_fifty_identical_deliveries_at_once_are_one_row_and_one_effect(
    lamba: Sender, scope: Scope, handler: Callable[..., list[Any]]
) -> None:
    seen = handler("user.created")
    body = json.dumps(lamba.envelope(id="evt_1")).encode()
    barrier = Barrier(10)

    def deliver(_: int) -> tuple[int, str]:
        barrier.wait()
        try:
            answer = lamba.post(body)
            return answer.status_code, answer.json()["status"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        answers = sorted(pool.map(deliver, range(SAME_TIME)))

    assert answers == [(200, "duplicate")] * (SAME_TIME - 1) + [(202, "accepted")]
    [event] = rows(scope)
    assert event.delivery_count == SAME_TIME
    process.run(now=datetime.now(UTC) + timedelta(seconds=1))
    assert [each.id for each in seen] == ["evt_1"]


@pytest.mark.django_db(transaction=True)
def test_without_the_unique_key_the_same_race_stores_it_twice(lamba: Sender, scope: Scope) -> None:
    """The control: the guard is the constraint, and the race above is a real one."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE webhooks_inboundevent DROP CONSTRAINT inbound_event_is_stored_once")
    barrier = Barrier(4)

    def check_then_insert(_: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM webhooks_inboundevent WHERE event_id = 'evt_1'")
            known = cursor.fetchone()[0]
            barrier.wait()
            if not known:
                moment = datetime.now(UTC)
                InboundEvent(
                    environment_id=scope.environment_id,
                    event_id="evt_1",
                    source="lamba",
                    received_at=moment,
                    last_seen_at=moment,
                    next_attempt_at=moment,
                    raw=b"",
                    sha256=b"",
                ).save(force_insert=True)
        connections.close_all()

    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(check_then_insert, range(4)))
        assert len(rows(scope)) == 4
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM webhooks_inboundevent")
            cursor.execute(
                "ALTER TABLE webhooks_inboundevent ADD CONSTRAINT inbound_event_is_stored_once "
                "UNIQUE (environment_id, event_id)"
            )


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_give_every_event_one_effect(
    lamba: Sender, scope: Scope, handler: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "BATCH_EVENTS_MAX", 5)
    seen = handler("user.created")
    for number in range(40):
        lamba.post(lamba.envelope(id=f"evt_{number}"))
    moment = datetime.now(UTC) + timedelta(seconds=1)

    def work(_: int) -> None:
        try:
            while process.run(now=moment):
                pass
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    assert sorted(each.id for each in seen) == sorted(f"evt_{number}" for number in range(40))
    assert {each.state for each in rows(scope)} == {"processed"}


# --- a batch --------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_batch_tells_new_from_duplicate_from_conflict(lamba: Sender, scope: Scope) -> None:
    endpoint = directory.find(lamba.endpoint.public_id)
    assert endpoint is not None

    def arrival(name: str, text: str) -> ingest.Arrival:
        raw = json.dumps({"id": name, "text": text}).encode()
        return ingest.arrival(endpoint=endpoint, raw=raw, headers={}, now=datetime.now(UTC))

    first = ingest.record([arrival("b", "1"), arrival("a", "1"), arrival("b", "1"), arrival("b", "2")])
    second = ingest.record([arrival("a", "1"), arrival("a", "9"), arrival("c", "1")])

    assert first == ["accepted", "accepted", "duplicate", "conflict"]
    assert second == ["duplicate", "conflict", "accepted"]
    stored = rows(scope)
    assert [(each.event_id, each.delivery_count, each.conflict) for each in stored] == [
        ("a", 3, True),
        ("b", 3, True),
        ("c", 1, False),
    ]
    assert InboundConflict.objects.within(scope).count() == 2
    assert sql.rows("webhooks", "events_outside_their_endpoints_environment") == []
    assert sql.rows("webhooks", "conflicts_without_their_first") == []


# --- hostile input --------------------------------------------------------------------------------------------------
header_text = st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=80)
hostile_headers = st.fixed_dictionaries(
    {},
    optional={
        name: header_text | st.sampled_from(["", "v1=", "nan", "-1", "9" * 30, "1e999", "identity", "gzip", "0x10"])
        for name in (
            "X-Lamba-Timestamp",
            "X-Lamba-Signature",
            "X-Lamba-Event",
            "X-Lamba-Tenant",
            "Content-Encoding",
            "Content-Type",
            "User-Agent",
            "X-Correlation-Id",
            "X-Forwarded-For",
        )
    },
)
hostile_bodies = st.one_of(
    st.binary(max_size=300),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20) | st.integers(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b"9" * 6_000,
            b'{"id":"evt_x","id":"evt_y"}',
            b'{"id":"\\u0000"}',
            b'{"id":"\\ud800"}',
            b'{"id":"evt_n","n":NaN}',
            b"\x00",
            b"\xef\xbb\xbf{}",
            b'{"id":' + b"1" * 5_000 + b"}",
        ]
    ),
)
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.django_db
@FUZZ
@given(body=hostile_bodies, headers=hostile_headers, sign=st.booleans())
def test_no_request_makes_the_plain_door_fail(lamba: Sender, body: bytes, headers: dict[str, str], sign: bool) -> None:
    given = headers | (lamba.signed(body) if sign else {})
    given = {name: text for name, text in given.items() if name != "Content-Type"}

    answer = Client(raise_request_exception=True).post(
        lamba.path, body, content_type=headers.get("Content-Type", "application/json"), headers=given
    )

    assert answer.status_code < 500
    if not sign:
        assert answer.status_code in (401, 413, 415)


@pytest.mark.django_db(transaction=True)
def test_no_request_makes_the_fast_door_fail(lamba: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.new_event_loop()
    thread = ThreadPoolExecutor(1)  # this one may be inside the loop of a browser's driver
    application = Application()

    @FUZZ
    @given(body=hostile_bodies, headers=hostile_headers, sign=st.booleans())
    def attack(body: bytes, headers: dict[str, str], sign: bool) -> None:
        signed = headers | (lamba.signed(body) if sign else {})
        status = thread.submit(loop.run_until_complete, call(application, lamba.path, body, signed)).result()
        assert status < 500

    try:
        attack()
        process.run(now=datetime.now(UTC) + timedelta(seconds=1))
        states = set(InboundEvent.objects.within(lamba.scope).values_list("state", flat=True))
        assert states == {"quarantined"}
    finally:
        thread.submit(loop.run_until_complete, application.close()).result()
        thread.submit(loop.run_until_complete, loop.shutdown_default_executor()).result()
        thread.shutdown()
        loop.close()


async def call(application: Application, path: str, body: bytes, headers: dict[str, str]) -> int:
    """One request, as an ASGI server hands it over."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(name.lower().encode(), text.encode("latin-1")) for name, text in headers.items()],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    status: int = sent[0]["status"]
    return status


# --- the fast door, as it really runs -------------------------------------------------------------------------------
class Server:
    """uvicorn with the fast door on a port of its own, against this test's database."""

    def __init__(self, database_url: str) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.environment = os.environ | {"DATABASE_URL": database_url, "LAMBA_MODE": "test"}
        self.base = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "uvicorn", "webhooks.asgi:application", "--port", str(self.port)]
        self.process = subprocess.Popen([*command, "--no-access-log"], env=self.environment)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(f"{self.base}/healthz", timeout=1).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError("uvicorn did not start")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(15)


@pytest.fixture
def server(database_url: str, transactional_db: None) -> Iterator[Server]:
    found = Server(database_url)
    yield found
    found.stop()


@pytest.mark.slow
def test_the_fast_door_under_uvicorn_stores_each_event_once(lamba: Sender, scope: Scope, server: Server) -> None:
    url = server.base + lamba.path
    bodies = [json.dumps(lamba.envelope(id=f"evt_{number}")).encode() for number in range(100)]

    def deliver(body: bytes) -> int:
        return requests.post(
            url, data=body, headers={"Content-Type": "application/json", **lamba.signed(body)}, timeout=10
        ).status_code

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(deliver, bodies * 3))

    assert sorted(answers) == [200] * 200 + [202] * 100
    stored = rows(scope)
    assert {each.event_id: each.delivery_count for each in stored} == {f"evt_{number}": 3 for number in range(100)}
    assert all(json.loads(bytes(each.raw))["id"] == each.event_id for each in stored)
    body = bodies[0]
    json_type = {"Content-Type": "application/json"}
    assert requests.get(url, timeout=5).status_code == 405
    assert requests.get(server.base + "/other", timeout=5).status_code == 404
    assert requests.post(url, data=body, headers=json_type, timeout=5).status_code == 401
    assert requests.post(url, data=b" " * 300_000, headers=json_type, timeout=5).status_code == 413
    chunked = requests.post(
        url, data=(each for each in (body[:10], body[10:])), headers=json_type | lamba.signed(body), timeout=5
    )
    assert chunked.json() == {"status": "duplicate"}
    other = json.dumps(lamba.envelope(id="evt_0", data={"userId": "usr_2"})).encode()
    assert (
        requests.post(url, data=other, headers=json_type | lamba.signed(other), timeout=5).json()["status"]
        == "conflict"
    )
    assert InboundConflict.objects.within(scope).count() == 1


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(lamba: Sender, scope: Scope, server: Server) -> None:
    """kill -9 between commit and answer: the sender repeats what it got no answer to, and that is a duplicate."""
    url = server.base + lamba.path
    bodies = {f"evt_{number}": json.dumps(lamba.envelope(id=f"evt_{number}")).encode() for number in range(400)}
    acknowledged: set[str] = set()
    refused: list[str] = []

    def deliver(name: str) -> None:
        body = bodies[name]
        headers = {"Content-Type": "application/json", **lamba.signed(body)}
        with contextlib.suppress(requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            answer = requests.post(url, data=body, headers=headers, timeout=10)
            if answer.status_code in (200, 202):
                acknowledged.add(name)
            else:
                refused.append(f"{answer.status_code} {answer.text}")

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(deliver, name) for name in bodies]
        while len(acknowledged) < 100 and not all(future.done() for future in futures):
            time.sleep(0.005)
        server.stop(signal.SIGKILL)
        for future in futures:
            future.result()
    assert refused == []
    stored = {each.event_id for each in rows(scope)}
    assert acknowledged <= stored
    assert len(acknowledged) < 400

    server.start()
    for name in set(bodies) - acknowledged:
        deliver(name)

    assert acknowledged == set(bodies)
    assert sorted(each.event_id for each in rows(scope)) == sorted(bodies)


@pytest.mark.slow
def test_a_database_that_goes_away_is_503_and_comes_back(lamba: Sender, scope: Scope, server: Server) -> None:
    url = server.base + lamba.path
    json_type = {"Content-Type": "application/json"}

    def deliver(name: str) -> requests.Response:
        body = json.dumps(lamba.envelope(id=name)).encode()
        return requests.post(url, data=body, headers=json_type | lamba.signed(body), timeout=10)

    assert deliver("evt_1").status_code == 202
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
    broken = deliver("evt_2")

    assert (broken.status_code, broken.headers["Retry-After"]) == (503, "5")
    assert deliver("evt_2").status_code == 202
    assert [each.event_id for each in rows(scope)] == ["evt_1", "evt_2"]
