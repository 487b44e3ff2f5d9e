"""A customer's server that only counts: the other end of `outbox`, as a process of its own.

POST counts a delivery and its `webhook-id`; one without both kinds of signature counts as refused. GET tells the counts
and begins anew.
"""

import asyncio

import httptools
import uvloop

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
SIGNATURES = {b"webhook-signature", b"x-lamba-signature"}


class Counts:
    def __init__(self) -> None:
        self.taken = self.refused = 0
        self.ids: set[bytes] = set()


counts = Counts()


class Connection(asyncio.Protocol):
    """One kept connection of the sender."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._headers: dict[bytes, bytes] = {}

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_message_complete(self) -> None:
        global counts
        headers, self._headers = self._headers, {}
        if self._parser.get_method() == b"GET":
            told = b"%d %d %d" % (counts.taken, len(counts.ids), counts.refused)
            counts = Counts()
            self._write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))
            return
        counts.taken += 1
        counts.refused += not headers.keys() >= SIGNATURES
        counts.ids.add(headers.get(b"webhook-id", b""))
        self._write(ANSWER)

    def _write(self, data: bytes) -> None:
        self._transport.write(data)  # type: ignore[attr-defined]


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
