"""The capture mailbox as a list, newest first, without loading the messages themselves."""

from collections.abc import Sequence
from datetime import datetime

from delivery.models import CapturedMail, SendJob
from lamba_campaigns.lib.sql import durable
from projects.scoping import Scope


def newest(*, scope: Scope, recipient: str, before: int, limit: int) -> list[CapturedMail]:
    """Up to `limit` + 1 messages older than the key `before` (0: from the newest), to one address if given."""
    rows = CapturedMail.objects.within(scope).defer("raw").order_by("-pk")
    if recipient:
        rows = rows.filter(recipient__iexact=recipient)
    if before:
        rows = rows.filter(pk__lt=before)
    return list(rows[: limit + 1])


def jobs_of(*, scope: Scope, rows: Sequence[CapturedMail]) -> dict[int, SendJob]:
    """The jobs that these messages belong to."""
    wanted = {row.job_id for row in rows}
    return {job.pk: job for job in SendJob.objects.within(scope).filter(pk__in=wanted)}


def keep_texts(
    *, scope: Scope, job_id: int, sender: str, texts: Sequence[tuple[int, str, str, str]], now: datetime
) -> None:
    """SMS that a sandbox did not send, beside its mail: (position, token, number, text) of each. Kept once."""
    with durable():
        there = set(
            CapturedMail.objects.within(scope)
            .filter(job_id=job_id, position__in=[position for position, *_ in texts])
            .values_list("position", flat=True)
        )
        CapturedMail.objects.bulk_create(
            CapturedMail(
                environment_id=scope.environment_id,
                job_id=job_id,
                position=position,
                message_id=f"<{token}@sms>",
                sender=sender,
                recipient=number,
                subject=text.partition("\n")[0][:120],
                raw=_as_mail(sender, number, text),
                received_at=now,
            )
            for position, token, number, text in texts
            if position not in there
        )


def _as_mail(sender: str, number: str, text: str) -> bytes:
    head = f"From: {sender}\r\nTo: {number}\r\nSubject: SMS\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return f"{head}Content-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n".encode()
