"""Hostile bytes over real sockets at both doors as they really run: every answer is a refusal, and none a failure."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import requests
from django.apps import apps
from django.db import connections

from projects.scoping import Scope
from webhooks import leases, process
from webhooks.models import InboundEvent, InboundLease
from webhooks.tests.conftest import Sender

ROUNDS = int(os.environ.get("LAMBA_FUZZ_ROUNDS", "15"))  # random requests per door, and wrong lengths; more on demand
COMMANDS = {  # as the product runs them
    "fast": ["uvicorn", "webhooks.asgi:application", "--no-access-log"],
    "plain": ["granian", "--interface", "wsgi", "--blocking-threads", "8", "lamba_campaigns.wsgi:application"],
}
PATIENCE_SECONDS = 2  # of the client, for a request whose body never ends
HOSTILE_BODIES = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"id":"\\ud800"}',
    b'{"id":"evt_1","id":"evt_2"}',
    b'{"id":"evt_\\u0000"}',
    b'{"id":' + b"9" * 100_000 + b"}",
    b'{"id":"evt_1","n":1e999999}',
    b'{"id":"evt_1","n":NaN}',
    b"\xef\xbb\xbf{}",
    '{"id":"évt"}'.encode("utf-16"),
    b"null",
    b"x" * 262_144,
]
LENGTHS = ["-1", "1e3", "999999999999999999999", "x", "0"]
HEADER_TEXTS = [
    "",
    "nan",
    "-1",
    "1e9",
    "0x10",
    "9" * 400,
    "v1=",
    "v1=" + "0" * 64,
    "v1," * 900,
    "\xff\xe9",
    "identity",
    "gzip",
]
HEADER_NAMES = [
    "X-Lamba-Timestamp",
    "X-Lamba-Signature",
    "Content-Type",
    "Content-Encoding",
    "X-Correlation-Id",
    "webhook-id",
]


class Door:
    """One of the two, on a port of its own, against this test's database."""

    def __init__(self, name: str, database_url: str) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        command = [sys.executable, "-m", *COMMANDS[name], "--port", str(self.port)]
        environment = os.environ | {"DATABASE_URL": database_url, "LAMBA_MODE": "test", "LAMBA_LOG_LEVEL": "CRITICAL"}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(OSError):
                requests.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5)
                return
            time.sleep(0.1)
        raise AssertionError(f"the {name} door did not open")

    def exchange(self, request: bytes) -> bytes:
        """What comes back for these bytes; empty when the server just hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS) as client:
            with suppress(OSError):
                client.sendall(request)
            answer = b""
            with suppress(OSError):
                while part := client.recv(65_536):
                    answer += part
        return answer

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(15)


@pytest.fixture(scope="module")
def doors() -> Iterator[dict[str, Door]]:
    """Those that a test of this module opened: each is opened once, and stays open for the others."""
    found: dict[str, Door] = {}
    yield found
    for each in found.values():
        each.close()


@pytest.fixture(params=["fast", "plain"])
def door(request: pytest.FixtureRequest, doors: dict[str, Door], database_url: str, transactional_db: None) -> Door:
    if request.param not in doors:
        doors[request.param] = Door(request.param, database_url)
    return doors[request.param]


def written(
    path: str, headers: list[tuple[str, str]], body: bytes, length: str | None = None, method: str = "POST"
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{name}: {text}" for name, text in headers)]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


@pytest.mark.slow
def test_no_bytes_make_a_door_fail(lamba: Sender, scope: Scope, door: Door) -> None:
    chance = random.Random(20261123)  # the same requests each time

    def requests_() -> Iterator[bytes]:
        json_type = ("Content-Type", "application/json")
        for body in HOSTILE_BODIES:
            signed = list(lamba.signed(body).items())
            yield written(lamba.path, [json_type, *signed], body)
            yield written(lamba.path, [json_type], body)
            for length in chance.sample(LENGTHS, min(len(LENGTHS), 1 + ROUNDS // 20)):
                yield written(lamba.path, [json_type, *signed], body, length)
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:]) if part)
            head = written(lamba.path, [json_type, *signed, ("Transfer-Encoding", "chunked")], b"")
            yield head.replace(b"Content-Length: 0\r\n", b"") + chunks + b"0\r\n\r\n"
            yield head.replace(b"Content-Length: 0\r\n", b"") + b"zz\r\n" + body[:100]
        for path in (
            "/api/lamba/webhooks/",
            "/api/lamba/webhooks/%00",
            "/api/lamba/webhooks/" + "A" * 5_000,
            lamba.path + "%ff",
        ):
            yield written(path, [json_type], b"{}")
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"):
            yield written(lamba.path, [json_type], b"{}", method=method)
        for _ in range(ROUNDS):
            body = chance.choice([*HOSTILE_BODIES, chance.randbytes(chance.randrange(200))])
            headers = list(lamba.signed(body).items()) if chance.random() < 0.5 else []
            headers += [(chance.choice(HEADER_NAMES), chance.choice(HEADER_TEXTS)) for _ in range(chance.randrange(4))]
            yield written(lamba.path, headers, body)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(door.exchange, requests_()))

    statuses = {status_of(answer) for answer in answers}
    assert {status for status in statuses if status >= 500} == set()
    assert {202, 401, 404, 405, 413, 415} <= statuses
    good = lamba.envelope(id="evt_good")
    raw = json.dumps(good).encode()
    assert status_of(door.exchange(written(lamba.path, list(lamba.signed(raw).items()), raw))) == 202, "it lives on"
    process.run(now=datetime.now(UTC) + timedelta(seconds=1))
    states = dict(InboundEvent.objects.within(scope).values_list("event_id", "state"))
    assert states.pop("evt_good") in ("processed", "ignored", "parked")
    assert set(states.values()) == {"quarantined"}


@pytest.mark.slow
def test_a_refusal_is_a_problem_document_with_the_next_step(lamba: Sender, door: Door) -> None:
    url = f"http://127.0.0.1:{door.port}"
    body = json.dumps(lamba.envelope()).encode()
    json_type = {"Content-Type": "application/json", "X-Correlation-Id": "corr-1"}
    signed = json_type | lamba.signed(body)

    def post(path: str = lamba.path, raw: bytes = body, **headers: str) -> requests.Response:
        given = signed | {name.replace("_", "-"): text for name, text in headers.items()}
        return requests.post(url + path, data=raw, headers=given, timeout=10)

    asked: list[tuple[int, str, requests.Response]] = [
        (405, "METHOD_NOT_ALLOWED", requests.get(url + lamba.path, headers=json_type, timeout=10)),
        (404, "NOT_FOUND", post(lamba.path[:-1] + "0")),
        (415, "UNSUPPORTED_MEDIA_TYPE", post(Content_Type="text/xml")),
        (415, "UNSUPPORTED_MEDIA_TYPE", post(Content_Encoding="gzip")),
        (413, "BODY_TOO_LARGE", post(raw=b" " * 262_145)),
        (401, "SIGNATURE_REFUSED", post(raw=body + b" ")),
        (401, "SIGNATURE_REFUSED", requests.post(url + lamba.path, data=body, headers=json_type, timeout=10)),
    ]

    for status, code, answer in asked:
        document = answer.json()
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert (answer.status_code, document["status"], document["errorCode"]) == (status, status, code)
        assert document["type"].endswith("/problems/" + code.lower().replace("_", "-"))
        assert document["title"] and document["detail"] and document["nextStep"]
        assert document["traceId"] == answer.headers["X-Trace-Id"] == "corr-1"
    assert asked[0][2].headers["Allow"] == "POST"
    assert asked[5][2].headers["WWW-Authenticate"]
    assert "missing" in asked[6][2].json()["detail"]


@pytest.mark.slow
def test_fifty_identical_deliveries_over_http_are_one_row(lamba: Sender, scope: Scope, door: Door) -> None:
    body = json.dumps(lamba.envelope(id="evt_1")).encode()
    request = written(lamba.path, [("Content-Type", "application/json"), *lamba.signed(body).items()], body)

    with ThreadPoolExecutor(50) as pool:
        statuses = sorted(status_of(each) for each in pool.map(door.exchange, [request] * 50))

    assert statuses == [200] * 49 + [202]
    [event] = InboundEvent.objects.within(scope)
    assert event.delivery_count == 50


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_between_handler_and_commit_leaves_no_effect_and_the_next_one_has_it_once(
    lamba: Sender, scope: Scope, database_url: str
) -> None:
    """kill -9 after the handlers wrote and before the commit: the lease ends, another worker takes the event over."""
    lamba.post(lamba.envelope("user.created", {"userId": "usr_killed", "email": "k@example.com"}, id="evt_1"))
    dying = (
        "import os, signal, django; django.setup()\n"
        "from datetime import UTC, datetime, timedelta\n"
        "from webhooks import process\n"
        "process._write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "process.run(now=datetime.now(UTC) + timedelta(seconds=1))\n"
    )
    environment = os.environ | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "lamba_campaigns.settings"}
    worker = subprocess.run([sys.executable, "-c", dying], env=environment, capture_output=True, timeout=60)
    assert worker.returncode == -signal.SIGKILL, worker.stderr.decode()
    connections.close_all()
    people = apps.get_model("audiences", "Person").objects.within(scope)
    assert not people.exists()
    assert InboundLease.objects.within(scope).get().event_ids == [InboundEvent.objects.within(scope).get().pk]
    assert process.run(now=datetime.now(UTC) + timedelta(minutes=1)) == 0, "its lease still runs"

    process.run(now=datetime.now(UTC) + leases.LEASE + timedelta(minutes=1))

    event = InboundEvent.objects.within(scope).get()
    assert (event.state, event.attempts) == ("processed", 2)
    assert [each.external_id for each in people.all()] == ["usr_killed"]
