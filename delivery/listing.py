"""Messages of one job as lists: by account, by address, by keyset. Reads the members themselves where no message exists
yet (pending) or never will (cancelled)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from audiences.reasons import LABELS, REASONS
from delivery import statements
from delivery.accounts import EXCEPTIONAL, Account, Overlay
from delivery.models import CapturedMail, JobCounters, SendJob
from lamba_campaigns.lib.errors import NotFound
from projects.scoping import Scope

PAGE_ROWS = 50
LEFT_OUT_KEY = 2**31  # keyset of people that the snapshot left out (positions -1, -2, …), behind all positions


@dataclass(frozen=True, slots=True)
class Row:
    """One person of a job. `person` is the public id, or nothing when the person was erased."""

    position: int
    person: str
    address: str
    account: str
    attempts: int
    code: str
    detail: str
    last_event_at: datetime | None
    next_attempt_at: datetime | None
    overlays: tuple[str, ...]


def messages(
    *, scope: Scope, job: SendJob, account: Account | None = None, after: int = 0, limit: int = PAGE_ROWS
) -> tuple[list[Row], int | None]:
    """A page of messages in order of position, and the key to ask after for the next one."""
    if account is Account.PENDING:
        name = "members_without_message"
    elif account is Account.CANCELLED:
        name = "cancelled_people"
    elif account is Account.EXCLUDED:
        name = "excluded_people"
    elif account in EXCEPTIONAL:
        name = "messages_of_exception"
    elif account is not None:
        name = "messages_of_account"
    else:
        name = "messages_of_job"
    params = {
        "environment": scope.environment_id,
        "job": job.pk,
        "month": job.snapshot_month,
        "snapshot": job.snapshot_id,
        "account": None if account is None else int(account),
        "after": after,
        "most": limit + 1,
        "left_out": LEFT_OUT_KEY,
        "reasons": [LABELS[REASONS[number]] for number in sorted(REASONS)],
    }
    found = [_row(row) for row in statements.rows(name, params)]
    return found[:limit], _key(found[limit - 1]) if len(found) > limit else None


def by_address(*, scope: Scope, job: SendJob, address: str) -> list[Row]:
    """The messages of everybody who has this address now, in this job."""
    params = {"environment": scope.environment_id, "job": job.pk, "address": address.strip().lower()}
    return [_row(row) for row in statements.rows("messages_of_address", params)]


def counts(*, scope: Scope, job: SendJob) -> dict[str, int]:
    """Account name -> messages, from the counters row."""
    row = JobCounters.objects.within(scope).get(pk=job.pk)
    return {account.ledger: getattr(row, account.ledger) for account in Account}


def captured(*, scope: Scope, public_id: str) -> CapturedMail:
    """The captured message with this id, or NotFound."""
    found: CapturedMail | None = CapturedMail.objects.within(scope).filter(public_id=public_id).first()
    if found is None:
        raise NotFound(f"There is no captured message {public_id} in this environment.")
    return found


def _key(row: Row) -> int:
    return row.position if row.position > 0 else LEFT_OUT_KEY - row.position


def _row(found: Sequence[object]) -> Row:
    position, person, address, account, attempts, code, detail, last, following, overlays = found
    return Row(
        position=position,  # type: ignore[arg-type]
        person=str(person or ""),
        address=str(address),
        account=Account(account).ledger,  # type: ignore[arg-type]
        attempts=attempts,  # type: ignore[arg-type]
        code=str(code),
        detail=str(detail),
        last_event_at=last,  # type: ignore[arg-type]
        next_attempt_at=following,  # type: ignore[arg-type]
        overlays=tuple(each.column for each in Overlay if int(str(overlays)) & each),
    )
