"""Webhook: one signed POST per batch to the customer's endpoint, which answers what became of each message.

Only what the answer names is known. Who is missing in a 2xx, or stood in a request that got no clear answer, may have
been taken over: uncertain. The same batch is never posted twice by itself, and `webhook-id` names it.
"""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from delivery import connections
from delivery.channels import ways
from delivery.channels.base import DETAIL_CHARS_MAX, ChannelDown, Handed, Kind, Outcome
from delivery.channels.ways import Piece
from delivery.content import brief
from delivery.content.rendering import Content
from delivery.models import SendJob
from delivery.windows import Member
from lamba_campaigns.lib.signing import lamba_v1_signature, standard_signature
from projects.scoping import Scope
from webhooks.connections import Sessions
from webhooks.posting import Answer, post

BATCH_MESSAGES_MAX = 100
ANSWER_BYTES_MAX = 131_072
EVENT = "messages.deliver"
_KINDS: Final[Mapping[str, Kind]] = {
    "accepted": "accepted", "deferred": "deferred", "rejected": "rejected", "failed": "failed",
}  # fmt: skip
REFUSED_WHOLE = (400, 401, 403, 404, 405, 410, 413, 415, 422)  # nothing of it was taken, says the endpoint
BUSY = (429, 503)


class WebhookWay:
    """Posts a window in batches, one after the other, while there is time."""

    def __init__(self, scope: Scope, job: SendJob, content: Content) -> None:
        self._scope, self._job, self._brief = scope, job, brief.compile(content)
        self._connection = connections.find(scope=scope, channel="webhook")
        self._sessions = Sessions()

    def ready(self) -> None:
        if self._connection is None:
            raise ChannelDown("No endpoint is connected for the webhook channel.")

    def hand_over(self, members: Sequence[Member], *, now: datetime) -> Handed:
        found = ways.pieces(scope=self._scope, job=self._job, members=members)
        made, outcomes = ways.rendered(found, self._message)
        until, down = time.monotonic() + ways.WINDOW_SECONDS_MAX, ""
        for start in range(0, len(made), BATCH_MESSAGES_MAX):
            part = made[start : start + BATCH_MESSAGES_MAX]
            left = until - time.monotonic()
            if down or left < 1:
                outcomes |= {each.member.position: Outcome("deferred", "", "Not posted yet") for each, _ in part}
                continue
            said, down = self._post(part, left)
            outcomes |= said
        return Handed([outcomes[member.position] for member in members], down)

    def _message(self, piece: Piece) -> dict[str, Any]:
        note = self._brief.render(piece.fields, unsubscribe_url=piece.unsubscribe_url)
        return {
            "id": f"msg_{piece.token}",
            "userId": piece.member.address,
            "title": note.title,
            "text": note.text,
            "html": note.html,
            "unsubscribeUrl": piece.unsubscribe_url,
        }

    def _post(self, part: list[tuple[Piece, dict[str, Any]]], seconds: float) -> tuple[dict[int, Outcome], str]:
        """Outcomes by position, and why the endpoint seems unable to take anything, if so."""
        assert self._connection is not None
        name = f"bat_{part[0][0].token}"  # a retry of the same people has another first attempt, so its own name
        body = json.dumps(
            {
                "id": name,
                "type": EVENT,
                "job": self._job.public_id,
                "campaign": self._job.subject,
                "environment": self._scope.environment,
                "messages": [message for _, message in part],
            },
            ensure_ascii=False,
        ).encode()
        name = f"{name}.{part[0][0].member.attempts}"
        answer = post(
            url=self._connection.config["url"],
            body=body,
            headers=signed(name, body, self._connection.secret, self._scope, int(time.time())),
            scope=self._scope,
            sessions=self._sessions,
            seconds=seconds,
            answer_bytes=ANSWER_BYTES_MAX,
        )
        return read_answer(answer, {message["id"]: piece.member.position for piece, message in part})


def signed(name: str, body: bytes, secret: str, scope: Scope, timestamp: int) -> dict[str, str]:
    """Lamba's headers and those of Standard Webhooks over the same bytes."""
    moment = str(timestamp)
    return {
        "Content-Type": "application/json",
        "User-Agent": "Lamba-Campaigns-Webhooks/1",
        "X-Lamba-Event": EVENT,
        "X-Lamba-Tenant": scope.workspace,
        "X-Lamba-Timestamp": moment,
        "X-Lamba-Signature": lamba_v1_signature(secret=secret, timestamp=moment, body=body),
        "webhook-id": name,
        "webhook-timestamp": moment,
        "webhook-signature": standard_signature(secret=secret, message_id=name, timestamp=moment, body=body),
    }


def read_answer(answer: Answer, positions: Mapping[str, int]) -> tuple[dict[int, Outcome], str]:
    """What an answer says about the messages (id -> position) that were posted, and why the endpoint is down, if so."""

    def all_of(kind: Kind, detail: str) -> dict[int, Outcome]:
        code = str(answer.code or "")
        return {position: Outcome(kind, code, detail[:DETAIL_CHARS_MAX]) for position in positions.values()}

    if not answer.sent:
        return all_of("deferred", answer.detail), answer.detail
    if answer.code in BUSY:
        return all_of("deferred", answer.detail), answer.detail
    if answer.code in REFUSED_WHOLE:
        return all_of("deferred", answer.detail), f"{answer.detail} Nothing of the batch was taken."
    if not answer.ok:
        return all_of("uncertain", answer.detail), answer.detail
    named = _results(answer.excerpt)
    if named is None:
        return all_of("uncertain", "Answered 2xx without saying what became of whom."), ""
    missing = Outcome("uncertain", str(answer.code), "The answer does not say what became of this message.")
    return {position: named.get(name, missing) for name, position in positions.items()}, ""


def _results(text: str) -> dict[str, Outcome] | None:
    """`{"results": [{"id", "status", "code"?, "detail"?}]}`; None for anything else. The first word on an id counts."""
    try:
        document = json.loads(text)
        rows = document["results"]
        assert isinstance(rows, list)
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
        return None
    found: dict[str, Outcome] = {}
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            continue
        kind = _KINDS.get(str(row.get("status")))
        if kind is not None:
            said = str(row.get("detail") or "")[:DETAIL_CHARS_MAX], str(row.get("code") or "")[:40]
            found.setdefault(row["id"], Outcome(kind, said[1].replace("\x00", ""), said[0].replace("\x00", "")))
    return found
