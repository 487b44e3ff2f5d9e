"""Every hour each chain is signed as it stands, also when nothing happened: a missing hour is a sign as well.

A checkpoint leaves the database twice: as a line of a file, and to whoever registered with `on_signed` (audit stands
below webhooks, so it can't publish the event itself).
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction
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
log = logging.getLogger(__name__)


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
        _note_in_chain(scope, row, found, note, now)
        for listener in _listeners:
            listener(scope=scope, data=as_json(found), now=now)
        transaction.on_commit(lambda: append_to_file(row.key, found))
        return found


def append_to_file(key: str, checkpoint: Checkpoint) -> None:
    """One line in the chain's own file, which the owner of the database need not be able to write. A file that can't be
    written is a fault of the disk, not of the checkpoint: it is logged, and the event still went out."""
    if not settings.CHECKPOINT_DIR:
        return
    path = Path(settings.CHECKPOINT_DIR) / f"{key.replace(':', '-')}.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(as_json(checkpoint), sort_keys=True) + "\n")
    except OSError:
        log.exception("checkpoint %s of %s was not written to %s", checkpoint.pk, key, path)


def chains_to_sign(*, before: datetime) -> list[int]:
    """Primary keys of the chains without a checkpoint since `before`, so that a task that runs twice signs once."""
    fresh = Checkpoint.objects.filter(chain=OuterRef("pk"), signed_at__gt=before)
    return list(Chain.objects.filter(~Exists(fresh)).order_by("pk").values_list("pk", flat=True))


def as_json(checkpoint: Checkpoint) -> dict[str, Any]:
    """The checkpoint as it is published. `signature` is over the UTF-8 bytes of `note`; `key` is the public key."""
    note = bytes(checkpoint.note)
    said = json.loads(note)
    return {
        "sequence": checkpoint.sequence,
        "hash": said["head"],
        "signature": bytes(checkpoint.signature).hex(),
        "key": said.get("key") or known_key(checkpoint.key_id),
        "keyId": checkpoint.key_id,
        "note": note.decode(),
        "signedAt": redaction.timestamp(checkpoint.signed_at),
    }


def known_key(key_id: str) -> str:
    """The public key called so, in hex, or "" when it is none of ours."""
    return next((public.hex() for public in signatures.public_keys() if signatures.key_id(public) == key_id), "")


def _note_in_chain(
    scope: Scope | None, row: Chain, checkpoint: Checkpoint, note: Mapping[str, Any], now: datetime
) -> None:
    after = {"sequence": note["sequence"], "head": note["head"], "key": checkpoint.key_id}
    entries = [("checkpoint.signed", chain.Subject("checkpoint", str(checkpoint.pk)), after)]
    if note["previousKey"]:
        rotated = {"key": note["key"], "previousKey": note["previousKey"], "endorsed": bool(note["endorsement"])}
        entries.insert(0, ("signing_key.rotated", chain.Subject("signing_key", checkpoint.key_id), rotated))
    for action, subject, said in entries:
        chain.record(
            scope=scope,
            workspace_id=row.workspace_id,
            actor=SYSTEM,
            action=action,
            subject=subject,
            now=now,
            after=said,
        )


def _note(row: Chain, now: datetime) -> dict[str, Any]:
    newest = Checkpoint.objects.filter(chain=row).order_by("-pk").first()
    took_over = newest is not None and newest.key_id != signatures.key_id()
    old, endorsement = signatures.endorsement(by=newest.key_id) if newest and took_over else ("", "")
    return {
        "origin": settings.INSTALLATION_ID,
        "chain": row.key,
        "sequence": row.sequence,
        "head": bytes(row.head).hex(),
        "key": signatures.public_key().hex(),
        "previousKey": old,
        "endorsement": endorsement,
        "previousSignature": bytes(newest.signature).hex() if newest else "",
        "signedAt": redaction.timestamp(now),
    }
