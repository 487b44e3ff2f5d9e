"""The plain door: verify the raw bytes, store them once, answer. No session, no CSRF, no form of the body is touched.

What is asked of a request, and the answers, are shared with the other door, `asgi`.
"""

import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError, transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.lib.signing import SignatureRefused
from lamba_campaigns.web.requests import trace_id
from webhooks import directory, doorbell, ingest, refusals, schemes
from webhooks.directory import KnownEndpoint, LiveSecret
from webhooks.outbox import PROCESS_EVENTS
from webhooks.refusals import BODY_BYTES_MAX, Reply

REFUSALS_LOGGED_SECONDS = 10.0  # one line per endpoint in this time, with the count of what it stands for

_log = logging.getLogger(__name__)


def reply(status: int, word: str, detail: str = "") -> Reply:
    """`{"status": word}`, with a `detail` for people where there is more to say."""
    document = {"status": word} | ({"detail": detail} if detail else {})
    return Reply(status, json.dumps(document).encode())


ACCEPTED = reply(202, "accepted")
DUPLICATE = reply(200, "duplicate")
CONFLICT = reply(200, "conflict", "This event id came before with another body. The first one counts.")
OUTCOMES: Mapping[ingest.Outcome, Reply] = {"accepted": ACCEPTED, "duplicate": DUPLICATE, "conflict": CONFLICT}


def require_acceptable(*, method: str, headers: Mapping[str, str]) -> None:
    """Refuse what is wrong with a request before any byte of its body is read."""
    if method != "POST":
        raise refusals.not_post(method)
    encoding = headers.get("content-encoding", "")
    if encoding and encoding.strip().lower() != "identity":
        raise refusals.encoded(encoding)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise refusals.wrong_length(length)
    if len(length) > 9 or int(length) > BODY_BYTES_MAX:
        raise refusals.too_large(length)


def require_open(endpoint: KnownEndpoint | None, *, content_type: str) -> KnownEndpoint:
    """The endpoint, if it takes events now and reads this type of body."""
    if endpoint is None:
        raise refusals.unknown()
    if endpoint.status == "retired":
        raise refusals.retired()
    if endpoint.status == "disabled":
        raise refusals.disabled()
    if content_type == "application/json":
        return endpoint
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in ("", *schemes.JSON_TYPES) and not (
        (kind.startswith("application/") and kind.endswith("+json"))
        or (kind == schemes.FORM_TYPE and schemes.find(endpoint.scheme).form)
        or (kind == "text/plain" and endpoint.scheme == "amazon_ses")  # how SNS labels its JSON
    ):
        raise refusals.wrong_type(content_type)
    return endpoint


def believed(endpoint: KnownEndpoint, *, headers: Mapping[str, str], body: bytes, now: datetime) -> LiveSecret:
    """The secret that vouches for `body`; SignatureRefused for everything else."""
    live = endpoint.live_secrets(now)
    verify = schemes.SCHEMES[endpoint.scheme].verify
    return live[verify(headers, body, endpoint.url, now.timestamp(), [each.text for each in live])]


def disbelief(endpoint: KnownEndpoint, problem: SignatureRefused) -> DomainError:
    """The refusal of a request that was not believed; counted in the log."""
    disbelieved.note(endpoint.public_id, problem.reason)
    scheme = schemes.find(endpoint.scheme)
    return refusals.not_believed(problem.reason, schemes.REASONS[problem.reason], scheme.label)


def challenge(error: DomainError, endpoint: KnownEndpoint | None) -> dict[str, str]:
    """Headers that HTTP wants beside some refusals."""
    if error.status == 405:
        return {"Allow": "POST"}
    if error.status == 401:
        basic = endpoint is not None and schemes.find(endpoint.scheme).basic
        return {"WWW-Authenticate": 'Basic realm="webhooks"' if basic else "Signature"}
    return {}


@csrf_exempt
@login_not_required
@transaction.non_atomic_requests
def receive(request: HttpRequest, endpoint: str) -> HttpResponse:
    """POST /api/lamba/webhooks/{endpoint}."""
    known = directory.peek(endpoint)
    try:
        answer = _answer(request, endpoint)
    except DomainError as error:
        known = known or directory.peek(endpoint)
        answer = refusals.refused(error, trace=trace_id(request), headers=challenge(error, known))
    except (DatabaseError, InterfaceError) as problem:
        _log.error("An event was not stored: %s", problem)
        answer = refusals.refused(refusals.not_stored(), trace=trace_id(request))
    return HttpResponse(answer.body, status=answer.status, headers=answer.headers)


def _answer(request: HttpRequest, public_id: str) -> Reply:
    headers = {name.lower(): text for name, text in request.headers.items()}
    require_acceptable(method=request.method or "", headers=headers)
    found = directory.find(public_id) if directory.is_public_id(public_id) else None
    known = require_open(found, content_type=headers.get("content-type", ""))
    body = _body(request)
    now = timezone.now()
    try:
        endpoint, secret = _believed_by_now_known(known, headers=headers, body=body, now=now)
    except SignatureRefused as problem:
        raise disbelief(known, problem) from None
    outcome = ingest.record([ingest.arrival(endpoint=endpoint, raw=body, headers=headers, now=now)])[0]
    if outcome == "accepted":
        doorbell.ring(PROCESS_EVENTS)
    if directory.is_noteworthy(secret, now):
        with suppress(DatabaseError):  # the event is stored; this is only a date on a page
            directory.note_use(secret, now)
    return OUTCOMES[outcome]


def _body(request: HttpRequest) -> bytes:
    try:
        body = request.read(BODY_BYTES_MAX + 1)
    except (UnreadablePostError, OSError):
        raise refusals.incomplete() from None
    if len(body) > BODY_BYTES_MAX:
        raise refusals.too_large(f"more than {BODY_BYTES_MAX:,}")
    length = request.headers.get("Content-Length", "")
    if length.isdigit() and len(body) < int(length):
        raise refusals.incomplete()
    return body


def _believed_by_now_known(
    known: KnownEndpoint, *, headers: Mapping[str, str], body: bytes, now: datetime
) -> tuple[KnownEndpoint, LiveSecret]:
    """Believe by what is remembered; when that refuses, once more by what the database says now."""
    try:
        return known, believed(known, headers=headers, body=body, now=now)
    except SignatureRefused:
        fresh = directory.find(known.public_id, older_than=directory.LOOK_AGAIN_SECONDS)
        if fresh is None or fresh is known:
            raise
    return fresh, believed(fresh, headers=headers, body=body, now=now)


class _Disbelieved:
    """Refused requests, sampled into the log: metadata only, never the body."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, int]] = {}

    def note(self, public_id: str, reason: str) -> None:
        moment = time.monotonic()
        logged_at, count = self._since.get(public_id, (0.0, 0))
        if moment - logged_at < REFUSALS_LOGGED_SECONDS and logged_at:
            self._since[public_id] = (logged_at, count + 1)
            return
        self._since[public_id] = (moment, 0)
        _log.warning("Refused an event at %s: %s (%d more since the last line)", public_id, reason, count)


disbelieved = _Disbelieved()
