"""The plain door: verify the raw bytes, store them once, answer. No session, no CSRF, no form of the body is touched.

What is asked and answered (`Inquiry`, `Reply`) is shared with the other door, `asgi`.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError, transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from lamba_campaigns.lib.signing import SignatureRefused, verify_lamba_v1
from webhooks import directory, doorbell, ingest
from webhooks.directory import KnownEndpoint, LiveSecret
from webhooks.outbox import PROCESS_EVENTS

BODY_BYTES_MAX = 262_144
BUSY_RETRY_SECONDS = 5
DISABLED_RETRY_SECONDS = 300
REFUSALS_LOGGED_SECONDS = 10.0  # one line per endpoint in this time, with the count of what it stands for

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of either door."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def reply(status: int, word: str, detail: str = "", **headers: str) -> Reply:
    """`{"status": word}`, with a `detail` for people where something is wrong."""
    document = {"status": word} | ({"detail": detail} if detail else {})
    return Reply(
        status, json.dumps(document).encode(), {name.replace("_", "-"): text for name, text in headers.items()}
    )


ACCEPTED = reply(202, "accepted")
DUPLICATE = reply(200, "duplicate")
CONFLICT = reply(200, "conflict", "This event id came before with another body. The first one counts.")
UNKNOWN = reply(404, "unknown", "There is no such endpoint.")
RETIRED = reply(410, "retired", "This endpoint was deleted. Stop sending to it.")
REFUSED = reply(401, "refused", "The signature or its timestamp is not valid.")
NOT_POST = reply(405, "refused", "Events are sent by POST.", Allow="POST")
TOO_LARGE = reply(413, "refused", f"An event may have {BODY_BYTES_MAX:,} bytes.")
ENCODED = reply(415, "refused", "Send JSON without Content-Encoding.")
UNREADABLE = reply(400, "refused", "The body did not arrive whole.")
BUSY = reply(503, "busy", "Nothing was stored. Send it again.", Retry_After=str(BUSY_RETRY_SECONDS))
DISABLED = reply(503, "disabled", "This endpoint is switched off.", Retry_After=str(DISABLED_RETRY_SECONDS))
OUTCOMES: Mapping[ingest.Outcome, Reply] = {"accepted": ACCEPTED, "duplicate": DUPLICATE, "conflict": CONFLICT}


def objection(*, method: str, content_type: str, content_encoding: str, content_length: str) -> Reply | None:
    """What is wrong with a request before any byte of its body is read."""
    if method != "POST":
        return NOT_POST
    kind = content_type.partition(";")[0].strip().lower()
    if content_encoding.strip().lower() not in ("", "identity") or not (
        kind in ("", "application/json", "text/json") or (kind.startswith("application/") and kind.endswith("+json"))
    ):
        return ENCODED
    if content_length and (not content_length.isascii() or not content_length.isdigit()):
        return UNREADABLE
    if len(content_length) > 9 or int(content_length or 0) > BODY_BYTES_MAX:
        return TOO_LARGE
    return None


def standing(endpoint: KnownEndpoint | None) -> Reply | None:
    """Why this endpoint takes nothing, if so."""
    if endpoint is None:
        return UNKNOWN
    return {"retired": RETIRED, "disabled": DISABLED}.get(endpoint.status)


def believed(endpoint: KnownEndpoint, *, timestamp: str, signature: str, body: bytes, now: datetime) -> LiveSecret:
    """The secret that signed `body`; SignatureRefused for everything else."""
    live = endpoint.live_secrets(now)
    index = verify_lamba_v1(
        timestamp=timestamp,
        signature=signature,
        body=body,
        secrets=[each.text for each in live],
        now=now.timestamp(),
    )
    return live[index]


@csrf_exempt
@login_not_required
@transaction.non_atomic_requests
def receive(request: HttpRequest, endpoint: str) -> HttpResponse:
    """POST /api/lamba/webhooks/{endpoint}."""
    try:
        answer = _answer(request, endpoint)
    except (DatabaseError, InterfaceError) as problem:
        _log.error("An event was not stored: %s", problem)
        answer = BUSY
    response = HttpResponse(answer.body, status=answer.status, content_type="application/json")
    for name, text in answer.headers.items():
        response.headers[name] = text
    return response


def _answer(request: HttpRequest, public_id: str) -> Reply:
    headers = request.headers
    wrong = objection(
        method=request.method or "",
        content_type=headers.get("Content-Type", ""),
        content_encoding=headers.get("Content-Encoding", ""),
        content_length=headers.get("Content-Length", ""),
    ) or _unknown(public_id)
    if wrong is not None:
        return wrong
    try:
        body = request.read(BODY_BYTES_MAX + 1)
    except (UnreadablePostError, OSError):
        return UNREADABLE
    if len(body) > BODY_BYTES_MAX:
        return TOO_LARGE
    now = timezone.now()
    signed = {"timestamp": headers.get("X-Lamba-Timestamp", ""), "signature": headers.get("X-Lamba-Signature", "")}
    try:
        endpoint, secret = _believed_by_now_known(public_id, body=body, now=now, **signed)
    except SignatureRefused as problem:
        refusals.note(public_id, problem.reason)
        return REFUSED
    kept = {name: ingest.kept_header(headers[name]) for name in ingest.HEADERS_KEPT if name in headers}
    outcome = ingest.record([ingest.arrival(endpoint=endpoint, raw=body, headers=kept, now=now)])[0]
    if outcome == "accepted":
        doorbell.ring(PROCESS_EVENTS)
    if directory.is_noteworthy(secret, now):
        with suppress(DatabaseError):  # the event is stored; this is only a date on a page
            directory.note_use(secret, now)
    return OUTCOMES[outcome]


def _unknown(public_id: str) -> Reply | None:
    return standing(directory.find(public_id) if directory.is_public_id(public_id) else None)


def _believed_by_now_known(
    public_id: str, *, timestamp: str, signature: str, body: bytes, now: datetime
) -> tuple[KnownEndpoint, LiveSecret]:
    """Believe by what is remembered; when that refuses, once more by what the database says now."""
    asked: Callable[[KnownEndpoint], LiveSecret] = lambda known: believed(  # noqa: E731 - the same question, asked twice
        known, timestamp=timestamp, signature=signature, body=body, now=now
    )
    known = directory.find(public_id)
    assert known is not None
    try:
        return known, asked(known)
    except SignatureRefused as problem:
        if problem.reason != "no_matching_signature":
            raise
    fresh = directory.find(public_id, older_than=directory.LOOK_AGAIN_SECONDS)
    if fresh is None or fresh is known:
        raise SignatureRefused("no_matching_signature")
    return fresh, asked(fresh)


class _Refusals:
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


refusals = _Refusals()
