"""Shapes of jobs, messages, suppressions and captured mail in REST."""

from datetime import datetime
from typing import Any, get_args

from rest_framework import serializers

from delivery.accounts import ACCOUNT_NAMES
from delivery.listing import Row
from delivery.models import CapturedMail, SendJob, Suppression
from delivery.progress import Progress, Stuck, StuckCode
from lamba_campaigns.web.rest import StrictSerializer

POSITIONS_MAX = 10_000
POSITION_MAX = 2**31 - 1
REASON_CHARS_MAX = 500


def moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")


class ResolveRequest(StrictSerializer):
    decision = serializers.ChoiceField(
        choices=["accepted", "resend", "failed"], help_text="They were handed over; send them once more; give them up."
    )
    positions = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=POSITION_MAX),
        required=False,
        min_length=1,
        max_length=POSITIONS_MAX,
        help_text="Absent: all uncertain messages of the job.",
    )
    reason = serializers.CharField(max_length=REASON_CHARS_MAX, required=False, default="")


class RetryRequest(StrictSerializer):
    reason = serializers.CharField(max_length=REASON_CHARS_MAX, required=False, default="")


class MovedResponse(serializers.Serializer[Any]):
    messages = serializers.IntegerField(help_text="How many moved.")


class WarningResponse(serializers.Serializer[Any]):
    rule = serializers.CharField()
    domain = serializers.CharField(help_text="Of the mailboxes; empty for all messages of the job.")
    detail = serializers.CharField()
    at = serializers.DateTimeField()


class StuckResponse(serializers.Serializer[Any]):
    code = serializers.ChoiceField(choices=list(get_args(StuckCode)))
    detail = serializers.CharField()
    nextStep = serializers.CharField()
    until = serializers.DateTimeField(allow_null=True)


class MinuteResponse(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    accepted = serializers.IntegerField()
    deferred = serializers.IntegerField()
    rejected = serializers.IntegerField()
    failed = serializers.IntegerField()
    uncertain = serializers.IntegerField()
    excluded = serializers.IntegerField()


class JobResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="job_…")
    subject = serializers.CharField(help_text="What it sends for: cmp_…")
    title = serializers.CharField()
    channel = serializers.CharField()
    state = serializers.CharField()
    snapshot = serializers.CharField(help_text="snp_…")
    ratePerMinute = serializers.IntegerField(allow_null=True)
    planned = serializers.IntegerField()
    accounts = serializers.DictField(child=serializers.IntegerField(), help_text="They add up to planned.")
    excludedByReason = serializers.DictField(child=serializers.IntegerField())
    overlays = serializers.DictField(child=serializers.IntegerField())
    retrying = serializers.IntegerField(help_text="The part of deferred that waits for our own next attempt.")
    pacePerMinute = serializers.IntegerField()
    finishesAt = serializers.DateTimeField(allow_null=True)
    whyStuck = StuckResponse(allow_null=True)
    warnings = WarningResponse(many=True, help_text="Warn limits of stop rules that were passed, each once.")
    perMinute = MinuteResponse(many=True)
    createdAt = serializers.DateTimeField()
    finishedAt = serializers.DateTimeField(allow_null=True)


class MessageResponse(serializers.Serializer[Any]):
    position = serializers.IntegerField()
    person = serializers.CharField(help_text="per_…, empty after erasure")
    address = serializers.CharField()
    account = serializers.ChoiceField(choices=list(ACCOUNT_NAMES))
    attempts = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    lastEventAt = serializers.DateTimeField(allow_null=True)
    nextAttemptAt = serializers.DateTimeField(allow_null=True)
    overlays = serializers.ListField(child=serializers.CharField())


class MessagePage(serializers.Serializer[Any]):
    items = MessageResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class SuppressionRequest(StrictSerializer):
    address = serializers.CharField(max_length=320)
    channel = serializers.CharField(max_length=20, default="email")
    reason = serializers.CharField(
        source="detail", max_length=300, required=False, default="", help_text="Why, in your words."
    )


class SuppressionResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="sup_…")
    address = serializers.CharField()
    channel = serializers.CharField()
    reason = serializers.ChoiceField(choices=list(Suppression.Reason.values))
    detail = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field of that name is what we mean
    createdAt = serializers.DateTimeField()
    createdBy = serializers.CharField()


class SuppressionPage(serializers.Serializer[Any]):
    items = SuppressionResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class CapturedResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="cap_…")
    messageId = serializers.CharField()
    job = serializers.CharField(help_text="job_…, empty when it is unknown here")
    position = serializers.IntegerField()
    sender = serializers.CharField()
    recipient = serializers.CharField()
    subject = serializers.CharField()
    receivedAt = serializers.DateTimeField()


class CapturedPage(serializers.Serializer[Any]):
    items = CapturedResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class CapturedDetailResponse(CapturedResponse):
    raw = serializers.CharField(help_text="The message as it was received.")


def job_json(job: SendJob, progress: Progress) -> dict[str, Any]:
    return {
        "id": job.public_id,
        "subject": job.subject,
        "title": job.title,
        "channel": job.channel,
        "state": job.state,
        "snapshot": job.snapshot.public_id,
        "ratePerMinute": job.rate_per_minute,
        "planned": progress.planned,
        "accounts": progress.accounts,
        "excludedByReason": progress.excluded_by_reason,
        "overlays": progress.overlays,
        "retrying": progress.retrying,
        "pacePerMinute": progress.pace,
        "finishesAt": moment(progress.finishes_at),
        "whyStuck": _stuck_json(progress.why_stuck),
        "warnings": job.warnings,
        "perMinute": [
            {
                "at": moment(each.at),
                "accepted": each.accepted,
                "deferred": each.deferred,
                "rejected": each.rejected,
                "failed": each.failed,
                "uncertain": each.uncertain,
                "excluded": each.excluded,
            }
            for each in progress.per_minute
        ],
        "createdAt": moment(job.created_at),
        "finishedAt": moment(job.finished_at),
    }


def _stuck_json(stuck: Stuck | None) -> dict[str, Any] | None:
    if stuck is None:
        return None
    return {"code": stuck.code, "detail": stuck.detail, "nextStep": stuck.next_step, "until": moment(stuck.until)}


def message_json(row: Row) -> dict[str, Any]:
    return {
        "position": row.position,
        "person": row.person,
        "address": row.address,
        "account": row.account,
        "attempts": row.attempts,
        "code": row.code,
        "detail": row.detail,
        "lastEventAt": moment(row.last_event_at),
        "nextAttemptAt": moment(row.next_attempt_at),
        "overlays": list(row.overlays),
    }


def suppression_json(row: Suppression) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "address": row.address,
        "channel": row.channel,
        "reason": row.reason,
        "detail": row.detail,
        "source": row.source,
        "createdAt": moment(row.created_at),
        "createdBy": row.created_by,
    }


def captured_json(row: CapturedMail, job: str) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "messageId": row.message_id,
        "job": job,
        "position": row.position,
        "sender": row.sender,
        "recipient": row.recipient,
        "subject": row.subject,
        "receivedAt": moment(row.received_at),
    }
