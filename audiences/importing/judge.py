"""What each cell may say, one row at a time: the exact answer for rows that `screen` would not let pass at a glance."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from audiences.importing.columns import Column, Kind
from audiences.importing.file import Found
from audiences.places import JUDGES as PLACES

TRUE_WORDS: Final = frozenset({"true", "t", "yes", "y", "1"})
FALSE_WORDS: Final = frozenset({"false", "f", "no", "n", "0"})
MEMBERSHIPS: Final = {"invited": 1, "active": 2, "suspended": 3, "removed": 4}
VALUE_SHOWN_MAX: Final = 200
DETAILS: Final[Mapping[str, str]] = {
    "missing": "Every row needs an external_id.",
    "too_long": "This is longer than {note} characters.",
    "formula": "This looks like a spreadsheet formula. Export the values of the sheet, not its formulas.",
    "control_character": "This holds a control character, such as a line break.",
    "invalid_address": "This is no e-mail address.",
    **{code: accepted for _, code, accepted in PLACES.values()},
    "invalid_membership": "Use invited, active, suspended or removed.",
    "invalid_boolean": "Use true or false.",
    "invalid_number": "This is no number. Use digits and a point, such as 12.5.",
    "invalid_segment": "Segments are named by letters, digits, - and _, separated by semicolons.",
    "invalid_words": "Separate names by semicolons; each may have 60 characters.",
    "repeated_person": "Line {note} speaks of the same external_id.",
    "erased_person": "This person was erased. An import can't bring an erased person back.",
}
CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
# A leading =, @, or + and - before a letter or bracket starts a formula in every spreadsheet.
_FORMULA: Final = re.compile(r"[=@]|[+-][A-Za-z(]")
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS: Final = re.compile(
    rf"{_ATOM}(?:\.{_ATOM})*@(?:[A-Za-z0-9](?:-*[A-Za-z0-9])*\.)+[A-Za-z](?:-*[A-Za-z0-9])+", re.ASCII
)
_SHAPES: Final[Mapping[Kind, tuple[re.Pattern[str], str]]] = {
    "number": (re.compile(r"-?[0-9]{1,15}(?:[.][0-9]{1,9})?"), "invalid_number"),
    "words": (re.compile("[^;]{0,60}(?:;[^;]{0,60})*"), "invalid_words"),
}
_SEGMENTS: Final = re.compile("[A-Za-z0-9_-]{0,60} *(?:; *[A-Za-z0-9_-]{0,60} *)*")


def is_address(text: str) -> bool:
    """The same answer as the database's `audiences_address_state`."""
    if len(text) > 254 or not 0 < text.find("@") <= 64 or not _ADDRESS.fullmatch(text):
        return False
    return len(text) < 66 or max(map(len, text.split("@", 1)[1].split("."))) < 64


def judge(line: int, columns: Sequence[Column], cells: Sequence[str]) -> list[Found]:
    """Everything that is wrong with a row; the cells are stripped. Nothing: the row is right."""
    return [
        Found(line, column.title, code, cell[:VALUE_SHOWN_MAX], str(column.length_max))
        for column, cell in zip(columns, cells, strict=True)
        if (code := _code(column, cell))
    ]


def _code(column: Column, cell: str) -> str:
    if not cell:
        return "missing" if column.field == "external_id" else ""
    if len(cell) > column.length_max:
        return "too_long"
    if CONTROL.search(cell):
        return "control_character"
    if _FORMULA.match(cell):
        return "formula"
    return _typed(column, cell)


def _typed(column: Column, cell: str) -> str:
    if column.field == "segments":
        return "" if _SEGMENTS.fullmatch(cell) else "invalid_segment"
    if column.kind == "email":
        return "" if is_address(cell) else "invalid_address"
    if column.kind == "membership":
        return "" if cell.lower() in MEMBERSHIPS else "invalid_membership"
    if column.kind == "boolean":
        return "" if cell.lower() in TRUE_WORDS | FALSE_WORDS else "invalid_boolean"
    if column.kind in PLACES:
        is_right, code, _ = PLACES[column.kind]
        return "" if is_right(cell) else code
    if column.kind in _SHAPES:
        shape, code = _SHAPES[column.kind]
        return "" if shape.fullmatch(cell) else code
    return ""
