"""What machines wrote in bulk is bound to the chain of decisions: each ledger batch is sealed into it once."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from audit import chain
from audit.models import LedgerSeal
from lamba_campaigns.lib import sql
from projects.scoping import SYSTEM, Scope

SEAL_BATCHES_MAX = 5_000  # of one seal


def environments_to_seal() -> list[int]:
    """The environments that have unsealed batches."""
    return [row[0] for row in sql.rows("audit", "environments_to_seal")]


def seal(*, scope: Scope, now: datetime) -> LedgerSeal | None:
    """Unsealed batches of `scope` are part of the chain afterwards; None when there were none."""
    with sql.durable():
        where = {"environment_id": scope.environment_id, "limit": SEAL_BATCHES_MAX}
        waiting = sql.rows("audit", "unsealed_batches", where)
        if not waiting:
            return None
        found = LedgerSeal.objects.create(
            environment_id=scope.environment_id,
            batch_count=len(waiting),
            entry_count=sum(row[2] for row in waiting),
            digest=digest((row[0], bytes(row[1])) for row in waiting),
            sealed_at=now,
        )
        ids = [row[0] for row in waiting]
        sql.execute("audit", "mark_sealed", where | {"seal_id": found.pk, "ids": ids})
        chain.record(
            scope=scope,
            actor=SYSTEM,
            action="ledger.sealed",
            subject=chain.Subject("ledger_seal", found.public_id),
            now=now,
            after={"batches": found.batch_count, "entries": found.entry_count, "digest": bytes(found.digest).hex()},
        )
        return found


def digest(batches: Iterable[tuple[int, bytes]]) -> bytes:
    """SHA-256 over (batch id, 8 bytes big endian; its digest, 32 bytes) in order of id."""
    state = hashlib.sha256()
    for batch_id, batch_digest in sorted(batches):
        state.update(batch_id.to_bytes(8, "big") + batch_digest)
    return state.digest()
