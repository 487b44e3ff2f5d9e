"""A customer's own server, and what tests ask about the deliveries that go there."""

import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.db import transaction

from projects.scoping import Scope
from webhooks import outbox
from webhooks.models import Delivery

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


def published(scope: Scope, now: datetime, type: str = "campaign.launched") -> str:
    with transaction.atomic():
        return outbox.publish(scope=scope, type=type, data=CAMPAIGN, now=now)


def only_delivery(scope: Scope) -> Delivery:
    found: Delivery = Delivery.objects.within(scope).get()
    return found


def later(**delta: float) -> datetime:
    return datetime.now(UTC) + timedelta(**delta)
