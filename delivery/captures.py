"""The capture mailbox as a list, newest first, without loading the messages themselves."""

from collections.abc import Sequence

from delivery.models import CapturedMail, SendJob
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
