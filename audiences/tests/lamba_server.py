"""A local Lamba: token and members over real HTTP, as its pages describe them, with the faults that a test asks for."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Lamba:
    """`members` are listed by pages; `faults` are answers given instead, the first one first."""

    def __init__(self) -> None:
        self.members: list[Any] = []
        self.faults: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []  # (method, path, parameters)
        self.secret, self.tokens, self.sms = "s3cret", 0, {"active": True, "tier": "s", "region": {"code": "eu"}}
        self.cursors = "v1"  # cursors of another version are forgotten
        self.url = ""

    def answer(self, method: str, target: str, body: bytes, token: str) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(target)
        given = {name: values[0] for name, values in parse_qs(parts.query or body.decode()).items()}
        self.asked.append((method, parts.path, given))
        if parts.path == "/connect/token":
            if given.get("client_secret") != self.secret or given.get("grant_type") != "client_credentials":
                return _json(401, {"error": "invalid_client"})
            self.tokens += 1
            return _json(200, {"access_token": f"token-{self.tokens}", "token_type": "Bearer", "expires_in": 300})
        if token != f"Bearer token-{self.tokens}":
            return _json(401, {"title": "Unauthorized", "status": 401, "traceId": "00-401"})
        if parts.path == "/v1/admin/billing/addons/sms/status":
            return _json(200, self.sms)
        if self.faults:
            return self.faults.pop(0)
        return self._page(given)

    def _page(self, given: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        version, _, place = given.get("cursor", f"{self.cursors}:0").partition(":")
        if version != self.cursors:
            return _json(400, {"title": "Bad Request", "detail": "The cursor is not valid.", "traceId": "00-400"})
        start, limit = int(place), int(given["limit"])
        end = start + limit
        following = f"{self.cursors}:{end}" if end < len(self.members) else None
        return _json(200, {"items": self.members[start:end], "nextCursor": following, "total": len(self.members)})


def _json(status: int, body: Any) -> tuple[int, dict[str, str], bytes]:
    return status, {}, json.dumps(body).encode()


@contextmanager
def serving() -> Iterator[Lamba]:
    lamba = Lamba()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._do("GET", b"")

        def do_POST(self) -> None:
            self._do("POST", self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _do(self, method: str, body: bytes) -> None:
            status, headers, text = lamba.answer(method, self.path, body, self.headers.get("Authorization", ""))
            self.send_response(status)
            cut = headers.pop("Cut", "")
            for name, value in ({"Content-Length": str(len(text) + bool(cut) * 100)} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)
            self.close_connection = bool(cut)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    lamba.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield lamba
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
