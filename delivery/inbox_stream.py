"""The inbox as server-sent events: an event when the unread count or the newest item changes.

A stream holds a thread of the web server, so it is short and few are open; the browser comes back by itself. When
all are taken it gets the present state and a longer pause: polling, without the front end knowing.
"""

import json
import threading
import time
from collections.abc import Iterator

from delivery import inbox
from delivery.inbox import Reader

STREAMS_MAX = 3  # of a process: fewer than the threads that serve everything else
STREAM_SECONDS_MAX = 25.0
LOOK_SECONDS = 1.0
BACK_SECONDS = 1  # the browser's pause after a stream that ended in its time
BACK_SECONDS_FULL = 10
_open_streams = threading.BoundedSemaphore(STREAMS_MAX)


def events(*, who: Reader, seconds: float | None = None) -> Iterator[str]:
    """The lines of `text/event-stream`, for at most STREAM_SECONDS_MAX."""
    if not _open_streams.acquire(blocking=False):
        yield f"retry: {BACK_SECONDS_FULL * 1_000}\n\n{_event(_state(who))}"
        return
    try:
        yield f"retry: {BACK_SECONDS * 1_000}\n\n"
        yield from _watch(who, time.monotonic() + (STREAM_SECONDS_MAX if seconds is None else seconds))
    finally:
        _open_streams.release()


def _watch(who: Reader, until: float) -> Iterator[str]:
    seen: tuple[int, int] | None = None
    while True:
        found = _state(who)
        if found != seen:
            seen = found
            yield _event(found)
        else:
            yield ": still here\n\n"  # a reader that went away is noticed by writing to it
        if time.monotonic() >= until:
            return
        time.sleep(LOOK_SECONDS)


def _state(who: Reader) -> tuple[int, int]:
    return inbox.newest(who=who), inbox.unread(who=who)


def _event(state: tuple[int, int]) -> str:
    newest, unread = state
    return f"id: {newest}\nevent: inbox\ndata: {json.dumps({'newest': str(newest), 'unread': unread})}\n\n"
