"""One POST to an address that a customer typed in: no private address, no redirect, a deadline, and a short memory."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import requests
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter import InvalidIPAddress

from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Scope
from webhooks import addresses

CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0  # between two bytes
DEADLINE_SECONDS = 20.0  # for the whole answer
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

    @property
    def ok(self) -> bool:
        return self.code is not None and 200 <= self.code < 300

    @property
    def gone(self) -> bool:
        return self.code == 410 or self.stop

    @property
    def throttled(self) -> bool:
        return self.code is None or self.code in THROTTLING


def post(*, url: str, body: bytes, headers: Mapping[str, str], scope: Scope) -> Answer:
    """Send and return what happened. Never raises for anything that the other side does."""
    started_at, started = datetime.now(UTC), time.monotonic()

    def answer(code: int | None, detail: str, **more: object) -> Answer:
        return Answer(started_at, int((time.monotonic() - started) * 1000), code, detail=detail[:200], **more)  # type: ignore[arg-type]

    try:
        addresses.require_reachable(url=url, scope=scope)
        with (
            _session(url, scope) as session,
            session.post(
                url, data=body, headers=dict(headers), stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
            ) as response,
        ):
            excerpt = _excerpt(response, started + DEADLINE_SECONDS)
            return answer(
                response.status_code,
                _words(response),
                excerpt=excerpt,
                retry_after=_retry_after(response.headers.get("Retry-After", "")),
                stop=response.headers.get("webhook-delivery", "").strip().lower() == "disable",
            )
    except Invalid as refusal:
        return answer(None, refusal.detail)
    except InvalidIPAddress as refusal:
        return answer(None, f"The name resolves to the private address {refusal}.")
    except (requests.Timeout, TimeoutError):
        return answer(None, "No answer in time.")
    except (requests.RequestException, OSError, ValueError) as problem:
        return answer(None, f"No connection: {type(problem).__name__}.")


def _session(url: str, scope: Scope) -> HTTPSession:
    vouched_for = addresses.is_allowed_anyway(url)
    session = HTTPSession(
        Config(
            ip_filter_enable=not vouched_for,
            ip_filter_allow_loopback_ips=addresses.loopback_allowed(scope),
            never_redirect=True,
            default_timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
    )
    session.trust_env = False  # no proxies and no .netrc of the host we run on
    return session


def _excerpt(response: requests.Response, deadline: float) -> str:
    """The first bytes of the answer, read within the deadline; the rest is never read."""
    found = b""
    for chunk in response.iter_content(1_024):
        found += chunk
        if len(found) >= EXCERPT_BYTES_MAX:
            break
        if time.monotonic() > deadline:
            raise TimeoutError
    return found[:EXCERPT_BYTES_MAX].decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _words(response: requests.Response) -> str:
    if 200 <= response.status_code < 300:
        return ""
    if 300 <= response.status_code < 400:
        return f"Answered {response.status_code}: redirects are not followed."
    if response.status_code == 410:
        return "Answered 410: the receiver is gone."
    return f"Answered {response.status_code}."


def _retry_after(text: str) -> float | None:
    """Seconds from a Retry-After header in its numeric form; the date form is left to the ladder."""
    return float(text) if re.fullmatch(r"[0-9]{1,7}", text.strip(), re.ASCII) else None
