"""The parts of an import: what passes at a glance is right, order finds repetitions, nothing is made for nobody."""

import csv
import io
import string
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from audiences.importing import order, prepare, screen
from audiences.importing.columns import Column, read_header
from audiences.importing.file import Found
from audiences.importing.judge import is_address, judge
from audiences.importing.order import Sorter
from audiences.importing.prepare import Words

HEADER = (
    "external_id", "email", "name", "country", "membership", "consent.email", "trait.n:number", "lifecycle", "roles",
    "segments", "time_zone", "locale",
)  # fmt: skip
COLUMNS, _ = read_header(HEADER)


class Lines:
    """Stands for the stored file: blocks of whole lines."""

    def __init__(self, text: str, size: int = 64) -> None:
        self._text, self._size = io.StringIO(text), size

    def block(self) -> str:
        found = self._text.read(self._size)
        return found + self._text.readline() if found and not found.endswith("\n") else found


def _read(text: str, columns: list[Column] = COLUMNS, delimiter: str = ",") -> list[Any]:
    return [each for batch in screen.rows(Lines(text), columns, delimiter) for each in batch]  # type: ignore[arg-type]


_ODD = " \t\"';:,=@+-\\\x0b\x1f\x7f\x85\xa0\u2028\u3000\u017f\u212a名é"
_CELLS = st.one_of(
    st.text(alphabet=string.ascii_letters + string.digits + _ODD + ".", max_size=12),
    st.sampled_from(
        ["", "u1", "a@b.c", "\u017fuspended", "active", "ACTIVE", "yes", "no", "t", "DE", "de", "12.5", "-0012.50",
         "+49 30", "+cmd", "@x", "x" * 61, "x" * 255, f"{'x' * 65}@b.example", "a@b", "a..b@c.example", "vip; beta",
         "a;b", "vip people", "1e5", "a@-b.example", "a@b-.example", "a@b.c", "trial", "Mars/X", "Europe/Berlin", "UTC",
         "Etc/GMT+10", "de-AT", "zh_Hant-TW", "de-"]
    ),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.lists(_CELLS, min_size=len(HEADER), max_size=len(HEADER)), min_size=1, max_size=6),
    quoted=st.booleans(),
)
def test_what_passes_at_a_glance_is_what_the_judge_lets_pass(rows: list[list[str]], quoted: bool) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerows(rows)
    right = dict(each for each in _read(text.getvalue()) if not isinstance(each, Found))
    line = 1
    for cells in rows:
        line += 1 + sum(cell.count("\n") for cell in cells)
        stripped = [cell.strip() for cell in cells]
        expected = None if judge(line, COLUMNS, stripped) else stripped
        assert right.get(line) == expected


@settings(max_examples=200, deadline=None)
@given(text=st.one_of(_CELLS, st.emails(), st.builds("{}@{}".format, _CELLS, _CELLS)))
@pytest.mark.django_db
def test_the_judge_and_the_database_agree_on_addresses(text: str) -> None:
    if "\x00" in text or not text:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT audiences_address_state(%s)", [text])
        assert is_address(text) == (cursor.fetchone()[0] == 1)


def test_lines_are_counted_as_an_editor_does() -> None:
    text = 'u1,,"two\nlines",,,,,,,,,\n\nu2,x,,,,,,,,,,\nu3,,,,,,,,,,,\nu4,a\n"u5",,,,,,,,,,,'
    found = _read(text)
    assert [(each.line, each.code) for each in found if isinstance(each, Found)] == [
        (3, "control_character"), (5, "invalid_address"), (7, "wrong_cell_count"),
    ]  # fmt: skip
    assert [each[0] for each in found if not isinstance(each, Found)] == [6, 8]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_delimiter_screens_alike(delimiter: str) -> None:
    columns, _ = read_header(["external_id", "name", "segments"])
    text = delimiter.join(["u1", "Ada", "vip"]) + "\n" + delimiter.join(["u2", '"Ada;, \tL"', '"a;b"']) + "\n"
    right = [each for each in _read(text, columns, delimiter) if not isinstance(each, Found)]
    assert right[0] == (2, ["u1", "Ada", "vip"])


def test_an_unknown_zone_takes_only_its_own_row_out() -> None:
    columns, _ = read_header(["external_id", "time_zone"])
    found = _read("u1,Europe/Berlin\nu2,Mars/X\nu3,\nu4,UTC\n", columns)
    assert [(each.line, each.code) for each in found if isinstance(each, Found)] == [(3, "unknown_time_zone")]
    assert [each[0] for each in found if not isinstance(each, Found)] == [2, 4, 5]


def test_rows_are_sorted_on_disk_and_the_first_line_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "ROWS_IN_MEMORY_MAX", 3)
    sorter = Sorter(0)
    for line, who in enumerate(["b", "a", "c", "a!", "b", "a", "d"], start=2):
        sorter.add([(line, [who, "x"])])
    for _ in range(2):  # it can be read again
        assert [(each.who, each.line, each.first) for each in sorter.read()] == [
            ("a", 3, 0), ("a", 7, 3), ("a!", 5, 0), ("b", 2, 0), ("b", 6, 2), ("c", 4, 0), ("d", 8, 0),
        ]  # fmt: skip
    sorter.close()


def test_the_words_of_a_file_are_gathered_in_flat_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "CELLS_SEEN_MAX", 2)
    columns, _ = read_header(["external_id", "plan", "roles", "segments"])
    words = Words(columns)
    words.add([(2, ["u1", "free", "a;b", "vip"]), (3, ["u2", "green", "b; c ", ""])])
    words.add([(4, ["u3", "", "a;d", "vip;beta"])])
    assert words.names() == {
        ("plan", "free"), ("plan", "green"), ("role", "a"), ("role", "b"), ("role", "c"), ("role", "d"),
        ("segment", "vip"), ("segment", "beta"),
    }  # fmt: skip


def test_what_is_made_ahead_arrives_in_order_and_raises_where_it_is_read() -> None:
    def numbers() -> Iterator[int]:
        yield from range(5)
        raise ValueError("the fifth")

    seen: list[int] = []
    with pytest.raises(ValueError, match="the fifth"):
        seen.extend(prepare.ahead(numbers()))
    assert seen == [0, 1, 2, 3, 4]
    assert list(prepare.ahead(range(100))) == list(range(100))


def test_nothing_is_made_ahead_once_nobody_reads() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1_000):
            made.append(number)
            yield number

    reader = prepare.ahead(numbers())
    assert next(reader) == 0
    reader.close()  # type: ignore[attr-defined]
    assert len(made) <= 2 + prepare.BATCHES_AHEAD + 1
