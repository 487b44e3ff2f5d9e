"""Verify a hash chain from its first entry to its last. Floor: read the same bytes and SHA-256 them, nothing compared.

Ours links every entry, recomputes its hash, compares each column and the committed names with what was hashed, and
checks the signed checkpoints. Peer: SHA-256 over the same bytes when they lie in memory already, without a database.
"""

import argparse
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from django.db import connection, transaction

from audit import chain, checkpoints
from audit.models import AuditEntry, Chain
from audit.verify import verify_chain
from benchmarks._scope import new_scope
from benchmarks.result import Result
from benchmarks.stage import step
from projects.scoping import SYSTEM, Scope

SIZE = ("entries", 1_000_000)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
MEMORY_ENTRIES = 20_000  # hashed again and again for the peer that reads nothing
_ENTRY = (
    "public_id", "chain_id", "sequence", "previous_hash", "content_hash", "hash", "canonical", "environment_id",
    "workspace_public_id", "project_public_id", "environment_name", "actor_kind", "actor_id", "origin", "action",
    "subject_type", "subject_id", "trace_id", "reason", "outcome", "occurred_at",
)  # fmt: skip


def measure(size: int, options: argparse.Namespace) -> Result:
    scope = new_scope(f"audit-{size}")
    key = chain.chain_key(scope=scope)
    with step(f"{size:,} entries"):
        row = _write(scope, size)
        _settle()
        checkpoints.sign(chain_id=row.pk, now=BEGAN + timedelta(days=300))
    with step("verified"):
        began = time.perf_counter()
        found = verify_chain(key=key)
        seconds = time.perf_counter() - began
    with step("read and hashed"):
        began = time.perf_counter()
        count, sample = _read_and_hash(row)
        floor = count / (time.perf_counter() - began)
    with step("hashed in memory"):
        memory = _hash(sample)
    checks = {
        "the chain is whole, every entry read": found.ok and found.entries == size + 1 == count,
        "the checkpoint was compared": found.checkpoints == 1,
        "an edited entry is named": _names_a_break(key, size),
    }
    extra = {"seconds": round(seconds, 2), "bytes_per_entry": round(sum(map(len, sample)) / len(sample))}
    return Result("entries/s", size, size / seconds, floor, checks, {"sha256 in memory": memory}, extra)


def _write(scope: Scope, size: int) -> Chain:
    """A chain as record() would have written it, by COPY: the first entry is really recorded, the rest follow it."""
    with transaction.atomic():
        chain.record(scope=scope, actor=SYSTEM, action="campaign.created", subject=_subject(1), now=BEGAN)
    row = Chain.objects.get(key=chain.chain_key(scope=scope))
    first = AuditEntry.objects.latest("id").pk
    words = chain.label_words("Alice Example", "192.0.2.7", "Spring renewal")
    raw: Any = connection.connection
    with transaction.atomic():
        with psycopg.Cursor(raw).copy(f"COPY audit_auditentry (id, {', '.join(_ENTRY)}) FROM STDIN") as copy:
            salts = []
            for number, (values, salt) in enumerate(_entries(scope, row, size, words), 1):
                copy.write_row((first + number, *values))
                salts.append(salt)
        with psycopg.Cursor(raw).copy("COPY audit_entrylabel FROM STDIN") as copy:
            for number, salt in enumerate(salts, 1):
                copy.write_row((first + number, salt, words["actor_label"], words["actor_ip"], words["subject_name"]))
        last = AuditEntry.objects.order_by("-sequence").filter(chain=row)[0]
        Chain.objects.filter(pk=row.pk).update(sequence=size, head=last.hash)
    return row


def _entries(scope: Scope, row: Chain, size: int, words: dict[str, str]) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    head = bytes(row.head)
    base = {"chain_id": row.pk, "environment_id": scope.environment_id, "workspace_public_id": scope.workspace}
    base |= {"project_public_id": scope.project, "environment_name": scope.environment, "actor_kind": "user"}
    base |= {"actor_id": "usr_12", "origin": "console", "action": "campaign.updated", "subject_type": "campaign"}
    base |= {"reason": "", "outcome": "done"}
    for number in range(2, size + 1):
        found = base | {"public_id": f"ent_{row.pk:06d}{number:020d}", "sequence": number}
        found |= {"subject_id": _subject(number).id}
        found |= {"occurred_at": BEGAN + timedelta(seconds=number), "trace_id": f"req_{number:026d}"}
        changed = {"before": {"state": "draft", "rate": None}, "after": {"state": "scheduled", "rate": number}}
        salt = secrets.token_bytes(16)
        said = chain.content(found | changed, commitment=chain.commitment(salt, words))
        # the same bytes as RFC 8785 gives for this ASCII content, twenty times as fast
        canonical = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
        content_hash = hashlib.sha256(canonical).digest()
        found |= {"previous_hash": head, "canonical": canonical, "content_hash": content_hash}
        head = chain.link_hash(head, number, content_hash)
        found["hash"] = head
        yield tuple(found[name] for name in _ENTRY), salt


def _subject(number: int) -> chain.Subject:
    return chain.Subject("campaign", f"cmp_{number:026d}", "Spring renewal")


def _settle() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('audit_auditentry', 'id'), (SELECT max(id) FROM audit_auditentry))"
        )
        cursor.execute("VACUUM ANALYZE audit_auditentry")
        cursor.execute("VACUUM ANALYZE audit_entrylabel")


def _read_and_hash(row: Chain) -> tuple[int, list[bytes]]:
    """The floor, streamed in the same order: one column, one hash an entry."""
    statement = (
        "COPY (SELECT canonical FROM audit_auditentry WHERE chain_id = %s ORDER BY sequence) TO STDOUT (FORMAT binary)"
    )
    sample: list[bytes] = []
    count = 0
    with psycopg.Cursor(connection.connection).copy(statement, (row.pk,)) as entries:
        entries.set_types(["bytea"])
        for (canonical,) in entries.rows():
            hashlib.sha256(canonical).digest()
            count += 1
            if len(sample) < MEMORY_ENTRIES:
                sample.append(canonical)
    return count, sample


def _hash(sample: list[bytes]) -> float:
    began, rounds = time.perf_counter(), 10
    for _ in range(rounds):
        for canonical in sample:
            hashlib.sha256(canonical).digest()
    return rounds * len(sample) / (time.perf_counter() - began)


def _names_a_break(key: str, size: int) -> bool:
    """Somebody who owns the database edits one column in the middle."""
    place = size // 2
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            "UPDATE audit_auditentry SET actor_id = 'usr_9' WHERE sequence = %s AND chain_id = "
            "(SELECT id FROM audit_chain WHERE key = %s)",
            [place, key],
        )
        cursor.execute("SET session_replication_role = origin")
    flaw = verify_chain(key=key).flaw
    return flaw is not None and (flaw.kind, flaw.sequence) == ("edited", place)
