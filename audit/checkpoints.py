"""Every hour each chain is signed as it stands, also when nothing happened: a missing hour is a sign as well.

Audit stands below webhooks, so it can't publish. Whoever can registers itself with `on_signed`.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from django.conf import settings
from django.db.models import Exists, OuterRef

from audit import chain, redaction, signatures
from audit.models import Chain, Checkpoint
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.canonical import canonical_bytes
from projects import access
from projects.scoping import SYSTEM, Scope


class Listener(Protocol):
    def __call__(self, *, scope: Scope | None, data: Mapping[str, Any], now: datetime) -> object: ...


_listeners: list[Listener] = []


def on_signed(listener: Listener) -> Listener:
    """Call `listener(scope=…, data=…, now=…)` inside the transaction of every new checkpoint. `scope` is None for the
    chains of workspaces and of the platform."""
    if listener not in _listeners:
        _listeners.append(listener)
    return listener


def sign(*, chain_id: int, now: datetime) -> Checkpoint:
    """The chain's present length and head are signed, kept, noted in the chain itself and told to the listeners."""
    with sql.durable():
        row = Chain.objects.select_for_update().get(pk=chain_id)
        note = _note(row, now)
        signed = canonical_bytes(note)
        found = Checkpoint.objects.create(
            chain=row,
            environment_id=row.environment_id,
            sequence=row.sequence,
            note=signed,
            key_id=signatures.key_id(),
            signature=signatures.sign(signed),
            signed_at=now,
        )
        scope = access.scope_by_id(row.environment_id) if row.environment_id else None
        chain.record(
            scope=scope,
            workspace_id=row.workspace_id,
            actor=SYSTEM,
            action="checkpoint.signed",
            subject=chain.Subject("checkpoint", str(found.pk)),
            now=now,
            after={"sequence": note["sequence"], "head": note["head"], "key": found.key_id},
        )
        for listener in _listeners:
            listener(scope=scope, data=as_json(found), now=now)
        return found


def chains_to_sign(*, before: datetime) -> list[int]:
    """Primary keys of the chains without a checkpoint since `before`, so that a task that runs twice signs once."""
    fresh = Checkpoint.objects.filter(chain=OuterRef("pk"), signed_at__gt=before)
    return list(Chain.objects.filter(~Exists(fresh)).order_by("pk").values_list("pk", flat=True))


def as_json(checkpoint: Checkpoint) -> dict[str, Any]:
    """The checkpoint as it is published. `signature` is over the UTF-8 bytes of `note`; `key` is the public key."""
    note = bytes(checkpoint.note)
    return {
        "sequence": checkpoint.sequence,
        "hash": json.loads(note)["head"],
        "signature": bytes(checkpoint.signature).hex(),
        "key": signatures.public_key().hex(),
        "keyId": checkpoint.key_id,
        "note": note.decode(),
        "signedAt": redaction.timestamp(checkpoint.signed_at),
    }


def _note(row: Chain, now: datetime) -> dict[str, Any]:
    newest = Checkpoint.objects.filter(chain=row).order_by("-pk").first()
    return {
        "origin": settings.INSTALLATION_ID,
        "chain": row.key,
        "sequence": row.sequence,
        "head": bytes(row.head).hex(),
        "previousSignature": bytes(newest.signature).hex() if newest else "",
        "signedAt": redaction.timestamp(now),
    }
