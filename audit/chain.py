"""record(): one decision, chained by hash in the caller's own transaction. No commit, no entry; no entry, no commit."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from audit import redaction
from audit.actions import ACTIONS
from audit.models import AuditEntry
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.canonical import canonical_bytes
from lamba_campaigns.lib.ids import new_id
from projects.models import Workspace
from projects.scoping import Actor, Scope

GENESIS = bytes(32)  # the previous hash of a chain's first entry
CONTENT_VERSION = 1
REASON_LENGTH_MAX = 2_000
PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Subject:
    """What was acted on. `name` is for people and may be erased later; `type` and `id` stay."""

    type: str
    id: str
    name: str = ""


def record(
    *,
    scope: Scope | None,
    actor: Actor,
    action: str,
    subject: Subject,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    outcome: Literal["done", "refused"] = "done",
    workspace_id: int | None = None,
) -> AuditEntry:
    """Append one entry to the chain of `scope`, or of the workspace, or of the platform when both are None.

    Holds the chain's row until the caller commits: take it last, just before `outbox.publish`.
    """
    sql.require_transaction()
    assert action in ACTIONS, f"{action!r} is no action of audit/actions.py"
    row = _columns(scope, actor, action, subject, now, reason, outcome, workspace_id)
    words = label_words(actor.label[:200], actor.ip[:45], subject.name[:300])
    salt = secrets.token_bytes(16)
    changed = {"before": redaction.change(before), "after": redaction.change(after)}
    halves = _halves(content(row | changed | {"sequence": 0}, commitment=commitment(salt, words)))
    key = chain_key(scope=scope, workspace_id=workspace_id)
    found = _append(row | words | halves | {"key": key, "salt": salt}, scope, workspace_id)
    names = ("id", "chain_id", "sequence", "previous_hash", "canonical", "content_hash", "hash")
    written = {
        name: bytes(each) if isinstance(each, memoryview) else each for name, each in zip(names, found, strict=True)
    }
    return AuditEntry(**row, **written)


def chain_key(*, scope: Scope | None, workspace_id: int | None = None) -> str:
    """The name of the chain that record() would write to."""
    if scope is not None:
        return f"environment:{scope.environment_id}"
    return PLATFORM if workspace_id is None else f"workspace:{workspace_id}"


def link_hash(previous: bytes, sequence: int, content_hash: bytes) -> bytes:
    """SHA-256 over previous hash (32 bytes), sequence (8, big endian) and content hash (32): fixed lengths, no seams.

    It needs the content's hash only, so a payload that retention removed leaves a chain that still verifies.
    """
    return hashlib.sha256(previous + sequence.to_bytes(8, "big") + content_hash).digest()


def content(row: Mapping[str, Any], *, commitment: str) -> dict[str, Any]:
    """What is hashed: the columns that repeat it, and before and after. `verify.sql` builds the same text."""
    return {
        "version": CONTENT_VERSION,
        "id": row["public_id"],
        "sequence": row["sequence"],
        "occurredAt": redaction.timestamp(row["occurred_at"]),
        "action": row["action"],
        "outcome": row["outcome"],
        "actor": {"kind": row["actor_kind"], "id": row["actor_id"], "origin": row["origin"]},
        "subject": {"type": row["subject_type"], "id": row["subject_id"]},
        "workspace": row["workspace_public_id"],
        "project": row["project_public_id"],
        "environment": row["environment_name"],
        "trace": row["trace_id"],
        "before": row["before"],
        "after": row["after"],
        "reason": row["reason"],
        "labels": commitment,
    }


def label_words(actor_label: str, actor_ip: str, subject_name: str) -> dict[str, str]:
    return {"actor_label": actor_label, "actor_ip": actor_ip, "subject_name": subject_name.replace("\x00", "")}


def commitment(salt: bytes, words: Mapping[str, str]) -> str:
    """HMAC-SHA256 of the erasable words. Without the salt it says nothing about them."""
    return hmac.new(salt, canonical_bytes(dict(words)), hashlib.sha256).hexdigest()


def _columns(
    scope: Scope | None,
    actor: Actor,
    action: str,
    subject: Subject,
    now: datetime,
    reason: str,
    outcome: str,
    workspace_id: int | None,
) -> dict[str, Any]:
    return {
        "public_id": new_id("ent"),
        "environment_id": scope.environment_id if scope else None,
        "workspace_public_id": scope.workspace if scope else _workspace(workspace_id),
        "project_public_id": scope.project if scope else "",
        "environment_name": scope.environment if scope else "",
        "actor_kind": actor.kind,
        "actor_id": actor.id[:64],
        "origin": actor.origin,
        "action": action,
        "subject_type": subject.type,
        "subject_id": redaction.scrub(subject.id)[:64],
        "trace_id": actor.trace_id[:64],
        "reason": redaction.scrub(reason)[:REASON_LENGTH_MAX],
        "outcome": outcome,
        "occurred_at": now,
    }


def _workspace(workspace_id: int | None) -> str:
    return "" if workspace_id is None else Workspace.objects.values_list("public_id", flat=True).get(pk=workspace_id)


def _halves(said: Mapping[str, Any]) -> dict[str, bytes]:
    """The canonical bytes of `said` around its number, which only the chain knows. JCS sorts keys, so they join."""
    before = canonical_bytes({name: value for name, value in said.items() if name < "sequence"})
    after = canonical_bytes({name: value for name, value in said.items() if name > "sequence"})
    return {"before_number": before[:-1] + b',"sequence":', "after_number": b"," + after[1:]}


def _append(params: Mapping[str, Any], scope: Scope | None, workspace_id: int | None) -> sql.Row:
    found = sql.one("audit", "append_entry", params)
    if found is None:
        owner = {
            "environment_id": scope.environment_id if scope else None,
            "workspace_id": workspace_id if scope is None else None,
        }
        sql.execute("audit", "create_chain", {"key": params["key"], "head": GENESIS, **owner})
        found = sql.one("audit", "append_entry", params)
    assert found is not None, "the chain was just made, and chains are never deleted"
    return found
