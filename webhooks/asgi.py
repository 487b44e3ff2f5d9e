"""The fast door: a bare ASGI app in its own process, where requests that come together share one commit.

One writer and no linger: while a commit runs, the next batch gathers. Nothing is answered before its row is durable.
Start it with `uvicorn webhooks.asgi:application`; it needs no other part of the site.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import django
import psycopg
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lamba_campaigns.settings")
if not apps.ready:
    django.setup(set_prefix=False)

from django.db import DatabaseError, close_old_connections, connection, connections

from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.lib.signing import SignatureRefused
from lamba_campaigns.web.requests import trace_of
from webhooks import directory, doorbell, ingest, receiver, refusals
from webhooks.directory import KnownEndpoint, LiveSecret
from webhooks.ingest import Arrival, Batch
from webhooks.outbox import PROCESS_EVENTS
from webhooks.refusals import BODY_BYTES_MAX, BODY_SECONDS_MAX, Reply

PREFIX = "/api/lamba/webhooks/"
HEALTH = "/healthz"
BATCH_EVENTS_MAX = 1_000
BATCH_BYTES_MAX = 8_388_608
LOOKS = 2  # at the sockets before each commit; a third more events in it, and no time lost
WAITING_EVENTS_MAX = 10_000
WAITING_BYTES_MAX = 67_108_864

Found = TypeVar("Found")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = logging.getLogger(__name__)
HEALTHY = receiver.reply(200, "ok")


class Writer:
    """Takes arrivals, stores what has gathered in one statement, and resolves each one's future."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Arrival, asyncio.Future[Reply]]] = []
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._rung = asyncio.Event()
        self._tasks = [asyncio.create_task(self._write_forever()), asyncio.create_task(self._ring_forever())]

    def store(self, arrival: Arrival) -> asyncio.Future[Reply]:
        """The answer for this arrival, once its row is durable; NotStored when it can't be now."""
        if len(self._waiting) >= WAITING_EVENTS_MAX or self._waiting_bytes >= WAITING_BYTES_MAX:
            raise refusals.not_stored(f"{len(self._waiting):,} events wait to be stored already.")
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((arrival, future))
        self._waiting_bytes += len(arrival.raw)
        self._wake.set()
        return future

    async def close(self) -> None:
        """Store what waits, then stop."""
        while self._waiting:
            await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()

    async def _write_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                for _ in range(LOOKS):
                    await asyncio.sleep(0)  # what has arrived already joins this commit
                await self._settle(self._take())

    def _take(self) -> list[tuple[Arrival, asyncio.Future[Reply]]]:
        count = size = 0
        for each, _ in self._waiting[:BATCH_EVENTS_MAX]:
            size += len(each.raw)
            if count and size > BATCH_BYTES_MAX:
                break
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_bytes -= sum(len(each.raw) for each, _ in taken)
        return taken

    async def _settle(self, taken: list[tuple[Arrival, asyncio.Future[Reply]]]) -> None:
        replies = await self._replies([each for each, _ in taken])
        for (_, future), answer in zip(taken, replies, strict=True):
            if future.done():  # a client that hung up has cancelled its own
                continue
            if answer is None:
                future.set_exception(refusals.not_stored())
            else:
                future.set_result(answer)

    async def _replies(self, arrivals: list[Arrival]) -> list[Reply | None]:
        """The answer of each arrival; None where nothing was stored."""
        try:
            outcomes = await self._record(arrivals)
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as problem:
            _log.error("%d events were not stored: %s", len(arrivals), problem)
            await self._drop_connection()
            return [None] * len(arrivals)
        except Exception:
            if len(arrivals) == 1:
                _log.exception("An event was not stored")
                await self._drop_connection()
                return [None]
            return [answer for each in arrivals for answer in await self._replies([each])]
        if "accepted" in outcomes:
            self._rung.set()
        return [receiver.OUTCOMES[each] for each in outcomes]

    async def _record(self, arrivals: list[Arrival]) -> list[ingest.Outcome]:
        batch = Batch(arrivals)
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(**_connection_parameters(), autocommit=True)
        async with self._connection.cursor(binary=True) as cursor:
            await cursor.execute(sql.statement("webhooks", "record_events").encode(), batch.params())
            batch.settle(await cursor.fetchall())
            if batch.conflicts:
                await cursor.execute(sql.statement("webhooks", "keep_conflicts").encode(), batch.conflict_params())
        return batch.outcomes

    async def _drop_connection(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _ring_forever(self) -> None:
        """Rings in a thread, at most once in RING_SECONDS, and always once after the last commit."""
        while True:
            await self._rung.wait()
            self._rung.clear()
            await asyncio.to_thread(doorbell.ring, PROCESS_EVENTS)
            await asyncio.sleep(doorbell.RING_SECONDS * 1.1)


class Application:
    """The ASGI callable. The writer starts with the first request, in the server's own loop."""

    def __init__(self) -> None:
        self._writer: Writer | None = None
        self._look_ups = ThreadPoolExecutor(1, thread_name_prefix="look-up")  # Django's blocking queries, one at a time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            answer = await self._answer(scope, receive)
            await send(answer.start)
            await send(answer.end)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def close(self) -> None:
        """Store what waits and let go of the database."""
        if self._writer is not None:
            await self._writer.close()
            self._writer = None
        await self._blocking(connections.close_all)
        self._look_ups.shutdown()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.close()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        path: str = scope["path"]
        if path == HEALTH:
            return HEALTHY
        public_id, headers = path.removeprefix(PREFIX), _headers(scope)
        try:
            if public_id == path:
                raise refusals.no_page()
            receiver.require_acceptable(method=scope["method"], headers=headers)
            return await self._receive(public_id, headers, receive)
        except DomainError as error:
            trace = trace_of(headers.get("x-correlation-id", ""))
            return refusals.refused(
                error, trace=trace, headers=receiver.challenge(error, directory.peek(public_id)) | {"X-Trace-Id": trace}
            )

    async def _receive(self, public_id: str, headers: dict[str, str], receive: Receive) -> Reply:
        try:
            trusted, found = directory.remembered(public_id)
            if not trusted and directory.is_public_id(public_id):
                found = await self._look_up(public_id)
            known = receiver.require_open(found, content_type=headers.get("content-type", ""))
            message = await receive()
            body = _whole(message) if not message.get("more_body") else await _rest(message, receive)
            now = datetime.now(UTC)
            try:
                endpoint, secret = known, receiver.believed(known, headers=headers, body=body, now=now)
            except SignatureRefused as problem:
                endpoint, secret = await self._believed_now(known, problem, headers=headers, body=body, now=now)
        except (DatabaseError, psycopg.Error) as problem:
            _log.error("An endpoint was not found out: %s", problem)
            raise refusals.not_stored() from None
        if self._writer is None:
            self._writer = Writer()
        answer = await self._writer.store(ingest.arrival(endpoint=endpoint, raw=body, headers=headers, now=now))
        if directory.is_noteworthy(secret, now):
            await self._blocking(partial(_note_use, secret, now))
        return answer

    async def _look_up(self, public_id: str, *, older_than: float | None = None) -> KnownEndpoint | None:
        return await self._blocking(partial(_find, public_id, older_than))

    async def _believed_now(
        self, known: KnownEndpoint, problem: SignatureRefused, *, headers: dict[str, str], body: bytes, now: datetime
    ) -> tuple[KnownEndpoint, LiveSecret]:
        """What is remembered refused it: believe by what the database says now, asked at most once a second."""
        trusted, fresh = directory.remembered(known.public_id, older_than=directory.LOOK_AGAIN_SECONDS)
        if not trusted:
            fresh = await self._look_up(known.public_id, older_than=directory.LOOK_AGAIN_SECONDS)
        try:
            if fresh is not None and fresh is not known:
                return fresh, receiver.believed(fresh, headers=headers, body=body, now=now)
        except SignatureRefused as again:
            problem = again
        raise receiver.disbelief(known, problem)

    async def _blocking(self, call: Callable[[], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._look_ups, call)


def _find(public_id: str, older_than: float | None) -> KnownEndpoint | None:
    """In a thread: the blocking look-up, with the connection hygiene that a request would do."""
    close_old_connections()
    return directory.find(public_id, older_than=older_than)


def _note_use(secret: LiveSecret, now: datetime) -> None:
    close_old_connections()
    try:
        directory.note_use(secret, now)
    except DatabaseError as problem:  # the event is stored; this is only a date on a page
        _log.warning("The use of a secret was not noted: %s", problem)


def _whole(message: MutableMapping[str, Any]) -> bytes:
    """The body of a request that came in one piece, as nearly all do."""
    if message["type"] != "http.request":
        raise refusals.incomplete()
    body: bytes = message.get("body", b"")
    if len(body) > BODY_BYTES_MAX:
        raise refusals.too_large(f"{len(body):,}")
    return body


async def _rest(message: MutableMapping[str, Any], receive: Receive) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            return await _rest_of_body(message, receive)
    except TimeoutError:
        raise refusals.too_slow() from None


async def _rest_of_body(message: MutableMapping[str, Any], receive: Receive) -> bytes:
    parts, size = [], 0
    while True:
        if message["type"] != "http.request":
            raise refusals.incomplete()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_BYTES_MAX:
            raise refusals.too_large(f"more than {BODY_BYTES_MAX:,}")
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def _headers(scope: Scope) -> dict[str, str]:
    """Names in lower case, as ASGI servers give them."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _connection_parameters() -> dict[str, Any]:
    """Django's own database settings, as psycopg takes them."""
    parameters = connection.get_connection_params()
    return {
        name: value
        for name, value in parameters.items()
        if name not in ("cursor_factory", "context", "prepare_threshold", "server_side_binding", "pool")
    }


application = Application()
