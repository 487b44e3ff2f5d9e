"""A file's stored parts into the staging table of one transaction: decoded, split, counted, never all in memory."""

import csv
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from psycopg import sql as compose

from audiences import statements
from audiences.import_columns import Column, read_header
from audiences.models import ImportFilePart, ImportRun

COPY_BYTES = 1 << 21  # of one slice
PROBLEMS_KEPT_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with one cell, or with a whole line when `column` is empty."""

    line: int
    column: str
    code: str
    detail: str
    value: str = ""


class FileRefused(Exception):
    """The file as a whole can't be read: its encoding, its quotes or its header."""

    def __init__(self, *problems: Found) -> None:
        super().__init__(problems[0].detail)
        self.problems = problems


@dataclass(slots=True)
class Staged:
    """The columns of the file, how many rows it has, and the lines that could not be staged."""

    columns: list[Column]
    rows: int = 0
    problems: list[Found] = field(default_factory=list)


def stage(run: ImportRun) -> Staged:
    """Create the staging table `import_rows` (line, c0, c1, …) for this transaction and copy the file into it."""
    text = io.TextIOWrapper(_bytes_of(run), encoding="utf-8-sig", newline="")
    lines = _checked(text)
    try:
        header = next(lines, "")
        titles = next(csv.reader([header], delimiter=_delimiter(header), strict=True), [])
        columns, problems = read_header(titles)
        if problems:
            raise FileRefused(*(Found(1, each.title, each.code, each.detail) for each in problems))
        staged = Staged(columns)
        reader = csv.reader(lines, delimiter=_delimiter(header), strict=True)
        _create_table(len(columns))
        _copy(reader, staged)
    except UnicodeDecodeError:
        raise FileRefused(_where_not_utf8(run)) from None
    except csv.Error as problem:
        line = 1 + (reader.line_num if "reader" in locals() else 0)
        detail = f"Line {line} can't be split into cells: {problem}. Is a quotation mark missing?"
        raise FileRefused(Found(line, "", "malformed_csv", detail)) from None
    return staged


def _checked(text: io.TextIOWrapper) -> Iterator[str]:
    for line in text:
        if "\0" in line:
            detail = "The file holds NUL bytes, so it is no CSV text. Save it as CSV in UTF-8."
            raise FileRefused(Found(1, "", "not_text", detail))
        yield line


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _create_table(width: int) -> None:
    cells = compose.SQL(", ").join(compose.SQL("{} text").format(compose.Identifier(f"c{n}")) for n in range(width))
    statement = compose.SQL("CREATE TEMPORARY TABLE import_rows (line int NOT NULL, {}) ON COMMIT DROP").format(cells)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS import_rows")
        cursor.execute(statement)


def _copy(reader: Iterator[list[str]], staged: Staged) -> None:
    """Copy in slices: the connection must be free in between to read the next part of the file."""
    width, buffer = len(staged.columns), io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for cells in reader:
        if not cells or cells == [""]:
            continue
        staged.rows += 1
        line = 1 + reader.line_num  # type: ignore[attr-defined]
        if len(cells) != width:
            detail = f"The header has {width} cells, this row {len(cells)}."
            _keep(staged, Found(line, "", "wrong_cell_count", detail))
            continue
        writer.writerow([line, *map(str.strip, cells)])
        if buffer.tell() > COPY_BYTES:
            _flush(buffer)
    _flush(buffer)


def _flush(buffer: io.StringIO) -> None:
    with statements.cursor() as cursor, cursor.copy("COPY import_rows FROM STDIN (FORMAT csv)") as copy:
        copy.write(buffer.getvalue())
    buffer.seek(0)
    buffer.truncate()


def _keep(staged: Staged, problem: Found) -> None:
    if len(staged.problems) < PROBLEMS_KEPT_MAX:
        staged.problems.append(problem)


def _bytes_of(run: ImportRun) -> io.BufferedReader:
    return io.BufferedReader(_Parts(run), COPY_BYTES)


class _Parts(io.RawIOBase):
    """The file's bytes, one stored part in memory at a time."""

    def __init__(self, run: ImportRun) -> None:
        rows = ImportFilePart.objects.across_environments("the parts of a loaded run").filter(run_id=run.pk)
        self._parts = rows.values_list("data", flat=True)
        self._number = 0
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._left:
            part = self._parts.filter(number=self._number).first()
            if part is None:
                return 0
            self._number += 1
            self._left = zlib.decompress(bytes(part))
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)


def _where_not_utf8(run: ImportRun) -> Found:
    """The first line that is not UTF-8; a file of UTF-16 is called by its name."""
    for number, raw in enumerate(_bytes_of(run), start=1):
        if number == 1 and raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return Found(
                1, "", "not_utf8", "The file is encoded in UTF-16. Save it as CSV in UTF-8 and upload it again."
            )
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as problem:
            shown = raw[max(0, problem.start - 20) : problem.start + 20].decode("latin-1")
            detail = f"Line {number} is not UTF-8 (near {shown!r}). Save the file as CSV in UTF-8 and upload it again."
            return Found(number, "", "not_utf8", detail)
    raise AssertionError("the decoder failed on a file whose every line is UTF-8")
