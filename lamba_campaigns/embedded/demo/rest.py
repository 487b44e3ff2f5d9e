"""A small client of the REST interface, as a product team would write one."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import requests

TIMEOUT_SECONDS = 30
POLL_SECONDS = 0.5

Found = TypeVar("Found")


class Refused(Exception):
    """An answer other than 2xx; `problem` is its problem document."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('errorCode', '')}: {problem.get('detail', '')}")
        self.status = status
        self.problem = problem


class TookTooLong(Exception):
    """Something that should have happened did not, within its time."""


class Unexpected(Exception):
    """The product did something that the demo holds to be wrong."""


def expect(true: bool, otherwise: str) -> None:
    """Unexpected, saying `otherwise`, unless `true`."""
    if not true:
        raise Unexpected(otherwise)


@dataclass
class Rest:
    """Calls `/api/v1` of one instance with one key."""

    base: str
    key: str
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        return self._call("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any] | None = None, *, etag: str = "", once: str = "") -> dict[str, Any]:
        """`once` is sent as Idempotency-Key, so that a repeated call has one effect."""
        headers = ({"If-Match": etag} if etag else {}) | ({"Idempotency-Key": once} if once else {})
        return self._call("POST", path, json=body or {}, headers=headers)

    def patch(self, path: str, body: dict[str, Any], *, etag: str = "") -> dict[str, Any]:
        return self._call("PATCH", path, json=body, headers={"If-Match": etag} if etag else {})

    def every(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, page after page."""
        cursor: str | None = None
        while True:
            found = self.get(path, **query, **({"cursor": cursor} if cursor else {}))
            yield from found["items"]
            cursor = found["nextCursor"]
            if cursor is None:
                return

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        answer = self.session.request(
            method, f"{self.base}/api/v1{path}", headers=headers, timeout=TIMEOUT_SECONDS, **options
        )
        found = answer.json() if answer.content else {}
        if not answer.ok:
            raise Refused(answer.status_code, found if isinstance(found, dict) else {})
        return dict(found)


def wait_for(what: str, look: Callable[[], Found | None], *, seconds: float) -> Found:
    """Ask `look` until it finds something. TookTooLong, naming `what`, after `seconds`."""
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise TookTooLong(f"waited {seconds:.0f} s for {what}")
        time.sleep(POLL_SECONDS)
    return found
