"""An answer has one deadline in all: its status line and headers too may not trickle in for ever.

A socket's timeout is per read, so a receiver that sends a byte now and then would hold a worker for hours. Here every
read gets what is left of the time that `within` gave to its thread.
"""

import http.client
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_thread = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Answers that this thread reads inside the block must be complete in time, or raise TimeoutError."""
    _thread.ends_at = time.monotonic() + seconds
    try:
        yield
    finally:
        _thread.ends_at = None


class _Reads(io.RawIOBase):
    """A connection's bytes, each read bounded by what is left of the deadline."""

    def __init__(self, raw: Any, sock: Any) -> None:
        self._raw, self._sock = raw, sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        ends_at = getattr(_thread, "ends_at", None)
        if ends_at is not None:
            left = ends_at - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer was not complete in time")
            usual = self._sock.gettimeout()
            self._sock.settimeout(left if usual is None else min(left, usual))
            try:
                return int(self._raw.readinto(buffer))
            finally:
                self._sock.settimeout(usual)
        return int(self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Reads(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Response


class _TLSConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


POOLS: dict[str, type] = {"http": _Pool, "https": _TLSPool}
