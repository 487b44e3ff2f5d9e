"""Lamba's API over HTTP: a token, a page of members, the state of the SMS add-on. Every failure has one of three names.

`Refused` will be refused again, `Unreachable` may go away, `Throttled` says when to come back. Bodies are limited, no
redirect is followed, and no address inside our own network is reached.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlencode

from requests import RequestException
from requests_hardened.ip_filter import InvalidIPAddress
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from audiences.models import LambaConnection
from lamba_campaigns.lib import secrets
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Scope
from webhooks import addresses, deadline
from webhooks.connections import Sessions
from webhooks.envelope import LAMBA_ENVIRONMENT

DEADLINE_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 15.0
BODY_BYTES_MAX: Final = 16 << 20
CHUNK_BYTES: Final = 1 << 16
RETRY_AFTER_SECONDS_MAX: Final = 3_600
RETRY_AFTER_SECONDS_USUAL: Final = 30


class Refused(Exception):
    """Asking again would give the same answer. `status` is 0 when nothing was asked."""

    def __init__(self, detail: str, *, status: int = 0) -> None:
        super().__init__(detail)
        self.status = status


class Unreachable(Exception):
    """No whole answer came; the next try may get one."""


class Throttled(Exception):
    """Lamba asks to come back later."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Lamba asks to wait {seconds} seconds.")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Page:
    """Members as told, and where the next page begins; an empty cursor ends the list."""

    items: list[Any]
    next_cursor: str


class Client:
    """Asks for one environment. The token lives in memory only; a refused one is replaced once."""

    def __init__(self, *, scope: Scope, connection: LambaConnection) -> None:
        self._scope, self._connection = scope, connection
        self._sessions = Sessions()
        self._token = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sessions.close()

    def members(self, *, cursor: str) -> Page:
        params = {"limit": str(self._connection.page_size)}
        if cursor:
            params[self._connection.cursor_parameter] = cursor
        body = self._get(self._connection.members_path, params)
        items, following = body.get("items"), body.get("nextCursor")
        if not isinstance(items, list) or not isinstance(following, str | None):
            raise Refused("Lamba's answer is no list with items and nextCursor.", status=200)
        return Page(items, following or "")

    def sms_status(self) -> Mapping[str, Any]:
        """The body as it is: Lamba's pages don't describe it."""
        return self._get(self._connection.sms_path, {})

    def _get(self, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        for fresh in (not self._token, True):
            if fresh:
                self._token = self._new_token()
            query = f"?{urlencode(params)}" if params else ""
            status, body = self._ask("GET", self._connection.api_url + path + query, token=self._token)
            if status != 401 or fresh:
                break
        return self._whole(status, body)

    def _new_token(self) -> str:
        found = self._connection
        form = {
            "grant_type": "client_credentials",
            "client_id": found.client_id,
            "client_secret": secrets.decrypt(found.secret_cipher),
            "workspaceId": self._scope.workspace,
            "projectId": self._scope.project,
            "environment": LAMBA_ENVIRONMENT[self._scope.environment],
        }
        if found.token_scope:
            form["scope"] = found.token_scope
        body = self._whole(*self._ask("POST", found.auth_url + found.token_path, form=form))
        token = body.get("access_token")
        if not isinstance(token, str) or not token:
            raise Refused("Lamba's answer holds no access token.", status=200)
        return token

    def _whole(self, status: int, body: Any) -> dict[str, Any]:
        """The body of a good answer, or the name of what went wrong."""
        if status == 401:
            raise Refused("Lamba refuses the client id and secret (401).", status=401)
        if status >= 500:
            raise Unreachable(f"Lamba answers {status}.{_trace(body)}")
        if status != 200:
            raise Refused(f"Lamba answers {status}: {_words(body)}.{_trace(body)}", status=status)
        if not isinstance(body, dict):
            raise Unreachable("Lamba's answer is cut off, or no JSON.")
        return body

    def _ask(self, method: str, url: str, *, token: str = "", form: Mapping[str, str] | None = None) -> tuple[int, Any]:
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            addresses.require_reachable(url=url, scope=self._scope)
            with (
                deadline.within(DEADLINE_SECONDS),
                self._sessions.send(
                    method,
                    url,
                    scope=self._scope,
                    body=urlencode(form).encode() if form is not None else None,
                    headers=headers,
                    connect_seconds=CONNECT_SECONDS,
                    read_seconds=READ_SECONDS,
                ) as answer,
            ):
                if answer.status == 429:
                    raise Throttled(_retry_after(answer.headers.get("Retry-After", "")))
                return answer.status, _json(_read(answer))
        except (Invalid, InvalidIPAddress) as problem:
            raise Refused(f"{url} can't be asked: {problem}.") from None
        except (RequestException, HTTPError, TimeoutError, OSError) as problem:
            raise Unreachable(f"Lamba gave no whole answer ({type(problem).__name__}).") from None


def _read(answer: BaseHTTPResponse) -> bytes:
    found = bytearray()
    for chunk in answer.stream(CHUNK_BYTES, decode_content=False):
        found += chunk
        if len(found) > BODY_BYTES_MAX:
            raise Refused(f"Lamba's answer has more than {BODY_BYTES_MAX:,} bytes; ask for smaller pages.", status=200)
    return bytes(found)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _words(body: Any) -> str:
    """What a problem document says, in short."""
    if isinstance(body, dict):
        for name in ("detail", "error_description", "message", "title", "error"):
            if isinstance(body.get(name), str):
                return str(body[name])[:200].rstrip(".")
    return "no reason given"


def _trace(body: Any) -> str:
    trace = body.get("traceId") if isinstance(body, dict) else None
    return f" Trace {trace[:80]}." if isinstance(trace, str) else ""


def _retry_after(text: str) -> int:
    wanted = int(text) if text.isascii() and text.isdigit() else RETRY_AFTER_SECONDS_USUAL
    return max(1, min(wanted, RETRY_AFTER_SECONDS_MAX))
