"""The trail as a file: streamed, safe to open in a spreadsheet, verifiable elsewhere, and itself an audited act.

NDJSON holds the whole chain: what a filter left out is there by its hash alone, so the file proves that nothing else is
missing. Its last line is signed. CSV holds the chosen entries, each with what its hash was made of.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.http import StreamingHttpResponse

from audit import chain, checkpoints, offline_verifier, redaction, signatures, timeline, trail, wording
from audit.actions import sentence
from audit.models import AuditEntry, Chain, Checkpoint
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.canonical import canonical_bytes
from projects.scoping import Actor, Scope

ROWS_PER_CHUNK: Final = 500
ROWS_MAX: Final = 1_000_000
FORMAT_VERSION: Final = 1
COLUMNS: Final = (
    "number",
    "occurred_at_utc",
    "occurred_at_local",
    "actor_id",
    "actor",
    "origin",
    "ip",
    "action",
    "sentence",
    "outcome",
    "object_type",
    "object_id",
    "object",
    "changes",
    "reason",
    "trace_id",
    "content",
    "previous_hash",
    "hash",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # how a cell starts that a spreadsheet would run


def csv_lines(*, scope: Scope, actor: Actor, wanted: trail.Wanted, now: datetime) -> Iterator[str]:
    """The lines of the file. The export stands in the trail before the first of them is read."""
    _record(scope, actor, wanted, "csv", now)
    return _csv(scope, wanted)


def ndjson_lines(*, scope: Scope, actor: Actor, wanted: trail.Wanted, now: datetime) -> Iterator[str]:
    """Header, checkpoints, every entry of the chain, and an end that is signed; one JSON object a line."""
    _record(scope, actor, wanted, "ndjson", now)
    row = Chain.objects.get(key=trail.key_of(scope=scope, wanted=wanted))
    return _ndjson(row, scope, wanted, now)


def download(lines: Iterable[str], kind: str, name: str) -> StreamingHttpResponse:
    """A file that is written while it is read."""
    return StreamingHttpResponse(
        lines,
        content_type=f"{kind}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def safe(cell: str) -> str:
    """A cell that starts like a formula gets an apostrophe before it (OWASP ASVS 1.2.10)."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def verifier_text() -> str:
    """The stand-alone script that verifies these files."""
    return Path(offline_verifier.__file__).read_text(encoding="utf-8")


def file_name(scope: Scope, now: datetime, kind: str = "csv") -> str:
    return f"{scope.workspace_slug}-{scope.project_slug}-{scope.environment}-audit-{now:%Y-%m-%d}.{kind}"


def _record(scope: Scope, actor: Actor, wanted: trail.Wanted, kind: str, now: datetime) -> None:
    subject = chain.Subject("trail", wanted.reach, "Audit trail")
    asked = {name: getattr(wanted, name) for name in trail.FILTERS}
    after = {"format": kind, **{name: value for name, value in asked.items() if value}}
    workspace_id = scope.workspace_id if wanted.reach == "workspace" else None
    with sql.durable():
        chain.record(
            scope=None if workspace_id else scope,
            workspace_id=workspace_id,
            actor=actor,
            action="export.made",
            subject=subject,
            now=now,
            after=after,
        )


def _ndjson(row: Chain, scope: Scope, wanted: trail.Wanted, now: datetime) -> Iterator[str]:
    head = {"kind": "header", "version": FORMAT_VERSION, "origin": settings.INSTALLATION_ID, "chain": row.key}
    yield _line(head | {"exportedAt": redaction.timestamp(now), "key": signatures.public_key().hex()})
    for found in Checkpoint.objects.filter(chain=row, sequence__lte=row.sequence).order_by("pk").iterator():
        yield _line({"kind": "checkpoint", **checkpoints.as_json(found)})
    hashes, last = hashlib.sha256(), 0
    while last < row.sequence:
        entries = _entries_after(row, last)
        chosen = _chosen(scope, wanted, entries)
        for entry in entries:
            hashes.update(bytes(entry.hash))
            yield _line(_entry(entry, shown=entry.pk in chosen))
        last = entries[-1].sequence if entries else row.sequence
    note = {
        "origin": settings.INSTALLATION_ID,
        "chain": row.key,
        "entries": row.sequence,
        "head": bytes(row.head).hex(),
    }
    signed = canonical_bytes(note | {"hashes": hashes.hexdigest(), "exportedAt": redaction.timestamp(now)})
    yield _line({"kind": "end", "note": signed.decode(), "signature": signatures.sign(signed).hex()})


def _entries_after(row: Chain, last: int) -> list[AuditEntry]:
    rows = AuditEntry.objects.filter(chain=row, sequence__gt=last, sequence__lte=row.sequence)
    return list(rows.select_related("label").order_by("sequence")[:ROWS_PER_CHUNK])


def _chosen(scope: Scope, wanted: trail.Wanted, entries: list[AuditEntry]) -> set[int]:
    if not wanted.filters or not entries:
        return {entry.pk for entry in entries}
    rows = trail.entries(scope=scope, wanted=wanted)
    return set(rows.filter(sequence__range=(entries[0].sequence, entries[-1].sequence)).values_list("pk", flat=True))


def _entry(entry: AuditEntry, *, shown: bool) -> dict[str, Any]:
    label = getattr(entry, "label", None)
    content = bytes(entry.canonical).decode() if shown and entry.canonical is not None else None
    found = {
        "kind": "entry",
        "sequence": entry.sequence,
        "previousHash": bytes(entry.previous_hash).hex(),
        "contentHash": bytes(entry.content_hash).hex(),
        "hash": bytes(entry.hash).hex(),
        "content": content,
    }
    if label is None or content is None:
        return found | {"salt": None, "words": None}
    words = chain.label_words(label.actor_label, label.actor_ip, label.subject_name)
    return found | {"salt": bytes(label.salt).hex(), "words": words}


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n"


def _csv(scope: Scope, wanted: trail.Wanted) -> Iterator[str]:
    yield _written(COLUMNS)
    last = 0
    rows = trail.entries(scope=scope, wanted=wanted).order_by("sequence")
    for _ in range(0, ROWS_MAX, ROWS_PER_CHUNK):
        found = list(rows.filter(sequence__gt=last)[:ROWS_PER_CHUNK])
        yield "".join(_written(_cells(scope, entry)) for entry in found)
        if len(found) < ROWS_PER_CHUNK:
            return
        last = found[-1].sequence


def _cells(scope: Scope, entry: AuditEntry) -> tuple[str, ...]:
    words = getattr(entry, "label", None)
    return (
        str(entry.sequence),
        redaction.timestamp(entry.occurred_at.astimezone(UTC)),
        entry.occurred_at.astimezone(scope.zone).isoformat(timespec="seconds"),
        entry.actor_id,
        words.actor_label if words else timeline.ERASED,
        entry.origin,
        words.actor_ip if words else "",
        entry.action,
        sentence(entry.action, entry.outcome),
        entry.outcome,
        entry.subject_type,
        entry.subject_id,
        words.subject_name if words else timeline.ERASED,
        wording.as_text(wording.changes(entry)),
        entry.reason,
        entry.trace_id,
        bytes(entry.canonical or b"").decode(),
        bytes(entry.previous_hash).hex(),
        bytes(entry.hash).hex(),
    )


def _written(cells: tuple[str, ...]) -> str:
    line = StringIO()
    csv.writer(line).writerow(map(safe, cells))
    return line.getvalue()
