"""Shapes of audit events, verifications and books in REST."""

from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework import serializers

from audit.actions import sentence
from audit.models import AuditEntry, Book, Break
from audit.reconciliation import TYPES
from lamba_campaigns.web.rest import StrictSerializer


class ActorResponse(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=["user", "api_key", "system", "webhook"])
    id = serializers.CharField()
    label = serializers.CharField(allow_null=True, help_text="null once erased.")  # type: ignore[assignment]
    origin = serializers.ChoiceField(choices=["console", "api", "webhook", "system"])
    ip = serializers.CharField(allow_null=True)


class SubjectResponse(serializers.Serializer[Any]):
    type = serializers.CharField(help_text="campaign, template, audience, …")
    id = serializers.CharField()
    name = serializers.CharField(allow_null=True)


class AuditEventResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="ent_…")
    sequence = serializers.IntegerField(help_text="1, 2, 3 … without gaps in the chain.")
    action = serializers.CharField(help_text="Such as campaign.launched.")
    sentence = serializers.CharField()
    outcome = serializers.ChoiceField(choices=["done", "refused"])
    actor = ActorResponse()
    subject = SubjectResponse()
    workspaceId = serializers.CharField()
    projectId = serializers.CharField(allow_null=True)
    environment = serializers.CharField(allow_null=True)
    traceId = serializers.CharField()
    before = serializers.DictField(allow_null=True)
    after = serializers.DictField(allow_null=True)
    reason = serializers.CharField()
    occurredAt = serializers.DateTimeField()
    hash = serializers.CharField(help_text="SHA-256, hex. The next entry follows from it.")


class AuditEventPage(serializers.Serializer[Any]):
    items = AuditEventResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class VerificationRequest(StrictSerializer):
    ledger = serializers.BooleanField(default=False, help_text="Read the ledger too, every posting of it.")


class FlawResponse(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(
        choices=["edited", "removed", "inserted", "reordered", "forked", "truncated", "forged"]
    )
    sequence = serializers.IntegerField()
    detail = serializers.CharField()


class ChainResponse(serializers.Serializer[Any]):
    chain = serializers.CharField()
    ok = serializers.BooleanField()
    entries = serializers.IntegerField()
    checkpoints = serializers.IntegerField()
    erased = serializers.IntegerField(help_text="Entries whose names were erased; their hashes hold.")
    emptied = serializers.IntegerField(help_text="Entries whose content retention removed; their hashes hold.")
    head = serializers.CharField()
    flaw = FlawResponse(allow_null=True)


class LedgerResponse(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    postings = serializers.IntegerField()
    batches = serializers.IntegerField()
    unsealed = serializers.IntegerField()
    flaw = FlawResponse(allow_null=True)


class VerificationResponse(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    verifiedAt = serializers.DateTimeField()
    chain = ChainResponse()
    ledger = LedgerResponse(allow_null=True)


class CheckpointResponse(serializers.Serializer[Any]):
    sequence = serializers.IntegerField()
    hash = serializers.CharField()
    note = serializers.CharField(help_text="The signature is over the UTF-8 bytes of this text.")
    signature = serializers.CharField(help_text="Ed25519, hex.")
    key = serializers.CharField(help_text="The public key, hex.")
    keyId = serializers.CharField()
    signedAt = serializers.DateTimeField()


class CheckpointPage(serializers.Serializer[Any]):
    items = CheckpointResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class BreakResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="brk_…")
    type = serializers.ChoiceField(choices=list(TYPES))
    source = serializers.CharField(help_text="The side that disagrees with the ledger.")  # type: ignore[assignment]
    account = serializers.CharField()
    quantity = serializers.IntegerField()
    detail = serializers.CharField()
    state = serializers.CharField(help_text="open or resolved.")
    openedAt = serializers.DateTimeField()
    owner = serializers.CharField(allow_blank=True, help_text="Who looks into it; empty while nobody does.")
    resolvedAt = serializers.DateTimeField(allow_null=True)
    resolvedBy = serializers.CharField()
    reason = serializers.CharField()


class BookResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="bok_…")
    subject = serializers.CharField(help_text="The campaign.")
    planned = serializers.IntegerField()
    accounts = serializers.DictField(child=serializers.IntegerField(), help_text="As of reconciledAt.")
    residual = serializers.IntegerField(allow_null=True, help_text="Planned minus the sum of all accounts.")
    score = serializers.IntegerField(allow_null=True, help_text="0 to 100.")
    openBreaks = serializers.IntegerField()
    breaks = BreakResponse(many=True)
    openedAt = serializers.DateTimeField()
    reconciledAt = serializers.DateTimeField(allow_null=True)
    closedAt = serializers.DateTimeField(allow_null=True)


class BookPage(serializers.Serializer[Any]):
    items = BookResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class BreakExplanation(StrictSerializer):
    reason = serializers.CharField(max_length=2_000, help_text="Why the two sides differ.")


class AssignmentBody(StrictSerializer):
    """The address says it all."""


def event_json(entry: AuditEntry) -> dict[str, Any]:
    words = getattr(entry, "label", None)
    return {
        "id": entry.public_id,
        "sequence": entry.sequence,
        "action": entry.action,
        "sentence": sentence(entry.action, entry.outcome),
        "outcome": entry.outcome,
        "actor": {
            "kind": entry.actor_kind,
            "id": entry.actor_id,
            "label": words and words.actor_label,
            "origin": entry.origin,
            "ip": words and words.actor_ip,
        },
        "subject": {"type": entry.subject_type, "id": entry.subject_id, "name": words and words.subject_name},
        "workspaceId": entry.workspace_public_id,
        "projectId": entry.project_public_id or None,
        "environment": entry.environment_name or None,
        "traceId": entry.trace_id,
        "before": entry.before,
        "after": entry.after,
        "reason": entry.reason,
        "occurredAt": entry.occurred_at,
        "hash": bytes(entry.hash).hex(),
    }


def break_json(row: Break) -> dict[str, Any]:
    return {
        "id": row.public_id,
        **row.as_json(),
        "detail": row.detail,
        "state": row.state,
        "openedAt": row.opened_at,
        "owner": row.owner,
        "resolvedAt": row.resolved_at,
        "resolvedBy": row.resolved_by,
        "reason": row.reason,
    }


def book_json(book: Book, breaks: Mapping[int, Sequence[Break]]) -> dict[str, Any]:
    found = breaks.get(book.job_id, ())
    return {
        "id": book.public_id,
        "subject": book.subject,
        "planned": book.planned,
        "accounts": book.accounts,
        "residual": book.residual,
        "score": book.score,
        "openBreaks": sum(row.state == "open" for row in found),
        "breaks": [break_json(row) for row in found],
        "openedAt": book.opened_at,
        "reconciledAt": book.reconciled_at,
        "closedAt": book.closed_at,
    }
