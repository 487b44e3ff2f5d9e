"""Cells of a CSV that somebody will open in a spreadsheet: none of them is run as a formula."""

from typing import Final

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


class Line:
    """Where csv.writer writes a line to, so that it can be sent."""

    def write(self, text: str) -> str:
        return text


def safe_cell(text: str) -> str:
    """The text, behind an apostrophe where it would start a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
