"""Right rows sorted by who they speak of, on disk when they are many; of rows about one person the first one stands.

The order is that of `ensure_people`, so an import and the events of the same people queue up instead of deadlocking.
Cells hold no control characters, so a tab between them sorts before every letter and needs no quoting.
"""

import heapq
import tempfile
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

from audiences.importing.screen import Row

ROWS_IN_MEMORY_MAX: Final = 60_000


class Ordered(NamedTuple):
    """One right row. `first` is the line of an earlier row about the same person, or 0."""

    line: int
    who: str
    cells: list[str]
    first: int


class Sorter:
    """Give it rows, then read them back in order. The id stands at `key` among a row's cells."""

    def __init__(self, key: int) -> None:
        self._key = key
        self._kept: list[str] = []
        self._runs: list[IO[str]] = []

    def add(self, rows: list[Row]) -> None:
        key, tabbed = self._key, "\t".join
        self._kept += [f"{cells[key]}\t{line:09d}\t{tabbed(cells)}\n" for line, cells in rows]
        if len(self._kept) >= ROWS_IN_MEMORY_MAX:
            self._spill()

    def read(self) -> Iterator[Ordered]:
        """By id, then by line. It can be read again."""
        self._kept.sort()
        for run in self._runs:
            run.seek(0)
        merged = heapq.merge(*self._runs, self._kept) if self._runs else iter(self._kept)
        known, first = "", 0
        for each in merged:
            who, number, *cells = each[:-1].split("\t")
            line = int(number)
            if who == known:
                yield Ordered(line, who, cells, first)
            else:
                known, first = who, line
                yield Ordered(line, who, cells, 0)

    def close(self) -> None:
        for run in self._runs:
            run.close()
        self._kept.clear()

    def _spill(self) -> None:
        self._kept.sort()
        run = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115 - closed by close()
        run.writelines(self._kept)
        self._runs.append(run)
        self._kept = []
