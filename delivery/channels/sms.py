"""SMS by a provider that speaks Twilio's Messages API: one request a message, several at a time, none repeated by us.

A request without a clear answer is uncertain. A sandbox texts its allow-list alone and captures the rest.
"""

import base64
import json
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings

from delivery import captures, connections, consent
from delivery.channels import ways
from delivery.channels.base import DETAIL_CHARS_MAX, ChannelDown, Handed, Outcome
from delivery.channels.ways import Piece
from delivery.connections import Connection
from delivery.content import brief, segments
from delivery.content.rendering import Content, RenderFailed
from delivery.models import SendJob
from delivery.windows import Member
from lamba_campaigns.lib.sql import durable
from projects.models import Environment
from projects.scoping import Scope
from webhooks.connections import Sessions
from webhooks.posting import Answer, post

PARALLEL_MAX = 8
SEGMENTS_MAX = 10
REQUEST_SECONDS = 8.0
E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
NUMBER_CODES: Final = frozenset({"21211", "21214", "21217", "21421", "21601", "21610", "21612", "21614"})
STOPPED: Final = "21610"
BUSY_CODES: Final = frozenset({"20429", "21611", "30001"})


class SmsWay:
    """Sends what it can within the window's time; the rest waits for the next one."""

    def __init__(self, scope: Scope, job: SendJob, content: Content) -> None:
        self._scope, self._job, self._brief = scope, job, brief.compile(content)
        self._connection = connections.find(scope=scope, channel="sms")
        self._sessions = Sessions()
        rows = Environment.objects.values_list("sandbox_allow_list", flat=True)
        self._allowed = None if scope.is_production else frozenset(rows.get(pk=scope.environment_id))

    def ready(self) -> None:
        if self._connection is None and (self._allowed is None or self._allowed):
            raise ChannelDown("No provider is connected for the SMS channel.")

    def hand_over(self, members: Sequence[Member], *, now: datetime) -> Handed:
        found = ways.pieces(scope=self._scope, job=self._job, members=members)
        made, outcomes = ways.rendered(found, self._text)
        real = [each for each in made if self._is_for_the_world(each[0].member.address)]
        held = [each for each in made if not self._is_for_the_world(each[0].member.address)]
        outcomes |= self._capture(held, now)
        down = ""
        if real:
            until = time.monotonic() + ways.WINDOW_SECONDS_MAX
            with ThreadPoolExecutor(min(PARALLEL_MAX, len(real))) as pool:
                answers = list(pool.map(lambda each: self._send(each[0], each[1], until), real))
            outcomes |= {piece.member.position: said for (piece, _), (said, _) in zip(real, answers, strict=True)}
            down = next((why for _, why in answers if why), "")
            self._heed(
                [piece for (piece, _), (said, _) in zip(real, answers, strict=True) if said.code == STOPPED], now
            )
        return Handed([outcomes[member.position] for member in members], down)

    def _heed(self, stopped: Sequence[Piece], now: datetime) -> None:
        """Who answered STOP to the provider is unsubscribed here as well."""
        for piece in stopped:
            with durable():
                consent.unsubscribe(
                    scope=self._scope,
                    people={piece.member.person_id: piece.member.address},
                    channel="sms",
                    how="receipt",
                    source=f"{self._job.public_id}:stop:{piece.member.position}",
                    job_id=self._job.pk,
                    occurred_at=now,
                    now=now,
                )

    def _text(self, piece: Piece) -> str:
        text = self._brief.render(piece.fields, unsubscribe_url=piece.unsubscribe_url).text
        size = segments.size(text)
        if not text or size.segments > SEGMENTS_MAX:
            raise RenderFailed(f"The text has {size.words}; 1 to {SEGMENTS_MAX} segments can be sent.")
        return text

    def _is_for_the_world(self, number: str) -> bool:
        return self._allowed is None or number in self._allowed

    def _capture(self, held: list[tuple[Piece, str]], now: datetime) -> dict[int, Outcome]:
        sender = self._connection.config["sender"] if self._connection else "SMS"
        captures.keep_texts(
            scope=self._scope,
            job_id=self._job.pk,
            sender=sender,
            texts=[(piece.member.position, piece.token, piece.member.address, text) for piece, text in held],
            now=now,
        )
        return {
            piece.member.position: Outcome("accepted", "", f"Captured, {segments.size(text).words}")
            for piece, text in held
        }

    def _send(self, piece: Piece, text: str, until: float) -> tuple[Outcome, str]:
        assert self._connection is not None
        left = until - time.monotonic()
        if left < 1:
            return Outcome("deferred", "", "Not sent yet"), ""
        if not E164.fullmatch(piece.member.address):
            return Outcome("rejected", "21211", "This is no number in E.164."), ""
        answer = post(
            url=_address(self._connection),
            body=urlencode(_form(self._connection, piece, text)).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded", "Authorization": _basic(self._connection)},
            scope=self._scope,
            sessions=self._sessions,
            seconds=min(left, REQUEST_SECONDS),
        )
        return read_answer(answer, segments.size(text).words)


def read_answer(answer: Answer, words: str) -> tuple[Outcome, str]:
    """The outcome that the provider's answer means, and why it takes nothing from anybody, if so."""
    if not answer.sent:
        return Outcome("deferred", "", answer.detail), answer.detail
    said = _document(answer.excerpt)
    code = str(said.get("code") or answer.code or "")[:40]
    detail = f"{said.get('message') or answer.detail}"[:DETAIL_CHARS_MAX].replace("\x00", "")
    if answer.ok and isinstance(said.get("sid"), str):
        return Outcome("accepted", "", f"{said['sid'][:40]}, {words}".replace("\x00", "")), ""
    if answer.code == 429 or code in BUSY_CODES:
        return Outcome("deferred", code, detail), detail
    if answer.code in (401, 403, 404):
        return Outcome("deferred", code, detail), f"The provider refuses the connection: {detail}"
    if code in NUMBER_CODES:
        return Outcome("rejected", code, detail), ""
    if answer.code is not None and 400 <= answer.code < 500:
        return Outcome("failed", code, detail), ""
    return Outcome("uncertain", code, detail), "" if answer.ok else detail


def _address(connection: Connection) -> str:
    return f"{connection.config['url'].rstrip('/')}/2010-04-01/Accounts/{connection.config['account']}/Messages.json"


def _form(connection: Connection, piece: Piece, text: str) -> dict[str, str]:
    return {
        "From": connection.config["sender"],
        "To": piece.member.address,
        "Body": text,
        "StatusCallback": callback_url(connection.public_id, piece.token),
    }


def callback_url(connection_id: str, token: str) -> str:
    """Where the provider tells what became of one message."""
    return f"{settings.PUBLIC_URL}/api/v1/sms/{connection_id}/{token}"


def _basic(connection: Connection) -> str:
    return "Basic " + base64.b64encode(f"{connection.config['account']}:{connection.secret}".encode()).decode()


def _document(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
