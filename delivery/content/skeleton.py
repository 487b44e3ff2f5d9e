"""A template version as bytes with holes: static text is encoded for the wire once, a person only fills the slots.

A slot stands between soft line breaks of quoted-printable, so that what fills it can't move a line's end in the text
around it. Only values whose bytes need no thought go in here; a template with logic, and a person with an unusual
value, are rendered and encoded whole. Both ways read back the same: a property test holds them against each other.
"""

import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from liquid import BoundTemplate
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path, StringLiteral
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.comment_tag import CommentNode
from markupsafe import escape

from delivery.content import liquids

COLUMNS_MAX = 75  # of a line, without the "=" of a soft break
STATIC_BYTES_MAX = 150_000  # far from Liquid's own limit of output, which is not looked at here
VALUE_CHARS_MAX = 1_000
SLOTS_MAX = 2_000
VALUES_KNOWN_MAX = 2_000
MISSING = object()  # no text: unusual
SOFT_BREAK = b"=\r\n"
_EASY = re.compile(r"(?! )[\x20-\x3c\x3e-\x7e]{0,75}(?<! )")  # goes over the wire as it is, on a line of its own
_EASIEST = re.compile(
    r"(?! )[\x20-\x21\x23-\x25\x28-\x3b\x3f-\x7e]{1,75}(?<! )"
).fullmatch  # and HTML has nothing to escape
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_BLANK_LINES = re.compile(r"(?<![ \t])[ \t]*\n(?:[ \t]*\n){2,}")  # from the start of a run alone: linear
_TOKEN_END = re.compile(rb"=[0-9A-F]?\Z")
_RESERVED = frozenset({"size", "first", "last"})  # Liquid reads these as questions about the value before them


class Unusual(Exception):
    """This person's values need the long way."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One value of a person (or, with a path of one step, one given with the message) in one kind of text."""

    path: tuple[str, ...]
    html: bool
    link: bool
    empty: str  # what Liquid writes for nil and for an empty text
    tight: bool = False  # its line would be blank without it, and blank lines are tidied away


@dataclass(frozen=True, slots=True)
class Body:
    """Encoded pieces, with the number of the slot whose value stands behind each but the last."""

    pieces: tuple[bytes, ...]
    slots: tuple[int, ...]


class Skeleton:
    """Subject, text and HTML part of a message. Bodies name their slots by number, slots their values."""

    def __init__(self, *, subject: Sequence[str | Slot], slots: Sequence[Slot], text: Body, html: Body) -> None:
        self._subject, self._text, self._html = subject, text, html
        paths = list(dict.fromkeys(slot.path for slot in slots))
        self._paths = [(len(path), path[-1]) for path in paths]
        self._slots = [(slot, paths.index(slot.path), not slot.link) for slot in slots]
        self._known: dict[tuple[int, str | None], bytes] = {}  # a few values fill most slots

    def fill(self, person: Mapping[str, Any], given: Mapping[str, str]) -> tuple[str, bytes, bytes]:
        """The subject, and the two parts encoded. Unusual when this person has to be rendered whole."""
        places = (given, person, person.get("traits") or {})
        subject = [
            each if isinstance(each, str) else _text(each, places[len(each.path) - 1].get(each.path[-1], MISSING))
            for each in self._subject
        ]
        given_values, easy = [], []  # most values are their own encoding, wherever they stand
        for steps, name in self._paths:
            value = places[steps - 1].get(name, MISSING)
            given_values.append(value)
            easy.append(value.encode() if value.__class__ is str and _EASIEST(value) else None)
        values = [
            easy[at] if free and easy[at] is not None else self._encoded(number, slot, given_values[at])
            for number, (slot, at, free) in enumerate(self._slots)
        ]
        return "".join(subject), _filled(self._text, values), _filled(self._html, values)  # type: ignore[arg-type]

    def _encoded(self, number: int, slot: Slot, value: Any) -> bytes:
        """As `_encoded` below, remembered. Only text and nil are: 1, True and 1.0 would be one key."""
        if value is not None and value.__class__ is not str:
            return _encoded(slot, _text(slot, value))
        found = self._known.get((number, value))
        if found is None:
            found = _encoded(slot, _text(slot, value))
            if len(self._known) >= VALUES_KNOWN_MAX:
                self._known.clear()
            self._known[number, value] = found
        return found


def build(*, subject: BoundTemplate, html: BoundTemplate, text: BoundTemplate) -> Skeleton | None:
    """The skeleton of three Liquid templates, or None when they hold more than text and plain values."""
    slots: dict[Slot, int] = {}
    try:
        line = tuple(_parts(subject, html=False))
        bodies = {"text": _body(text, slots, html=False), "html": _body(html, slots, html=True)}
        return Skeleton(subject=line, slots=tuple(slots), **bodies)
    except Unusual:
        return None


def quoted_printable(text: str) -> bytes:
    """CRLF lines within 76 columns, from text whose lines end in LF."""
    return binascii.b2a_qp(text.encode("utf-8", "replace"), istext=True).replace(b"\n", b"\r\n")


# --- once per template version --------------------------------------------------------------------------------------
def _body(template: BoundTemplate, slots: dict[Slot, int], *, html: bool) -> Body:
    parts = list(_parts(template, html=html))
    statics = [part for part in parts if isinstance(part, str)]
    if not html:
        statics = _tidied(statics)
    found = [part for part in parts if not isinstance(part, str)]
    if sum(map(len, statics)) > STATIC_BYTES_MAX or len(found) > SLOTS_MAX:
        raise Unusual
    if not html:
        found = [_with_lines(slot, statics[at], statics[at + 1]) for at, slot in enumerate(found)]
    last = len(statics) - 1
    pieces = tuple(_piece(static, opens=at > 0, closes=at < last) for at, static in enumerate(statics))
    return Body(pieces, tuple(slots.setdefault(slot, len(slots)) for slot in found))


def _parts(template: BoundTemplate, *, html: bool) -> Iterator[str | Slot]:
    """Static text and slots in turn, text first and last (perhaps empty)."""
    static = ""
    for node in template.nodes:
        if isinstance(node, ContentNode):
            static += node.text
        elif isinstance(node, OutputNode):
            yield _one_ending(static)
            static = ""
            yield _slot(template, node, html=html)
        elif not isinstance(node, CommentNode):
            raise Unusual
    yield _one_ending(static)


def _slot(template: BoundTemplate, node: OutputNode, *, html: bool) -> Slot:
    expression = node.expression
    if not isinstance(expression, FilteredExpression) or not isinstance(expression.left, Path):
        raise Unusual
    path = tuple(step for step in expression.left.path if isinstance(step, str) and step not in _RESERVED)
    if len(path) != len(expression.left.path):
        raise Unusual
    names = [each.name for each in expression.filters or ()]
    if names not in ([], ["default"], ["link"], ["default", "link"]):
        raise Unusual
    for each in expression.filters or ():
        if len(each.args) != (each.name == "default") or not all(_is_text(argument) for argument in each.args):
            raise Unusual
    if not (len(path) == 1 or (path[0] == "person" and (len(path) == 2 or (len(path) == 3 and path[1] == "traits")))):
        raise Unusual
    return Slot(path, html, "link" in names, _empty(template, node, path))


def _is_text(argument: Any) -> bool:
    return type(argument).__name__ == "PositionalArgument" and isinstance(argument.value, StringLiteral)


def _empty(template: BoundTemplate, node: OutputNode, path: tuple[str, ...]) -> str:
    """What Liquid itself writes for a nil value."""
    data: dict[str, Any] = {}
    place = data
    for step in path[:-1]:
        place = place.setdefault(step, {})
    place[path[-1]] = None
    return str(type(template)(template.env, [node]).render(data))


def _one_ending(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _tidied(statics: Sequence[str]) -> list[str]:
    """`markup.tidy` on the text between slots: the same as on the whole while no value is blank or ends in blanks."""
    found = [_BLANK_LINES.sub("\n\n", static) for static in statics]
    found[0] = found[0].lstrip()
    found[-1] = found[-1].rstrip() + "\n"
    return found


def _with_lines(slot: Slot, before: str, after: str) -> Slot:
    """`tight` where an empty value could leave a blank line, add one behind it, or begin the text by a blank."""
    seen_before = bool(before.rpartition("\n")[2].strip())
    seen_after = bool(after.partition("\n")[0].strip()) and (bool(before) or not after[:1].isspace())
    return replace(slot, tight=not (seen_after or (seen_before and not after[:1].isspace())))


def _piece(static: str, *, opens: bool, closes: bool) -> bytes:
    """Static text encoded, fenced where a slot is next to it. Lines that end anyway need no soft break."""
    encoded = _ended(quoted_printable(static)) if closes else quoted_printable(static)
    fence = SOFT_BREAK if closes and encoded and not encoded.endswith(b"\n") else b""
    return (SOFT_BREAK if opens and not encoded.startswith(b"\r\n") else b"") + encoded + fence


def _ended(encoded: bytes) -> bytes:
    """The same with room for a soft break at its end."""
    start = encoded.rfind(b"\n") + 1
    if len(encoded) - start <= COLUMNS_MAX:
        return encoded
    cut = start + COLUMNS_MAX - 3
    while _TOKEN_END.search(encoded[start:cut]):
        cut -= 1
    return encoded[:cut] + SOFT_BREAK + encoded[cut:]


# --- once per person ------------------------------------------------------------------------------------------------
def _text(slot: Slot, value: Any) -> str:
    """What Liquid writes in the slot's place."""
    if value is MISSING and len(slot.path) == 3:
        value = None  # traits differ from person to person
    if value is None or value == "":
        return slot.empty
    if value.__class__ is not str:
        if value.__class__ is not int:
            raise Unusual
        value = str(value)
    if slot.link:
        value = liquids.link(value)
    return str(escape(value)) if slot.html else value


def _encoded(slot: Slot, text: str) -> bytes:
    if not text:
        if slot.tight:
            raise Unusual
        return b""
    if _EASY.fullmatch(text):
        return text.encode()
    if len(text) > VALUE_CHARS_MAX or _CONTROL.search(text) or (not slot.html and text != text.strip()):
        raise Unusual
    return _ended(quoted_printable(text))


def _filled(body: Body, values: Sequence[bytes]) -> bytes:
    made = [b""] * (2 * len(body.slots) + 1)
    made[::2] = body.pieces
    made[1::2] = [values[number] for number in body.slots]
    return b"".join(made)
