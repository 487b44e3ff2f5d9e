"""The capture server: takes sandbox mail instead of the world and stores it as received, where its environment sees it.

Which environment a message belongs to stands, sealed, in its Message-ID. A message without one of ours is refused.
The 250 goes out after the row is durable; messages that arrive together share a commit.
"""

import asyncio
import email
import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.db import IntegrityError, close_old_connections, connection
from django.utils import timezone

from delivery import tokens
from delivery.models import CapturedMail

MESSAGE_BYTES_MAX = 10 * 1024 * 1024
BATCH_MESSAGES_MAX = 500
ADDRESS_CHARS_MAX = 254
SUBJECT_CHARS_MAX = 500
REFUSED = "550 5.7.1 Only messages of this installation are captured: the Message-ID is not one of ours"


@dataclass(slots=True)
class _Waiting:
    """A parsed message, and whom to tell when it is stored."""

    row: CapturedMail
    loop: asyncio.AbstractEventLoop
    stored: "asyncio.Future[str]"


class CaptureHandler:
    """What aiosmtpd calls. Parsing happens here, storing in one writer thread."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_forever, name="capture-writer", daemon=True)
        self._writer.start()

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        raw = envelope.original_content or b""
        rows = list(read(raw, sender=envelope.mail_from or "", recipients=envelope.rcpt_tos, now=timezone.now()))
        if not rows:
            return REFUSED
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(row, loop, loop.create_future()) for row in rows]
        for each in waiting:
            self._queue.put(each)
        answers = [await each.stored for each in waiting]
        return next((answer for answer in answers if not answer.startswith("250")), answers[0])

    def close(self) -> None:
        """Store what waits, then stop."""
        self._queue.put(None)
        self._writer.join(timeout=10)

    def _write_forever(self) -> None:
        running = True
        while running:
            batch = [self._queue.get()]
            while len(batch) < BATCH_MESSAGES_MAX and not self._queue.empty():
                batch.append(self._queue.get())
            running = None not in batch
            self._store([each for each in batch if each is not None])
        connection.close()

    def _store(self, batch: list[_Waiting]) -> None:
        close_old_connections()
        answer = "250 2.0.0 Captured"
        try:
            CapturedMail.objects.bulk_create([each.row for each in batch])
        except IntegrityError:
            answer = "550 5.7.1 This environment does not exist"
        except Exception as problem:  # the sender keeps the message and tries again
            answer = f"451 4.3.0 Not stored: {type(problem).__name__}"
        for each in batch:
            each.loop.call_soon_threadsafe(_tell, each.stored, answer)


def read(raw: bytes, *, sender: str, recipients: Iterable[str], now: datetime) -> Iterable[CapturedMail]:
    """A row for each recipient; none when the Message-ID is not one of ours."""
    head = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    message: EmailMessage = email.message_from_bytes(head, policy=policy.default)
    message_id = _header(message, "Message-ID")
    reference = tokens.read_message_id(message_id)
    if reference is None:
        return
    for recipient in recipients:
        yield CapturedMail(
            environment_id=reference.environment_id,
            job_id=reference.job_id,
            position=reference.number,
            message_id=message_id[:ADDRESS_CHARS_MAX],
            sender=sender[:ADDRESS_CHARS_MAX],
            recipient=recipient[:ADDRESS_CHARS_MAX],
            subject=_header(message, "Subject")[:SUBJECT_CHARS_MAX],
            raw=raw,
            received_at=now,
        )


def controller(*, host: str, port: int) -> tuple[Controller, CaptureHandler]:
    """A server that is ready to start, and its handler."""
    handler = CaptureHandler()
    return (
        Controller(
            handler, hostname=host, port=port, data_size_limit=MESSAGE_BYTES_MAX, enable_SMTPUTF8=True, ident="Capture"
        ),
        handler,
    )


def _header(message: Any, name: str) -> str:
    return str(message.get(name, "")).replace("\x00", "").strip()


def _tell(stored: "asyncio.Future[str]", answer: str) -> None:
    if not stored.done():
        stored.set_result(answer)
