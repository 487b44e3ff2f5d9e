"""An SMTP server that only counts: the other end of `deliver`, as a process of its own.

It keeps the Message-ID of every message, so that one handed over twice is seen. It speaks as much SMTP as a relay
without TLS does (EHLO, MAIL, RCPT, DATA, RSET, NOOP, QUIT, pipelined), and XCOUNT, XRESET and XIDS for the measuring
process. Times are seconds of the machine's monotonic clock, so that both processes mean the same.
"""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvloop

_END = b"\r\n.\r\n"
_MESSAGE_ID = b"\r\nMessage-ID: <"
_ID_BYTES = 26


class Counts:
    """Of all connections together since the last XRESET."""

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.ids: set[bytes] = set()
        self.first_at = 0.0
        self.last_at = 0.0

    def take(self, message: bytes) -> None:
        found = message.find(_MESSAGE_ID)
        start = found + len(_MESSAGE_ID)
        self.ids.add(message[start : start + _ID_BYTES] if found >= 0 else b"%d" % self.messages)
        self.messages += 1
        self.bytes += len(message)
        self.last_at = time.monotonic()
        self.first_at = self.first_at or self.last_at


class Sink(asyncio.Protocol):
    """One connection. Everything that arrived is answered in one write."""

    counts = Counts()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""
        self._in_message = False
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.write(b"220 sink ESMTP\r\n")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        answers: list[bytes] = []
        while self._step(answers):
            pass
        if answers:
            self._transport.write(b"".join(answers))  # type: ignore[attr-defined]

    def _step(self, answers: list[bytes]) -> bool:
        buffer = self._buffer
        if self._in_message:
            end = buffer.find(_END)
            if end < 0:
                return False
            self.counts.take(buffer[:end])
            self._buffer, self._in_message = buffer[end + len(_END) :], False
            answers.append(b"250 2.0.0 Counted\r\n")
            return True
        end = buffer.find(b"\r\n")
        if end < 0:
            return False
        self._buffer = buffer[end + 2 :]
        answers.append(self._answer(buffer[:end]))
        return True

    def _answer(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb in (b"MAIL", b"RCPT", b"RSET", b"NOOP"):
            return b"250 2.0.0 OK\r\n"
        if verb == b"DATA":
            self._in_message = True
            return b"354 Go on\r\n"
        if verb == b"EHLO":
            return b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n"
        if verb == b"XCOU":
            counts = self.counts
            shown = (counts.messages, len(counts.ids), counts.bytes, counts.first_at, counts.last_at)
            return b"250 %d %d %d %.6f %.6f\r\n" % shown
        if verb == b"XIDS":
            return b"250 " + b" ".join(self.counts.ids) + b"\r\n"
        if verb == b"XRES":
            self.counts.__init__()  # type: ignore[misc]
            return b"250 OK\r\n"
        if verb == b"QUIT":
            self._transport.close()
            return b"221 Bye\r\n"
        return b"502 5.5.1 Not here\r\n"


@dataclass(frozen=True, slots=True)
class Counted:
    """What the sink has got. `seconds` lie between its first message and its last."""

    messages: int
    different: int
    bytes: int
    first_at: float
    last_at: float

    @property
    def seconds(self) -> float:
        return self.last_at - self.first_at


class Handle:
    """The running sink, seen from the measuring process."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid
        self.url = f"smtp://127.0.0.1:{port}?connections=16"
        self._wire = socket.create_connection(("127.0.0.1", port))
        self._lines = self._wire.makefile("rb")
        self._lines.readline()

    def count(self) -> Counted:
        _, *values = self._ask(b"XCOUNT").split()
        messages, different, size = map(int, values[:3])
        return Counted(messages, different, size, float(values[3]), float(values[4]))

    def ids(self) -> set[str]:
        """The part of every Message-ID before its @."""
        return {each.decode() for each in self._ask(b"XIDS").split()[1:]}

    def reset(self) -> None:
        self._ask(b"XRESET")

    def close(self) -> None:
        self._lines.close()
        self._wire.close()

    def _ask(self, command: bytes) -> bytes:
        self._wire.sendall(command + b"\r\n")
        return self._lines.readline()


@contextmanager
def running() -> Iterator[Handle]:
    """A sink in a process of its own, gone at the end."""
    process = subprocess.Popen((sys.executable, "-m", "benchmarks._sink"), stdout=subprocess.PIPE)
    assert process.stdout is not None
    handle = Handle(int(process.stdout.readline()), process.pid)
    try:
        yield handle
    finally:
        handle.close()
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(_serve())
