"""A refused body is read to its end before the answer goes out.

A client that is still sending when the connection closes sees a broken pipe, never the refusal and what to do next.
"""

from collections.abc import Callable, Iterable
from typing import Any

UNREAD_BYTES_MAX = 64 * 1024 * 1024  # whoever sends more is cut off
_PIECE = 64 * 1024

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Counted:
    """The body's stream, and how much of it has been read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        return self._seen(self._stream.read(size))

    def readline(self, size: int = -1) -> bytes:
        return self._seen(self._stream.readline(size))

    def _seen(self, piece: bytes) -> bytes:
        self.count += len(piece)
        return piece


def finish_reading(application: Application) -> Application:
    """The same application; what it leaves unread of a body, up to UNREAD_BYTES_MAX, is read and dropped."""

    def reading(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"] = _Counted(environ["wsgi.input"])
        answer = application(environ, start_response)
        length = environ.get("CONTENT_LENGTH") or "0"
        end = min(int(length), UNREAD_BYTES_MAX) if length.isdecimal() else 0
        while body.count < end and body.read(min(_PIECE, end - body.count)):
            pass
        return answer

    return reading
