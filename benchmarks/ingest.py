"""Signed events over real HTTP until each is durable and deduplicated, through the fast door. Floor: a bare ASGI app.

The floor verifies the same signature and adds the body to a heap in batches, behind the same server. Peers: this
product's plain door behind its WSGI server, and a synchronous Django view. All with 64 connections in one run.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any

from django.db import connection

from benchmarks._scope import new_scope
from benchmarks._sender import Order, send
from benchmarks.result import Result
from benchmarks.stage import step
from lamba_campaigns.embedded import parts
from projects.scoping import SYSTEM, Scope
from webhooks import endpoints
from webhooks.models import InboundEvent

SIZE = ("events", 200_000)
CONNECTIONS = 64
ROUNDS = 4  # ours and the floor by turns, so that a busy moment of the machine hits both; the median of each counts
PEERS_SHARE = 20
PACED_SHARE = 0.5  # of the rate that was reached, for the latency at a fixed rate
PACED_SECONDS = 8
REPEATED = 500
START_SECONDS_MAX = 30


@dataclass(frozen=True, slots=True)
class Door:
    """A server under test and where to post."""

    command: Sequence[str]
    path: str


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--without-peers", action="store_true", help="only ours and the floor")


def measure(size: int, options: argparse.Namespace) -> Result:
    scope = new_scope(f"ingest-{size}")
    endpoint, secret = endpoints.create_inbound(
        scope=scope, actor=SYSTEM, name="Lamba", kind="lamba", now=datetime.now(UTC)
    )
    path = f"/api/lamba/webhooks/{endpoint.public_id}"
    environment = {"BENCH_SECRET": secret, "BENCH_ENVIRONMENT": str(scope.environment_id)}
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_floor (id bigint GENERATED ALWAYS AS IDENTITY, raw bytea)")
    run = _Runs(_scope_words(scope), secret, environment)
    ours, floor = _by_turns(run, size, path)
    rate = _median([each["rate"] for each in ours])
    extra, checks = _fast_door_readings(run, path, rate, scope, sum(each["accepted"] for each in ours))
    return Result(
        unit="events/s",
        size=size,
        ours=rate,
        floor=_median([each["rate"] for each in floor]),
        checks=checks,
        peers={} if options.without_peers else _peers(run, max(1_000, size // PEERS_SHARE), path),
        extra={"p99_ms at c=64": round(_median([each["p99_ms"] for each in ours]), 2), **extra},
    )


class _Runs:
    """Sends event after event, never an id twice unless asked."""

    def __init__(self, scope: Mapping[str, str], secret: str, environment: Mapping[str, str]) -> None:
        self._scope, self._secret, self._environment = scope, secret, environment
        self._first = 0

    @contextmanager
    def serving(self, application: str, *, wsgi: bool = False) -> Iterator[int]:
        """The command that the product itself runs for this kind of application, on a free port."""
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        part = (parts.web if wsgi else parts.ingest)(host="127.0.0.1", port=port, environment={})
        own = "lamba_campaigns.wsgi:application" if wsgi else "webhooks.asgi:application"
        command = [application if word == own else word for word in part.command]
        process = subprocess.Popen(command, env={**os.environ, **self._environment, "LAMBA_LOG_LEVEL": "ERROR"})
        try:
            _await_answer(port)
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)

    def load(self, port: int, path: str, count: int, **more: Any) -> dict[str, Any]:
        order = Order(
            port=port, path=path, secret=self._secret, scope=self._scope, count=count, first=self._first,
            connections=CONNECTIONS, **more,
        )  # fmt: skip
        self._first += count
        found = send(order)
        accepted = found["statuses"].get("202", 0)
        return {**found, "rate": sum(found["statuses"].values()) / found["seconds"], "accepted": accepted}


def _by_turns(run: _Runs, size: int, path: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    ours, floor = [], []
    share = max(1, size // ROUNDS)
    with run.serving("webhooks.asgi:application") as own, run.serving("benchmarks._bare_door:application") as bare:
        for number in range(ROUNDS):
            with step(f"{share:,} events through the fast door, round {number + 1}"):
                ours.append(run.load(own, path, share))
            with step(f"{share:,} events through the floor, round {number + 1}"):
                floor.append(run.load(bare, path, share))
    return ours, floor


def _fast_door_readings(
    run: _Runs, path: str, rate: float, scope: Scope, accepted: int
) -> tuple[dict[str, float | int | str], dict[str, bool]]:
    """Latency at half the rate, and the proofs: every acknowledged event is one row, repeated ones change nothing."""
    with run.serving("webhooks.asgi:application") as port:
        paced = int(rate * PACED_SHARE)
        with step(f"{paced:,} events/s for {PACED_SECONDS} s"):
            calm = run.load(port, path, paced * PACED_SECONDS, rate=float(paced))
        with step(f"{REPEATED} events, four times each at once"):
            repeated = run.load(port, path, REPEATED, repeat=4)
        refused = _Runs(run._scope, "whsec_of_somebody_else", {}).load(port, path, 100)
    rows = InboundEvent.objects.within(scope).count()
    checks = {
        "every acknowledged event is one row": rows == accepted + calm["accepted"] + REPEATED,
        "a repeated event is acknowledged and stored once": repeated["statuses"]
        == {"202": REPEATED, "200": 3 * REPEATED},
        "an event with another's signature is refused": refused["statuses"] == {"401": 100},
    }
    extra: dict[str, float | int | str] = {
        "fixed rate, events/s": paced,
        "p50_ms at the fixed rate": round(calm["p50_ms"], 2),
        "p99_ms at the fixed rate": round(calm["p99_ms"], 2),
    }
    return extra, checks


def _peers(run: _Runs, count: int, path: str) -> dict[str, float]:
    found = {}
    with run.serving("lamba_campaigns.wsgi:application", wsgi=True) as port, step(f"{count:,} events, plain door"):
        found["our plain door (WSGI)"] = run.load(port, path, count)["rate"]
    with run.serving("benchmarks._plain_view:application", wsgi=True) as port, step(f"{count:,} events, Django view"):
        found["synchronous Django view"] = run.load(port, "/plain", count)["rate"]
    return found


def _scope_words(scope: Scope) -> dict[str, str]:
    return {"workspaceId": scope.workspace, "projectId": scope.project, "environment": "prod"}


def _await_answer(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            client = HTTPConnection("127.0.0.1", port, timeout=5)
            client.request("GET", "/healthz")
            client.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
        finally:
            client.close()
    sys.exit(f"nothing answers on port {port}")


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
