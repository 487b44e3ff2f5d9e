"""A client that sends too much gets to read why."""

import threading
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPConnection
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from lamba_campaigns.web.unread import finish_reading

SENT = 16 * 1024 * 1024  # more than a socket holds by itself


def refuse(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    environ["wsgi.input"].read(min(10, int(environ["CONTENT_LENGTH"] or 0)))
    start_response("413 Content Too Large", [("Content-Type", "text/plain"), ("Content-Length", "8")])
    return [b"too much"]


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a test has no log."""


@pytest.fixture
def port() -> Iterator[int]:
    with make_server("127.0.0.1", 0, finish_reading(refuse), handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_the_refusal_of_a_large_body_is_read(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/", body=b"x" * SENT)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (413, b"too much")
    connection.close()


def test_a_request_without_a_body_is_left_alone(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/")
    assert connection.getresponse().status == 413
    connection.close()
