"""`{% render 'name' %}` is the text of a snippet in its place, before anything else is read.

So a snippet may hold whatever may stand there: Markdown, MJML, fields. What it assigns is known behind it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from delivery.content.liquids import MARK

DEPTH_MAX: Final = 5
CHARS_MAX: Final = 100_000  # of a text with its snippets
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_RENDER: Final = re.compile(r"\{%-?\s*render\b(?P<rest>.*?)-?%\}", re.DOTALL)
_NAMED: Final = re.compile(r"\s*(['\"])(?P<name>[^'\"\n]{1,80})\1\s*")


class BadSnippet(Exception):
    """A snippet can't be put in. `index` is where the text asked for it."""

    def __init__(self, detail: str, index: int = 0) -> None:
        super().__init__(detail)
        self.index = index


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of the whole text, from `start` on: the author's own from `origin`, or a snippet asked for there."""

    start: int
    origin: int
    snippet: str


@dataclass(frozen=True, slots=True)
class Expanded:
    """The whole text, and where each part of it came from."""

    text: str
    pieces: tuple[Piece, ...]

    def origin(self, index: int) -> tuple[int, str]:
        """Where a character stood in the author's text, and the snippet that it is of ('' for the author's own)."""
        piece = next(each for each in reversed(self.pieces) if each.start <= index)
        return (piece.origin, piece.snippet) if piece.snippet else (piece.origin + index - piece.start, "")


def names(source: str) -> set[str]:
    """The snippets that a text asks for itself."""
    return {name for _, _, name in _asked(source)}


def blanked(source: str) -> str:
    """The text with blanks where it asks for snippets, so that everything else keeps its place."""
    return MARK.sub(lambda mark: re.sub(r"\S", " ", mark[0]) if _RENDER.fullmatch(mark[0]) else mark[0], source)


def expand(source: str, snippets: Mapping[str, str]) -> Expanded:
    """The text with every snippet in its place. BadSnippet for one that is not there, a circle, or too much text."""
    pieces, made, length, position = [Piece(0, 0, "")], list[str](), 0, 0
    for start, end, name in _asked(source):
        own = source[position:start]
        try:
            body = _body(name, snippets, ())
        except BadSnippet as problem:
            raise BadSnippet(str(problem), start) from None
        made += [own, body]
        pieces += [Piece(length + len(own), start, name), Piece(length + len(own) + len(body), end, "")]
        length, position = length + len(own) + len(body), end
        if length > CHARS_MAX:
            raise BadSnippet(f"With its snippets the text has more than {CHARS_MAX:,} characters.", start)
    return Expanded("".join(made) + source[position:], tuple(pieces))


def _asked(source: str) -> Iterator[tuple[int, int, str]]:
    for mark in MARK.finditer(source):
        tag = _RENDER.fullmatch(mark[0])
        if tag is None:
            continue
        named = _NAMED.fullmatch(tag["rest"])
        if named is None:
            raise BadSnippet("render takes the name of a snippet alone: {% render 'footer' %}.", mark.start())
        yield mark.start(), mark.end(), named["name"]


def _body(name: str, snippets: Mapping[str, str], above: tuple[str, ...]) -> str:
    if name in above:
        raise BadSnippet(f"The snippets {' > '.join((*above, name))} hold each other in a circle.")
    if len(above) >= DEPTH_MAX:
        raise BadSnippet(f"Snippets stand in snippets more than {DEPTH_MAX} deep: {' > '.join((*above, name))}.")
    if name not in snippets:
        raise BadSnippet(f"There is no published snippet {name!r} here.")
    body, made, position = snippets[name].rstrip("\n"), "", 0
    for start, end, inner in _asked(body):
        made += body[position:start] + _body(inner, snippets, (*above, name))
        position = end
        if len(made) > CHARS_MAX:
            raise BadSnippet(f"The snippet {name!r} has more than {CHARS_MAX:,} characters with what it holds.")
    return made + body[position:]
