"""What was really sent to somebody, built again byte for byte from what was frozen.

Nothing of a message is stored when it leaves. Its job keeps the content, its snapshot the person's fields, and the
ledger the moment at which its micro-batch was claimed, which is its Date.
"""

import json
from datetime import datetime

from audit.models import LedgerEntry
from delivery import statements, tokens
from delivery.accounts import Account
from delivery.content.composing import Composer, composer_of
from delivery.content.mime import Envelope
from delivery.models import Message, SendJob
from delivery.unsubscribing import link
from lamba_campaigns.lib.errors import Conflict, NotFound
from projects.scoping import Scope

HANDED_OVER = frozenset(
    {Account.ACCEPTED, Account.DELIVERED, Account.BOUNCED, Account.REJECTED, Account.UNCERTAIN, Account.DEFERRED}
)


class NotSent(Conflict):
    """Nothing left for this person, or the channel keeps its own copy."""

    code = "NOT_SENT"


def message_of(*, scope: Scope, job: SendJob, position: int) -> Message:
    """The message at this position of the job, or NotFound."""
    found = Message.objects.filter(environment_id=scope.environment_id, job_id=job.pk, position=position).first()
    if found is None:
        raise NotFound("This job has no message at this place.", next_step="List its messages.")
    return found


def outcome_of(message: Message) -> str:
    """The ledger's name of the account that it stands in."""
    return Account(message.account).ledger


def sent(*, scope: Scope, job: SendJob, position: int) -> Envelope:
    """The message as it was handed over last. NotSent when nothing left, or by a channel that is not mail."""
    message = message_of(scope=scope, job=job, position=position)
    if job.channel != "email":
        raise NotSent("Only mail is built again; this channel keeps what it showed.")
    if Account(message.account) not in HANDED_OVER or message.attempts < 1:
        raise NotSent(f"Nothing was handed over for {message.address}.", next_step="Look at the outcome to see why.")
    where = {"environment_id": scope.environment_id, "job_id": job.pk}
    composer: Composer = composer_of(scope=scope, job=job)
    return composer.envelope(
        position=position,
        recipient=message.address,
        fields=_fields(scope, job, position),
        token=tokens.token(position=position, **where),
        unsubscribe_url=link(tokens.unsubscribe_token(person_id=message.person_id, **where)),
        date=composer.dated(_claimed_at(scope, job, position)),
    )


def _fields(scope: Scope, job: SendJob, position: int) -> dict[str, object]:
    where = {
        "environment": scope.environment_id,
        "month": job.snapshot_month,
        "snapshot": job.snapshot_id,
        "position": position,
    }
    found = statements.rows("frozen_fields", where)
    if not found:
        raise NotSent("The audience of this campaign is past its retention.", next_step="Its ledger stays.")
    fields: dict[str, object] = json.loads(found[0][0]) if isinstance(found[0][0], str) else found[0][0] or {}
    return fields


def _claimed_at(scope: Scope, job: SendJob, position: int) -> datetime:
    """When the micro-batch of the last attempt was claimed, by its posting."""
    where = {"environment": scope.environment_id, "job": job.pk, "position": position}
    for number, is_run in reversed(statements.rows("claimed_by", where)):
        entries = LedgerEntry.objects.filter(
            environment_id=scope.environment_id,
            job_id=job.pk,
            posting_key__startswith=f"c{number}:p",
            posting_key__endswith=":in_flight",
        ).values_list("posting_key", "occurred_at")
        windows = sorted((int(key.split(":")[1][1:]), moment) for key, moment in entries)
        for last, moment in windows:
            if not is_run or last >= position:
                return moment
    raise NotSent("The ledger has no claim for this message.")
