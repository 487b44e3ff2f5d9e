"""The suppression list as CSV, both ways: safe to open in a spreadsheet, safe to import again, and always audited.

An import adds what is missing and changes nothing that stands. A row that can't be read is reported by its line.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO

from audiences.channels import CHANNEL_BITS
from audit import chain
from audit.export import safe
from delivery import consent
from delivery.content.mime import BadAddress
from delivery.content.mime import address as wire_address
from delivery.decisions import How
from delivery.models import Suppression
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from lamba_campaigns.lib.ids import new_id
from lamba_campaigns.lib.sql import durable
from projects.scoping import Actor, Scope

FILE_BYTES_MAX = 5_000_000
ROWS_MAX = 100_000
ROWS_PER_CHUNK = 1_000
PROBLEMS_SHOWN_MAX = 100
COLUMNS = ("address", "channel", "reason", "detail", "source", "created_at_utc", "created_by")
_REASONS = {choice.value: choice for choice in Suppression.Reason}


@dataclass(frozen=True, slots=True)
class Row:
    """One address to suppress, read and checked."""

    address: str
    channel: str
    reason: Suppression.Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one line of the file."""

    line: int
    detail: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `rows` = added + standing + len(problems), every address counted once."""

    rows: int
    added: int
    standing: int
    problems: tuple[Problem, ...]


def export(*, scope: Scope, actor: Actor, channel: str, reason: str, now: datetime) -> Iterator[str]:
    """The lines of the file. The export stands in the trail before the first of them is read."""
    wanted = {name: value for name, value in (("channel", channel), ("reason", reason)) if value}
    subject = chain.Subject("suppressions", scope.path, "Suppressions")
    with durable():
        after = {"format": "csv", **wanted}
        chain.record(scope=scope, actor=actor, action="export.made", subject=subject, now=now, after=after)
    return _lines(scope, wanted)


def file_name(scope: Scope, now: datetime) -> str:
    return f"{scope.workspace_slug}-{scope.project_slug}-{scope.environment}-suppressions-{now:%Y-%m-%d}.csv"


def take_in(*, scope: Scope, actor: Actor, data: bytes, how: How, now: datetime) -> Imported:
    """Every readable address of the file is on the list afterwards. All of them in one transaction."""
    rows, problems, count = _read(data)
    source = new_id("imp")
    added = 0
    with durable():
        for channel, reason in sorted({(row.channel, row.reason) for row in rows}):
            part = {row.address: row.detail for row in rows if (row.channel, row.reason) == (channel, reason)}
            added += consent.suppress_many(
                scope=scope,
                actor=actor,
                addresses=part,
                channel=channel,
                reason=reason,
                how=how,
                source=source,
                now=now,
            )
        found = Imported(count, added, len(rows) - added, tuple(problems))
        chain.record(
            scope=scope,
            actor=actor,
            action="suppression.imported",
            subject=chain.Subject("suppressions", source),
            now=now,
            after={"rows": count, "added": added, "standing": found.standing, "wrong": len(problems)},
        )
    return found


def _lines(scope: Scope, wanted: dict[str, str]) -> Iterator[str]:
    yield _written(COLUMNS)
    last = 0
    rows = Suppression.objects.within(scope).filter(**wanted).order_by("pk")
    while True:
        found = list(rows.filter(pk__gt=last)[:ROWS_PER_CHUNK])
        yield "".join(_written(_cells(row)) for row in found)
        if len(found) < ROWS_PER_CHUNK:
            return
        last = found[-1].pk


def _cells(row: Suppression) -> tuple[str, ...]:
    moment = row.created_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return (row.address, row.channel, row.reason, row.detail, row.source, moment, row.created_by)


def _written(cells: Iterable[str]) -> str:
    line = StringIO()
    csv.writer(line).writerow(map(safe, cells))
    return line.getvalue()


def _read(data: bytes) -> tuple[list[Row], list[Problem], int]:
    """Readable rows without repetition, the lines that are not, and how many lines say something of their own."""
    lines = _table(data)
    rows: dict[tuple[str, str], Row] = {}
    problems: list[Problem] = []
    for number, cells in enumerate(lines, start=2):
        if number > ROWS_MAX + 1:
            raise _refused(f"A file may have {ROWS_MAX:,} rows. Split it into several files.")
        if not any(cell and cell.strip() for cell in cells.values() if isinstance(cell, str)):
            continue
        try:
            row = _row(cells)
        except ValueError as wrong:
            problems.append(Problem(number, str(wrong)))
            continue
        rows.setdefault((row.channel, row.address), row)
    return list(rows.values()), problems, len(rows) + len(problems)


def _table(data: bytes) -> Iterable[dict[str, str]]:
    if len(data) > FILE_BYTES_MAX:
        raise _refused(f"A file may have {FILE_BYTES_MAX:,} bytes. Split it into several files.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused("The file is not UTF-8. Save it as “CSV UTF-8” and try again.") from None
    reader = csv.DictReader(StringIO(text.replace("\x00", ""), newline=""), restkey="…", restval="")
    reader.fieldnames = [str(name).strip().lower() for name in reader.fieldnames or ()]
    if "address" not in reader.fieldnames:
        raise _refused(f"The first line must name the columns: {', '.join(COLUMNS[:4])}; at least address.")
    return _guarded(reader)


def _guarded(reader: "csv.DictReader[str]") -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as problem:
        raise _refused(f"The file is not CSV: line {reader.line_num}: {problem}") from None


def _row(cells: dict[str, str]) -> Row:
    """ValueError says what is wrong with the line."""
    channel = (cells.get("channel") or "").strip() or "email"
    if channel not in CHANNEL_BITS:
        raise ValueError(f"{channel[:40]!r} is no channel: use {', '.join(CHANNEL_BITS)}.")
    named = (cells.get("reason") or "").strip().lower().replace(" ", "_") or Suppression.Reason.IMPORTED.value
    if named not in _REASONS:
        raise ValueError(f"{named[:40]!r} is no reason: use {', '.join(_REASONS)}.")
    detail = (cells.get("detail") or "").strip()[: consent.DETAIL_CHARS_MAX]
    return Row(_address(cells.get("address") or "", channel), channel, _REASONS[named], detail)


def _address(text: str, channel: str) -> str:
    """As it was exported: an apostrophe that guards a formula goes."""
    plain = text.strip().removeprefix("'").strip()
    if channel != "email":
        if not plain or len(plain) > consent.ADDRESS_CHARS_MAX:
            raise ValueError("There is no address in this row.")
        return plain.lower()
    try:
        return wire_address(plain).text.lower()
    except BadAddress:
        raise ValueError(f"{plain[:80]!r} is not an email address.") from None


def shown(problems: Sequence[Problem]) -> Sequence[Problem]:
    """As many as a person reads."""
    return problems[:PROBLEMS_SHOWN_MAX]


def _refused(detail: str) -> Invalid:
    return Invalid(detail, problems=(FieldProblem("#", "file", detail),))
