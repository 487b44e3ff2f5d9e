"""The trail as CSV: streamed, safe to open in a spreadsheet, and itself an audited act."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Final

from audit import chain, redaction, timeline, trail
from audit.actions import sentence
from audit.models import AuditEntry
from lamba_campaigns.lib import sql
from projects.scoping import Actor, Scope

ROWS_PER_CHUNK: Final = 500
ROWS_MAX: Final = 1_000_000
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
    "hash",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # how a cell starts that a spreadsheet would run


def csv_lines(*, scope: Scope, actor: Actor, wanted: trail.Wanted, now: datetime) -> Iterator[str]:
    """The lines of the file. The export stands in the trail before the first of them is read."""
    subject = chain.Subject("trail", wanted.reach)
    asked = {name: getattr(wanted, name) for name in ("action", "actor", "subject", "since", "until")}
    after = {"format": "csv", **{name: value for name, value in asked.items() if value}}
    with sql.durable():
        chain.record(scope=scope, actor=actor, action="export.made", subject=subject, now=now, after=after)
    return _lines(scope, wanted)


def safe(cell: str) -> str:
    """A cell that starts like a formula gets an apostrophe before it (OWASP ASVS 1.2.10)."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def file_name(scope: Scope, now: datetime) -> str:
    return f"{scope.workspace_slug}-{scope.project_slug}-{scope.environment}-audit-{now:%Y-%m-%d}.csv"


def _lines(scope: Scope, wanted: trail.Wanted) -> Iterator[str]:
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
        timeline.as_text(timeline.changes(entry)),
        entry.reason,
        entry.trace_id,
        bytes(entry.hash).hex(),
    )


def _written(cells: tuple[str, ...]) -> str:
    line = StringIO()
    csv.writer(line).writerow(map(safe, cells))
    return line.getvalue()
