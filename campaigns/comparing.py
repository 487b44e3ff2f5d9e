"""Two versions of a template side by side: every text that differs, line beside line, with the words that changed."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from campaigns.models import TemplateVersion
from campaigns.templates import TEXTS

LABELS = {"subject": "Subject", "preheader": "Preheader", "body": "Body", "text": "Plain text"}
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_NOTHING = {"Written in": "Markdown", "Layout": "The standard one"}  # not worth a word in a first version
Piece = tuple[bool, str]  # whether it changed, and the text


@dataclass(frozen=True, slots=True)
class Row:
    """One line of each version; None where the other has no such line. `kind` says what happened to it."""

    kind: Literal["same", "changed", "added", "removed"]
    left: tuple[Piece, ...] | None
    right: tuple[Piece, ...] | None
    left_number: int | None
    right_number: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """One text of the message, such as the body in German."""

    label: str
    rows: tuple[Row, ...]


def compare(before: TemplateVersion | None, after: TemplateVersion) -> list[Part]:
    """The texts that differ, in the order of the editor; all of them where there is nothing to compare with."""
    return compare_texts(_texts(before) if before else _NOTHING, _texts(after))


def compare_texts(old: Mapping[str, str], new: Mapping[str, str]) -> list[Part]:
    """The same for texts by their label."""
    found = []
    for label in [*new, *(each for each in old if each not in new)]:
        left, right = old.get(label, ""), new.get(label, "")
        if left != right:
            found.append(
                Part(label, tuple(_rows(left.split("\n") if left else [], right.split("\n") if right else [])))
            )
    return found


def _texts(version: TemplateVersion) -> dict[str, str]:
    found = {LABELS[name]: str(getattr(version, name)) for name in TEXTS}
    found |= {"Written in": version.get_format_display(), "Layout": version.layout or "The standard one"}
    for locale, words in sorted(version.variants.items()):
        found |= {f"{LABELS[name]}, {locale}": words.get(name, "") for name in TEXTS}
    return found


def _rows(left: Sequence[str], right: Sequence[str]) -> Iterator[Row]:
    for kind, start, end, other_start, other_end in difflib.SequenceMatcher(None, left, right, False).get_opcodes():
        both = max(end - start, other_end - other_start)
        for place in range(both):
            here = start + place if start + place < end else None
            there = other_start + place if other_start + place < other_end else None
            yield _row(kind == "equal", left, right, here, there)


def _row(same: bool, left: Sequence[str], right: Sequence[str], here: int | None, there: int | None) -> Row:
    numbers = (None if here is None else here + 1, None if there is None else there + 1)
    if here is None or there is None:
        one = None if here is None else ((True, left[here]),)
        other = None if there is None else ((True, right[there]),)
        return Row("added" if here is None else "removed", one, other, *numbers)
    if same:
        return Row("same", ((False, left[here]),), ((False, right[there]),), *numbers)
    return Row("changed", *_words(left[here], right[there]), *numbers)


def _words(left: str, right: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    olds, news = _WORDS.findall(left), _WORDS.findall(right)
    one, other = list[Piece](), list[Piece]()
    for kind, start, end, other_start, other_end in difflib.SequenceMatcher(None, olds, news, False).get_opcodes():
        if end > start:
            one.append((kind != "equal", "".join(olds[start:end])))
        if other_end > other_start:
            other.append((kind != "equal", "".join(news[other_start:other_end])))
    return tuple(one), tuple(other)
