"""Right rows at a glance: one pattern runs over many lines at once, and every line it takes is right by its kinds.

What the pattern does not take is only doubtful: it goes through the CSV reader and `judge`, cell by cell. So the
pattern may be strict, and must never take what `judge` would refuse (a property test compares them). No two parts of
it can take the same text, so that a line that does not match is left soon. (Possessive quantifiers would say that
better, but take wrong matches before Python 3.11.4.)
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from audiences import places
from audiences.importing.columns import Column, Kind
from audiences.importing.file import Found, Text, malformed
from audiences.importing.judge import judge

Row = tuple[int, list[str]]  # (line, stripped cells)
_CONTROL: Final = r"\x00-\x1f\x7f-\x9f"
_LABEL: Final = r"[A-Za-z0-9_%+\-]"


def right_lines(columns: Sequence[Column], delimiter: str) -> re.Pattern[str]:
    """Matches as many right lines as there are from a place on. Cells may be quoted if they hold no delimiter."""
    cells = [_cell(column, re.escape(delimiter)) for column in columns]
    return re.compile(f"(?:{re.escape(delimiter).join(cells)}\n)*")


def rows(text: Text, columns: Sequence[Column], delimiter: str) -> Iterator[list[Row] | list[Found]]:
    """Batches of right rows, and all problems of one row, in file order. The header is line 1."""
    pattern, line = right_lines(columns, delimiter), 2
    while block := text.block():
        at = 0
        while at < len(block):
            end = pattern.match(block, at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if end > at:
                found = block[at : end - 1].replace('"', "").split("\n")
                right = [(line + n, each.split(delimiter)) for n, each in enumerate(found)]
                yield from _with_known_zones(right, columns)
                line, at = line + len(found), end
            if at < len(block):
                doubtful = _Doubtful(block, at, text, line, delimiter)
                yield from _judged(doubtful, columns)
                block, at, line = doubtful.block, doubtful.at, doubtful.line


def _with_known_zones(right: list[Row], columns: Sequence[Column]) -> Iterator[list[Row] | list[Found]]:
    """A pattern of six hundred names would take longer than all the rest: they are looked up for many rows at once."""
    place = next((column.index for column in columns if column.kind == "time_zone"), None)
    if place is None or {cells[place] for _, cells in right} - places.time_zones() <= {""}:
        yield right
        return
    for line, cells in right:
        yield judge(line, columns, cells) or [(line, cells)]


def _judged(doubtful: "_Doubtful", columns: Sequence[Column]) -> Iterator[list[Row] | list[Found]]:
    cells = [cell.strip() for cell in doubtful.cells]
    if not doubtful.cells or doubtful.cells == [""]:
        return
    last = doubtful.line - 1  # where the row ends: cells with line breaks are wrong anyway
    if len(cells) != len(columns):
        detail = f"The header has {len(columns)} cells, this row {len(cells)}."
        yield [Found(last, "", "wrong_cell_count", note=detail)]
    elif problems := judge(last, columns, cells):
        yield problems
    else:
        yield [(last, cells)]


class _Doubtful:
    """One row read by the CSV reader from `at` on. A quoted cell may reach over lines, even into the next block."""

    def __init__(self, block: str, at: int, text: Text, line: int, delimiter: str) -> None:
        self.block, self.at, self.line, self._text = block, at, line, text
        try:
            self.cells: list[str] = next(csv.reader(self._lines(), delimiter=delimiter, strict=True), [])
        except csv.Error as problem:
            raise malformed(self.line - 1, problem) from None

    def _lines(self) -> Iterator[str]:
        while True:
            if self.at >= len(self.block):
                self.block, self.at = self._text.block(), 0
                if not self.block:
                    return
            end = self.block.find("\n", self.at) + 1 or len(self.block)
            found, self.at, self.line = self.block[self.at : end], end, self.line + 1
            yield found


def _cell(column: Column, d: str) -> str:
    """The cell bare or in quotes; empty ones are right for every column but the id."""
    shape = _shape(column, d)
    quoted = f'(?:"{shape}"|{shape})'
    return quoted if column.field == "external_id" else f'(?:{quoted}|"")?'


def _shape(column: Column, d: str) -> str:
    if column.field == "segments":
        return "[A-Za-z0-9_]{1,60}"
    if column.kind == "email":
        name = rf"[A-Za-z0-9_]{_LABEL}*(?:\.{_LABEL}+)*"
        domain = r"(?:[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\.)+[A-Za-z]{2,}"
        return rf'(?=[^{d}"\n]{{3,64}}[{d}"\n]){name}@{domain}'
    if column.kind in _SHAPES:
        return _SHAPES[column.kind]
    most = 59 if column.kind in ("word", "words") else column.length_max - 1
    first = rf'(?:[^\s=@+\-"{d}{_CONTROL}]|[+\-](?=[0-9]))'
    return rf'{first}[^"{d}{_CONTROL}]{{0,{most}}}(?<!\s)'


_SHAPES: Final[Mapping[Kind, str]] = {
    "locale": places.LOCALE_PATTERN,
    "time_zone": "[A-Za-z][A-Za-z0-9_+/-]{1,63}",  # then `_with_known_zones` looks
    "country": "[A-Za-z]{2}",
    "membership": "(?ai:invited|active|suspended|removed)",
    "boolean": "(?ai:true|yes|false|no|1|0)",
    "number": r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?",
}
