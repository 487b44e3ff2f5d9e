"""One POST to an address that a customer typed in: no private address, no redirect, a deadline, and a short memory."""

import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from requests import RequestException
from requests_hardened.ip_filter import InvalidIPAddress
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util.ssl_match_hostname import CertificateError

from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Scope
from webhooks import addresses, deadline
from webhooks.connections import Sessions

CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0  # between two bytes
DEADLINE_SECONDS = 20.0  # from the request's last byte to the end of the answer, headers included
HEADERS_KEPT_MAX, HEADER_KEPT_LENGTH_MAX = 30, 256
EXCERPT_BYTES_MAX = 16_384
THROTTLING = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, or why nothing did (`code` None)."""

    started_at: datetime
    duration_ms: int
    code: int | None
    excerpt: str = ""
    detail: str = ""
    retry_after: float | None = None
    stop: bool = False  # `webhook-delivery: disable`
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: bool = True  # False: surely nothing reached the other side

    @property
    def ok(self) -> bool:
        return self.code is not None and 200 <= self.code < 300

    @property
    def ended_at(self) -> datetime:
        return self.started_at + timedelta(milliseconds=self.duration_ms)

    @property
    def gone(self) -> bool:
        return self.code == 410 or self.stop

    @property
    def throttled(self) -> bool:
        return self.code is None or self.code in THROTTLING


def post(
    *,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    scope: Scope,
    sessions: Sessions,
    seconds: float = DEADLINE_SECONDS,
    answer_bytes: int = EXCERPT_BYTES_MAX,
) -> Answer:
    """Send and return what happened. Never raises for anything that the other side does."""
    started_at, started = datetime.now(UTC), time.monotonic()

    def answer(code: int | None, detail: str, **more: object) -> Answer:
        return Answer(started_at, int((time.monotonic() - started) * 1000), code, detail=detail[:200], **more)  # type: ignore[arg-type]

    try:
        addresses.require_reachable(url=url, scope=scope)
        with (
            deadline.within(seconds),
            sessions.send(
                "POST",
                url,
                scope=scope,
                body=body,
                headers=headers,
                connect_seconds=min(CONNECT_SECONDS, seconds),
                read_seconds=min(READ_SECONDS, seconds),
            ) as response,
        ):
            return answer(
                response.status,
                _words(response.status),
                excerpt=_excerpt(response, answer_bytes),
                retry_after=_retry_after(response.headers.get("Retry-After", "")),
                stop=response.headers.get("webhook-delivery", "").strip().lower() == "disable",
                headers=_kept(response.headers),
            )
    except Invalid as refusal:
        return answer(None, refusal.detail, sent=False)
    except InvalidIPAddress as refusal:
        return answer(None, f"The name resolves to the private address {refusal}.", sent=False)
    except (RequestException, HTTPError, OSError, ValueError) as problem:
        detail = "No answer in time." if _is_timeout(problem) else f"No connection: {type(problem).__name__}."
        return answer(None, detail, sent=not _never_connected(problem))


def _never_connected(problem: BaseException) -> bool:
    """Whether the name, the connection or the certificate failed: nothing of the request has left."""
    if isinstance(problem, RequestException | ConnectTimeoutError | NewConnectionError):  # the first is of the check
        return True
    return any(isinstance(each, ssl.SSLCertVerificationError | CertificateError) for each in problem.args)


def _is_timeout(problem: BaseException) -> bool:
    """Whether a timeout stands somewhere behind `problem`: urllib3 wraps it in several ways."""
    seen: object = problem
    while isinstance(seen, BaseException):
        if any(isinstance(each, TimeoutError | ReadTimeoutError) for each in (seen, *seen.args)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """The answer's headers as the log keeps them: printable, short, and not too many."""
    return {
        name[:HEADER_KEPT_LENGTH_MAX]: "".join(each for each in text[:HEADER_KEPT_LENGTH_MAX] if each.isprintable())
        for name, text in list(headers.items())[:HEADERS_KEPT_MAX]
        if name.isprintable() and name.lower() != "set-cookie"
    }


def _excerpt(response: BaseHTTPResponse, most: int) -> str:
    """The first bytes of the answer; the rest is never read."""
    found = b""
    for chunk in response.stream(EXCERPT_BYTES_MAX, decode_content=False):
        found += chunk
        if len(found) >= most:
            break
    return found[:most].decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _words(code: int) -> str:
    if 200 <= code < 300:
        return ""
    if 300 <= code < 400:
        return f"Answered {code}: redirects are not followed."
    if code == 410:
        return "Answered 410: the receiver is gone."
    return f"Answered {code}."


def _retry_after(text: str) -> float | None:
    """Seconds from a Retry-After header in its numeric form; the date form is left to the ladder."""
    return float(text) if re.fullmatch(r"[0-9]{1,7}", text.strip(), re.ASCII) else None
