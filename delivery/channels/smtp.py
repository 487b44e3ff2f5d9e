"""Mail over SMTP: a small pool of pipelining connections per process, kept between micro-batches.

A message is uncertain exactly when its final dot was written and no reply to it came. Before that dot, a lost
connection only means that another one tries.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Coroutine, Sequence
from functools import cache
from typing import Any, TypeVar

from delivery.channels.base import ChannelDown, Handed, Outcome
from delivery.channels.relay import Relay, parse
from delivery.channels.session import Lost, SenderRefused, Session, body
from delivery.content.mime import Envelope

try:
    import uvloop
except ImportError:  # Windows
    uvloop = None  # type: ignore[assignment]

BATCH_SECONDS_MAX = 10.0  # shorter than a chunk's lease
OPEN_SECONDS_MAX = 5.0
IDLE_SECONDS_MAX = 20.0
CALM_SECONDS = 10.0  # without a 421, before another connection is tried
TRIES_MAX = 3  # connections that one message may lose before it has to wait
MESSAGES_PER_CONNECTION = 8  # a batch opens one connection for so many messages, up to the relay's limit
T = TypeVar("T")
_lock = threading.Lock()


class SmtpChannel:
    """One relay. Cheap to keep, safe across forks: connections and loop belong to the process that made them."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self._idle: list[tuple[float, Session]] = []
        self._pid = os.getpid()
        self._width = relay.connections  # halved when the relay says 421, one more after each calm while
        self._allowed = relay.connections  # of this process: the relay is shared
        self._calm_from = 0.0

    def ready(self) -> None:
        self._run(self._ready())

    def send_batch(self, batch: Sequence[Envelope]) -> Handed:
        if not batch:
            return Handed([])
        return self._run(self._send(batch))

    def keep(self) -> None:
        """Nobody else decides about these connections: see `shared`."""

    def allow(self, count: int) -> int:
        """Use at most `count` connections from now on; how many are open then."""
        self._allowed = count
        return self._run(self._shrink(count))

    def leave(self) -> None:
        """Say goodbye on every idle connection."""
        self._run(self._shrink(0))

    close = leave

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with _lock:
            if self._pid != os.getpid():  # a fork: these sockets are the parent's
                self._idle, self._pid = [], os.getpid()
            return asyncio.run_coroutine_threadsafe(work, _loop(os.getpid())).result()

    async def _ready(self) -> None:
        session = await self._take()
        self._give_back(session)

    async def _shrink(self, count: int) -> int:
        """Between two batches all connections are idle."""
        usable = [each for each in self._idle if not each[1].lost]
        for _, session in usable[count:]:
            session.quit()
        self._idle = usable[:count]
        await asyncio.sleep(0)
        return len(self._idle)

    async def _send(self, batch: Sequence[Envelope]) -> Handed:
        work = _Work(batch)
        self._widen()
        count = min(self._width, self._allowed, -(-len(batch) // MESSAGES_PER_CONNECTION))
        timer = asyncio.get_running_loop().call_later(BATCH_SECONDS_MAX, work.give_up)
        try:
            await asyncio.gather(*(self._connection(work) for _ in range(count)))
        finally:
            timer.cancel()
        return work.handed()

    async def _connection(self, work: "_Work") -> None:
        """One connection's share of the batch; opens another when one is lost, while there is something to send."""
        while work.queue and not work.down:
            try:
                session = await self._take()
            except ChannelDown as problem:
                if work.sessions:  # one connection too many: the others carry on
                    self._narrow()
                else:
                    work.down = str(problem)
                return
            try:
                await work.through(session)
            finally:
                if session.lost.startswith("421"):
                    self._narrow()
                self._give_back(session)

    def _narrow(self) -> None:
        self._width = max(1, self._width // 2)
        self._calm_from = asyncio.get_running_loop().time()

    def _widen(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._width < self.relay.connections and now - self._calm_from > CALM_SECONDS:
            self._width, self._calm_from = self._width + 1, now

    async def _take(self) -> Session:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(0)  # lets the loop notice connections that were closed meanwhile
        while self._idle:
            since, session = self._idle.pop()
            if not session.lost and now - since < IDLE_SECONDS_MAX:
                return session
            session.quit()
        session = Session(self.relay)
        try:
            async with asyncio.timeout(OPEN_SECONDS_MAX):
                await session.open()
        except TimeoutError:
            session.abort("no answer")
            raise ChannelDown(f"{self.relay!r} did not answer within {OPEN_SECONDS_MAX:.0f} seconds.") from None
        return session

    def _give_back(self, session: Session) -> None:
        if not session.lost:
            self._idle.append((asyncio.get_running_loop().time(), session))


class _Work:
    """A batch on its way: what waits, what became of the rest, and the sessions that work on it."""

    def __init__(self, batch: Sequence[Envelope]) -> None:
        self.batch = batch
        self.queue = deque(enumerate(batch))
        self.outcomes: dict[int, Outcome] = {}
        self.tries: dict[int, int] = {}
        self.sessions: set[Session] = set()
        self.down = ""

    def give_up(self) -> None:
        """Time is over: open connections are dropped, which settles what they carry."""
        self.down = f"No answer within {BATCH_SECONDS_MAX:.0f} seconds."
        for session in tuple(self.sessions):
            session.abort(self.down)

    def handed(self) -> Handed:
        for index, _ in self.queue:
            self.outcomes.setdefault(index, Outcome("deferred", "4.4.1", f"Not sent. {self.down}"))
        return Handed([self.outcomes[index] for index in range(len(self.batch))], self.down)

    async def through(self, session: Session) -> None:
        """Send from the queue until it is empty or the session is lost."""
        self.sessions.add(session)
        current = self._next(session)
        if current is not None:
            session.write(session.announce(current[1]))
        try:
            while current is not None:
                current = await self._one(session, current)
        finally:
            self.sessions.discard(session)

    async def _one(self, session: Session, current: tuple[int, Envelope]) -> tuple[int, Envelope] | None:
        """One message; returns the next one, which is announced already. None: nothing left, or the session is lost."""
        index, item = current
        try:
            refused = await session.envelope_replies(item)
        except Lost as lost:
            self._again(current, str(lost))
            return None
        except SenderRefused as problem:
            self.down = f"The relay refuses the sender: {problem}"
            self.outcomes[index] = Outcome("deferred", "4.7.1", self.down)
            session.abort(self.down)
            return None
        if session.ended():  # before the message was written
            self._again(current, session.ended())
            return None
        following = self._next(session)
        after = session.announce(following[1]) if following else b""
        if refused is not None:
            self.outcomes[index] = refused
            session.write(after)
            return following
        # final dot and the next envelope in one write: one round trip a message
        session.write(body(item) + after)
        try:
            self.outcomes[index] = (await session.reply()).outcome()
        except Lost as lost:
            self.outcomes[index] = Outcome("uncertain", "", f"No reply after the message was sent. {lost}")
        if session.ended() and following is not None:
            self._again(following, session.ended())
            return None
        return following

    def _next(self, session: Session) -> tuple[int, Envelope] | None:
        while self.queue and not self.down:
            index, item = self.queue.popleft()
            refusal = session.refuses(item)
            if refusal is None:
                return index, item
            self.outcomes[index] = refusal
        return None

    def _again(self, current: tuple[int, Envelope], why: str) -> None:
        index = current[0]
        self.tries[index] = self.tries.get(index, 0) + 1
        if self.tries[index] >= TRIES_MAX or self.down:
            self.outcomes[index] = Outcome("deferred", "4.4.2", f"Not sent. {why}")
        else:
            self.queue.append(current)


@cache
def channel(url: str) -> SmtpChannel:
    """The one channel of this process to that relay."""
    return SmtpChannel(parse(url))


@cache
def _loop(pid: int) -> asyncio.AbstractEventLoop:
    """The process's own loop, in a thread of its own: the caller may be inside another loop."""
    loop: asyncio.AbstractEventLoop = (uvloop or asyncio).new_event_loop()
    threading.Thread(target=loop.run_forever, name="smtp", daemon=True).start()
    return loop
