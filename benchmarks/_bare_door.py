"""The floor of `ingest`: a bare ASGI app that verifies the same signature and adds the raw body to a heap in batches.

No unique key, no duplicates, no headers, no endpoints, no limits, no refusals: only what no receiver can do without.
The secret stands in BENCH_SECRET.
"""

import asyncio
import os
import time
from typing import Any

import psycopg

from lamba_campaigns.lib.signing import verify_lamba_v1

_secrets = [os.environ["BENCH_SECRET"]]
_waiting: list[tuple[bytes, asyncio.Future[None]]] = []
_wake = asyncio.Event()
_writer: asyncio.Task[None] | None = None
INSERT = b"INSERT INTO bench_floor (raw) SELECT unnest(%b::bytea[])"
ANSWER = b'{"status":"accepted"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def _write() -> None:
    connection = await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True)
    async with connection.cursor(binary=True) as cursor:
        while True:
            await _wake.wait()
            _wake.clear()
            while _waiting:
                taken = _waiting[:1_000]
                del _waiting[:1_000]
                await cursor.execute(INSERT, ([raw for raw, _ in taken],))
                for _, future in taken:
                    future.set_result(None)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    global _writer
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] != "/healthz":
        headers = dict(scope["headers"])
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        verify_lamba_v1(
            timestamp=headers[b"x-lamba-timestamp"].decode(),
            signature=headers[b"x-lamba-signature"].decode(),
            body=body,
            secrets=_secrets,
            now=time.time(),
        )
        if _writer is None:
            _writer = asyncio.create_task(_write())
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        _waiting.append((body, future))
        _wake.set()
        await future
    await send({"type": "http.response.start", "status": 202, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})
