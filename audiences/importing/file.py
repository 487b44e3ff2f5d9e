"""A run's stored file as blocks of whole lines. One stored part is in memory at a time, whatever the file's size."""

import csv
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from audiences.importing.columns import Column, read_header
from audiences.models import ImportFilePart, ImportRun

BLOCK_CHARS: Final = 1 << 19
LINE_CHARS_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with one cell, or with a whole line when `column` is empty. `note` completes the sentence."""

    line: int
    column: str
    code: str
    value: str = ""
    note: str = ""


class FileRefused(Exception):
    """The file as a whole can't be read: its encoding, its quotes or its header."""

    def __init__(self, *problems: Found) -> None:
        super().__init__(problems[0].note)
        self.problems = problems


class Text:
    """The file's text and where we are in it. `size` and `taken` are bytes, for the progress."""

    def __init__(self, run: ImportRun) -> None:
        self._run = run
        self._parts = _Parts(run)
        buffered = io.BufferedReader(self._parts, 1 << 20)
        self._text = io.TextIOWrapper(buffered, encoding="utf-8-sig")  # every kind of line break becomes \n

    @property
    def taken(self) -> int:
        return self._parts.taken

    def line(self) -> str:
        """The next line with its end, or nothing at the end of the file."""
        try:
            found = self._text.readline(LINE_CHARS_MAX)
        except UnicodeDecodeError:
            raise FileRefused(_where_not_utf8(self._run)) from None
        _require_text(found)
        return found

    def block(self) -> str:
        """The next whole lines, about `BLOCK_CHARS` of them, or nothing at the end of the file."""
        try:
            found = self._text.read(BLOCK_CHARS)
            if found and not found.endswith("\n"):
                found += self._text.readline(LINE_CHARS_MAX)
        except UnicodeDecodeError:
            raise FileRefused(_where_not_utf8(self._run)) from None
        _require_text(found)
        return found


def read_columns(text: Text) -> tuple[list[Column], str]:
    """The columns that the first line names, and the delimiter. FileRefused names everything that is wrong with it."""
    header = text.line()
    delimiter = max(",;\t", key=header.count)
    try:
        titles = next(csv.reader([header], delimiter=delimiter, strict=True), [])
    except csv.Error as problem:
        raise malformed(1, problem) from None
    columns, problems = read_header(titles)
    if problems:
        raise FileRefused(*(Found(1, each.title, each.code, note=each.detail) for each in problems))
    return columns, delimiter


def malformed(line: int, problem: csv.Error) -> FileRefused:
    detail = f"Line {line} can't be split into cells: {problem}. Is a quotation mark missing?"
    return FileRefused(Found(line, "", "malformed_csv", note=detail))


def _require_text(text: str) -> None:
    if "\0" in text:
        detail = "The file holds NUL bytes, so it is no CSV text. Save it as CSV in UTF-8."
        raise FileRefused(Found(1, "", "not_text", note=detail))


class _Parts(io.RawIOBase):
    """The file's bytes, one stored part in memory at a time."""

    def __init__(self, run: ImportRun) -> None:
        rows = ImportFilePart.objects.across_environments("the parts of a loaded run").filter(run_id=run.pk)
        self._rows = rows.values_list("data", flat=True)
        self._number = 0
        self._left = b""
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._left:
            part = self._rows.filter(number=self._number).first()
            if part is None:
                return 0
            self._number += 1
            self._left = zlib.decompress(bytes(part))
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        self.taken += len(taken)
        return len(taken)


def _where_not_utf8(run: ImportRun) -> Found:
    """The first line that is not UTF-8; a file of UTF-16 is called by its name."""
    for number, raw in enumerate(_raw_lines(run), start=1):
        if number == 1 and raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            detail = "The file is encoded in UTF-16. Save it as CSV in UTF-8 and upload it again."
            return Found(1, "", "not_utf8", note=detail)
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as problem:
            shown = raw[max(0, problem.start - 20) : problem.start + 20].decode("latin-1")
            detail = f"Line {number} is not UTF-8 (near {shown!r}). Save the file as CSV in UTF-8 and upload it again."
            return Found(number, "", "not_utf8", note=detail)
    raise AssertionError("the decoder failed on a file whose every line is UTF-8")


def _raw_lines(run: ImportRun) -> Iterator[bytes]:
    yield from io.BufferedReader(_Parts(run), 1 << 20)
