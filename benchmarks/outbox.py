"""Published events until a customer's server has taken each of them, signed both ways. Floor: a bare client.

The floor posts the same bytes with the same headers over kept connections, from as many threads, and writes nothing
down. Both post to a sink in a process of its own that counts what it gets.
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection

from django.conf import settings
from django.db import transaction

from benchmarks._scope import new_scope
from benchmarks.result import Result
from benchmarks.stage import step
from projects.scoping import SYSTEM, Scope
from webhooks import endpoints, outbox, sender
from webhooks.models import Delivery, DeliveryAttempt, OutboxEvent

SIZE = ("events", 5_000)
THREADS = sender.PARALLEL_POSTS_MAX
CAMPAIGN = {"campaign": {"id": "cmp_1", "name": "Spring sale", "channel": "email"}}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--published-at-once", type=int, default=50, help="events of one transaction")


def measure(size: int, options: argparse.Namespace) -> Result:
    scope = new_scope(f"outbox-{size}")
    with _sink() as port:
        settings.WEBHOOK_ALLOWED_HOSTS = [f"127.0.0.1:{port}"]
        url, now = f"http://127.0.0.1:{port}/hook", datetime.now(UTC)
        endpoint, secret = endpoints.create_outbound(
            scope=scope, actor=SYSTEM, name="Sink", url=url, event_types=[], now=now
        )
        with step(f"{size:,} events published"):
            publishing = _publish(scope, size, options.published_at_once)
        with step("delivered"):
            delivering = _deliver()
        got = _told(port)
        with step("floor: a bare client"):
            bare = _floor(scope, port, secret)
        refused = _told(port)["refused"]
    states = Counter(Delivery.objects.within(scope).values_list("status", flat=True))
    return Result(
        unit="deliveries/s",
        size=size,
        ours=size / delivering,
        floor=size / bare,
        checks={
            "every event was delivered": states == {"delivered": size},
            "each arrived once": got == {"taken": size, "ids": size, "refused": 0},
            "every one carried both signatures": refused == 0,
            "every attempt is in the log": DeliveryAttempt.objects.within(scope).count() == size,
        },
        extra={"published, events/s": round(size / publishing, 1), "endpoint": endpoint.public_id},
    )


def _publish(scope: Scope, size: int, at_once: int) -> float:
    began = time.perf_counter()
    for start in range(0, size, at_once):
        with transaction.atomic():
            for _ in range(min(at_once, size - start)):
                outbox.publish(scope=scope, type="campaign.launched", data=CAMPAIGN, now=datetime.now(UTC))
    return time.perf_counter() - began


def _deliver() -> float:
    began = time.perf_counter()
    sender.drain(seconds=3_600)
    return time.perf_counter() - began


def _floor(scope: Scope, port: int, secret: str) -> float:
    """Seconds to post the same payloads, signed, over one kept connection per thread."""
    rows = list(OutboxEvent.objects.within(scope).order_by("sequence").values_list("public_id", "payload"))
    shares = [rows[number::THREADS] for number in range(THREADS)]

    def post(share: list[tuple[str, memoryview]]) -> None:
        client = HTTPConnection("127.0.0.1", port)
        for event_id, payload in share:
            body = bytes(payload)
            headers = sender.signed_headers(
                event_id=event_id,
                event_type="campaign.launched",
                workspace=scope.workspace,
                body=body,
                secrets=[secret],
                attempt=1,
                timestamp=int(time.time()),
            )
            client.request("POST", "/hook", body, headers)
            client.getresponse().read()
        client.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(post, shares))
    return time.perf_counter() - began


# --- the sink -------------------------------------------------------------------------------------------------------
@contextmanager
def _sink() -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks._hook"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _told(port: int) -> dict[str, int]:
    """What the sink has counted since it was last asked."""
    client = HTTPConnection("127.0.0.1", port)
    client.request("GET", "/counts")
    taken, ids, refused = map(int, client.getresponse().read().split())
    client.close()
    return {"taken": taken, "ids": ids, "refused": refused}
