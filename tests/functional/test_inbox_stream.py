"""Server-sent events through the web server as the product runs it: who reads slowly, or not at all, holds nobody."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any

import pytest

from audiences.models import Person
from delivery import inbox, inbox_stream
from lamba_campaigns.embedded import parts
from lamba_campaigns.embedded.folder import PROJECT
from projects.scoping import Scope

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
STREAM_SECONDS = 3.0
STAYS, POLLS = b"retry: 1000\n", b"retry: 10000\n"


@pytest.fixture
def port(database_url: str) -> Iterator[int]:
    """The site under granian, with the product's own options; only its streams are shorter."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    extra = {"DATABASE_URL": database_url, "TEST_STREAM_SECONDS": str(STREAM_SECONDS)}
    environment = {**os.environ, **extra, "DJANGO_SETTINGS_MODULE": "lamba_campaigns.settings"}
    *command, _ = parts.web(host="127.0.0.1", port=number, environment=environment).command
    process = subprocess.Popen([*command, "tests.functional.short_streams:application"], env=environment, cwd=PROJECT)
    try:
        _until(lambda: parts.answers_http(number), seconds=60)
        yield number
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture
def token(scope: Scope, make_people: Callable[..., list[int]]) -> str:
    (person,) = make_people(1)
    found = Person.objects.within(scope).get(pk=person)
    return inbox.issue(scope=scope, person=found, seconds=600, now=datetime.now(UTC))[0]


def _until(condition: Callable[[], Any], seconds: float = 15) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.05)


def _stream(port: int, token: str) -> socket.socket:
    """A reader with the smallest buffer, which has read nothing yet."""
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    wire.settimeout(10)
    wire.connect(("127.0.0.1", port))
    wire.sendall(f"GET /api/v1/inbox/stream?token={token} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return wire


def _first(wire: socket.socket) -> bytes:
    """Up to the first words of the stream."""
    found = b""
    while b"retry: " not in found or found.count(b"\n", found.find(b"retry: ")) < 1:
        piece = wire.recv(4096)
        assert piece, found
        found += piece
    return found


def _rest(wire: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"0\r\n\r\n"):
        piece = wire.recv(4096)
        if not piece:
            break
        found += piece
    return found


def _asked(port: int, token: str) -> tuple[int, float]:
    """How an ordinary request is answered, and after how many seconds."""
    began = time.monotonic()
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/api/v1/inbox", headers={"Authorization": f"Bearer {token}", "Host": "localhost"})
    status = connection.getresponse().status
    connection.close()
    return status, time.monotonic() - began


def test_readers_who_never_read_hold_neither_the_site_nor_a_stream_for_long(port: int, token: str) -> None:
    with ExitStack() as readers:
        idle = [readers.enter_context(_stream(port, token)) for _ in range(inbox_stream.STREAMS_MAX)]
        for wire in idle:
            wire.recv(1, socket.MSG_PEEK)  # its first words have arrived, and still nobody has read them
        _until(lambda: POLLS in _first(readers.enter_context(_stream(port, token))))

        status, seconds = _asked(port, token)

        assert (status, seconds < 5) == (200, True)
        _until(lambda: STAYS in _first(readers.enter_context(_stream(port, token))))
        told = [_first(wire) + _rest(wire) for wire in idle]
    for each in told:
        assert STAYS in each and b"event: inbox" in each and each.endswith(b"0\r\n\r\n")
        assert len(each) < 4096, "it fits into the buffer of any socket: writing never waits for a reader"


def test_a_reader_who_leaves_makes_room(port: int, token: str) -> None:
    for _ in range(inbox_stream.STREAMS_MAX):
        with _stream(port, token) as wire:
            assert STAYS in _first(wire)
    left = time.monotonic()

    with ExitStack() as readers:
        _until(lambda: STAYS in _first(readers.enter_context(_stream(port, token))))

    assert time.monotonic() - left < STREAM_SECONDS
