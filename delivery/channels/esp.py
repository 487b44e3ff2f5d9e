"""Mail by a provider's HTTP interface, through django-anymail. Everybody gets a message of their own.

Mailgun takes a batch whose recipients never see each other (recipient variables); the others one request a message,
several at a time. Resend also gets an idempotency key. What got no clear answer is uncertain.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import formataddr
from typing import Any, Final

import requests
from anymail.exceptions import AnymailAPIError, AnymailError, AnymailRecipientsRefused
from django.core.mail import EmailMultiAlternatives, get_connection
from urllib3.exceptions import NewConnectionError

from delivery import tracking
from delivery.channels import ways
from delivery.channels.base import DETAIL_CHARS_MAX, Handed, Kind, Outcome
from delivery.channels.ways import Piece
from delivery.connections import Connection
from delivery.content.mime import BadAddress
from delivery.content.mime import address as wire_address
from delivery.content.rendering import Content, Rendered, RenderFailed, compile
from delivery.models import SendJob
from delivery.windows import Member
from projects.scoping import Scope

PARALLEL_MAX = 8
BATCH_MESSAGES_MAX = 100
REQUEST_SECONDS = 5.0
LEFT_SECONDS_MIN = 2.0  # with less nothing new is begun in this window
TOKEN = "lamba_message"  # noqa: S105 - the name under which the provider keeps the message's token, for its receipts
Part = list[tuple[Piece, Rendered]]
_KINDS: Final[Mapping[str, Kind]] = {
    "queued": "accepted", "sent": "accepted", "rejected": "rejected", "invalid": "rejected", "failed": "failed",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Backend:
    """anymail's backend of one provider: how its settings are called there, and what it can."""

    name: str
    secret: str
    batches: bool = False
    keys: bool = False
    options: Callable[[Mapping[str, str]], dict[str, str]] = lambda config: {}


BACKENDS: Final[Mapping[str, Backend]] = {
    "mailgun": Backend("mailgun", "api_key", batches=True, options=lambda config: {"sender_domain": config["domain"]}),
    "postmark": Backend("postmark", "server_token"),
    "resend": Backend("resend", "api_key", keys=True),
    "sendgrid": Backend("sendgrid", "api_key"),
}


class EspWay:
    """One job's mail by the connected provider."""

    def __init__(self, scope: Scope, job: SendJob, content: Content, connection: Connection) -> None:
        self._scope, self._job, self._content, self._connection = scope, job, content, connection
        self._rewrite = tracking.rewriter(scope=scope, job=job)
        self._backend, self._template = BACKENDS[connection.provider.name], compile(content)

    def ready(self) -> None:
        return

    def hand_over(self, members: Sequence[Member], *, now: datetime) -> Handed:
        found = ways.pieces(scope=self._scope, job=self._job, members=members)
        made, outcomes = ways.rendered(found, self._render)
        until, down = time.monotonic() + ways.WINDOW_SECONDS_MAX, ""
        size = BATCH_MESSAGES_MAX if self._backend.batches else 1
        parts = [made[start : start + size] for start in range(0, len(made), size)]
        with ThreadPoolExecutor(min(PARALLEL_MAX, max(1, len(parts)))) as pool:
            for said, why in pool.map(lambda part: self._send(part, until), parts):
                outcomes |= said
                down = down or why
        return Handed([outcomes[member.position] for member in members], down)

    def _render(self, piece: Piece) -> Rendered:
        try:
            wire_address(piece.member.address)
        except BadAddress as problem:
            raise RenderFailed(str(problem)) from None
        made = self._template.render(piece.fields, unsubscribe_url=piece.unsubscribe_url)
        if self._rewrite is None:
            return made
        return replace(made, html=self._rewrite(made.html, piece.member.position))

    def _send(self, part: Part, until: float) -> tuple[dict[int, Outcome], str]:
        """Outcomes by position, and why the provider takes nothing from anybody, if so."""
        left = until - time.monotonic()
        if left < LEFT_SECONDS_MIN:
            return _all(part, "deferred", "", "Not sent yet"), ""
        message = self._batch(part) if self._backend.batches else self._single(*part[0])
        try:
            with get_connection(
                f"anymail.backends.{self._backend.name}.EmailBackend", **self._options(left)
            ) as connection:
                if self._backend.keys:
                    connection.session.headers["Idempotency-Key"] = _key(part[0][0])  # type: ignore[attr-defined]
                connection.send_messages([message])
        except AnymailRecipientsRefused:
            return _statuses(part, message), ""
        except (AnymailAPIError, AnymailError) as problem:
            return self._refused(part, problem, until)
        return _statuses(part, message), ""

    def _refused(self, part: Part, problem: AnymailError, until: float) -> tuple[dict[int, Outcome], str]:
        code = getattr(problem, "status_code", None)
        detail = str(problem).strip().replace("\x00", "")[:DETAIL_CHARS_MAX]
        if code is None and _never_connected(problem):
            return _all(part, "deferred", "", detail), detail
        if code in (401, 403, 404, 429):
            return _all(part, "deferred", str(code), detail), detail
        if code is not None and 400 <= code < 500 and len(part) > 1:  # one wrong address refuses the batch as a whole
            said = [self._send([each], until) for each in part]
            return {position: each for found, _ in said for position, each in found.items()}, ""
        if code is not None and 400 <= code < 500:
            return _all(part, "rejected", str(code), detail), ""
        return _all(part, "uncertain", str(code or ""), detail), detail

    def _options(self, left: float) -> dict[str, Any]:
        config = self._connection.config
        return {
            self._backend.secret: self._connection.secret,
            "api_url": config["url"],
            "requests_timeout": min(REQUEST_SECONDS, left / 2),  # it counts for connecting and for reading, each
            **self._backend.options(config),
        }

    def _single(self, piece: Piece, rendered: Rendered) -> EmailMultiAlternatives:
        message = self._message(rendered.subject, rendered.text, rendered.html, [piece.member.address])
        message.extra_headers = _headers(piece)
        message.metadata = {TOKEN: piece.token}  # type: ignore[attr-defined]  # anymail's
        return message

    def _batch(self, part: Part) -> EmailMultiAlternatives:
        """One request; each address gets its own words, headers and token, and is alone in its To."""
        text = {name: f"%recipient.{name}%" for name in ("subject", "text", "html")}
        addresses = [piece.member.address for piece, _ in part]
        message: Any = self._message(text["subject"], text["text"], text["html"], addresses)
        message.merge_data = {
            piece.member.address: {"subject": made.subject, "text": made.text, "html": made.html}
            for piece, made in part
        }
        message.merge_headers = {piece.member.address: _headers(piece) for piece, _ in part}
        message.merge_metadata = {piece.member.address: {TOKEN: piece.token} for piece, _ in part}
        made_message: EmailMultiAlternatives = message
        return made_message

    def _message(self, subject: str, text: str, html: str, to: list[str]) -> EmailMultiAlternatives:
        content = self._content
        message = EmailMultiAlternatives(
            subject=subject,
            body=text,
            from_email=formataddr((content.from_name, content.from_address)),
            to=to,
            reply_to=[content.reply_to] if content.reply_to else None,
        )
        message.attach_alternative(html, "text/html")
        return message


def _headers(piece: Piece) -> dict[str, str]:
    return {
        "List-Unsubscribe": f"<{piece.unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def _key(piece: Piece) -> str:
    return f"{piece.token}.{piece.member.attempts}"


def _all(part: Part, kind: Kind, code: str, detail: str) -> dict[int, Outcome]:
    return {piece.member.position: Outcome(kind, code, detail) for piece, _ in part}


def _statuses(part: Part, message: Any) -> dict[int, Outcome]:
    """What the provider said of each recipient; of whom it said nothing may have been taken over."""
    found = {address.lower(): status for address, status in message.anymail_status.recipients.items()}
    outcomes = {}
    for piece, _ in part:
        status = found.get(piece.member.address.lower())
        kind: Kind = _KINDS.get(str(status.status), "uncertain") if status is not None else "uncertain"
        detail = str(status.message_id or "") if status is not None else "The answer does not name this address."
        outcomes[piece.member.position] = Outcome(kind, "", detail[:DETAIL_CHARS_MAX])
    return outcomes


def _never_connected(problem: BaseException) -> bool:
    """Whether no connection came about, so that nothing has left."""
    cause = problem.__cause__
    if isinstance(cause, requests.ConnectTimeout):
        return True
    reasons = [getattr(each, "reason", each) for each in getattr(cause, "args", ())]
    return any(isinstance(each, NewConnectionError) for each in reasons)
