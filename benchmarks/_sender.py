"""A sender of signed events over raw sockets, as a process of its own: what is measured is the receiver, not this.

Reads one JSON object of `Order`'s fields from stdin and prints one of results. With `rate` 0 every connection sends its
next event as soon as the last one is answered; else events are due at fixed times, and waiting for a free connection
counts as latency.
"""

import asyncio
import hmac
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from subprocess import run as run_process
from typing import Any

import uvloop

BODY_BYTES = 1_024
TICK_SECONDS = 0.001
SECONDS_MAX = 300


@dataclass(frozen=True, slots=True)
class Order:
    """What to send. Event ids count up from `first`; `repeat` sends each that often."""

    port: int
    path: str
    secret: str
    scope: Mapping[str, str]
    count: int
    first: int = 0
    repeat: int = 1
    connections: int = 64
    rate: float = 0.0


def send(order: Order) -> dict[str, Any]:
    """Run it in its own process: {"seconds", "statuses", "p50_ms", "p99_ms"}."""
    command = [sys.executable, "-m", "benchmarks._sender"]
    done = run_process(command, input=json.dumps(asdict(order)).encode(), capture_output=True, timeout=SECONDS_MAX)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class _Requests:
    """The next signed request, as bytes. Everything but the id and the signature is the same each time."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._key = order.secret.encode()
        self._made = 0
        told: dict[str, Any] = {"type": "session.created", "occurredAt": "2026-11-23T09:00:00Z", **order.scope}
        told |= {"data": {"userId": "usr_1042", "sessionId": "ses_1"}, "note": ""}
        rest = json.dumps(told)[1:-2]
        self._rest = (rest + "x" * max(0, BODY_BYTES - len(rest) - 28) + '"}').encode()
        self._second, self._moment = 0, b""

    def next(self) -> bytes:
        number = self._order.first + self._made // self._order.repeat
        self._made += 1
        body = b'{"id":"evt_%012d",%b' % (number, self._rest)
        second = int(time.time())
        if second != self._second:
            self._second, self._moment = second, b"%d" % second
        signature = hmac.digest(self._key, self._moment + b"." + body, "sha256").hex().encode()
        return (
            b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            b"X-Lamba-Timestamp: %b\r\nX-Lamba-Signature: v1=%b\r\n\r\n%b"
            % (self._order.path.encode(), len(body), self._moment, signature, body)
        )


class _Connection(asyncio.Protocol):
    """One keep-alive connection: one request under way at a time."""

    def __init__(self, answered: Callable[["_Connection", int], None]) -> None:
        self._answered = answered
        self._buffer = b""
        self.due_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, request: bytes, due_at: float) -> None:
        self.due_at = due_at
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        start = head.find(b"content-length:")
        length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        status = int(head[9:12])
        self._buffer = self._buffer[end + 4 + length :]
        self._answered(self, status)


class _Run:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._requests = _Requests(order)
        self._total = order.count * order.repeat
        self._sent = self._done = 0
        self._idle: list[_Connection] = []
        self._latencies: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._finished = asyncio.Event()

    async def __call__(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        for _ in range(self._order.connections):
            _, connection = await loop.create_connection(lambda: _Connection(self._take), "127.0.0.1", self._order.port)
            self._idle.append(connection)
        self._began = time.perf_counter()
        if self._order.rate:
            await self._paced()
        else:
            while self._idle and self._sent < self._total:
                self._send(time.perf_counter())
        await asyncio.wait_for(self._finished.wait(), SECONDS_MAX)
        seconds = time.perf_counter() - self._began
        self._latencies.sort()
        return {
            "seconds": seconds,
            "statuses": {str(status): count for status, count in self._statuses.items()},
            "p50_ms": 1000 * self._latencies[len(self._latencies) // 2],
            "p99_ms": 1000 * self._latencies[int(len(self._latencies) * 0.99)],
        }

    async def _paced(self) -> None:
        while self._sent < self._total:
            due = int((time.perf_counter() - self._began) * self._order.rate)
            while self._sent < min(due, self._total) and self._idle:
                self._send(self._began + self._sent / self._order.rate)
            await asyncio.sleep(TICK_SECONDS)

    def _send(self, due_at: float) -> None:
        self._sent += 1
        self._idle.pop().send(self._requests.next(), due_at)

    def _take(self, connection: _Connection, status: int) -> None:
        now = time.perf_counter()
        self._latencies.append(now - connection.due_at)
        self._statuses[status] += 1
        self._done += 1
        self._idle.append(connection)
        if not self._order.rate and self._sent < self._total:
            self._send(now)
        if self._done == self._total:
            self._finished.set()


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_Run(Order(**json.load(sys.stdin)))())))
