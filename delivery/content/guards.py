"""Which values a Liquid text writes out without asking whether they are there. Reads marks in order, once."""

import re
from collections.abc import Iterator

from delivery.content.liquids import MARK

_TAG = re.compile(r"\{%-?\s*(?P<name>[a-z]+)(?P<rest>.*?)-?%\}", re.DOTALL)
_BARE = re.compile(r"\{\{-?\s*([a-z_][\w.]*)\s*-?\}\}", re.IGNORECASE)
_PRESENT = re.compile(r"^\s*(?P<path>[a-z_][\w.]*)\s*(?:!=\s*(?:blank|empty|nil|null|\"\"|''))?\s*$", re.IGNORECASE)
_ABSENT = re.compile(r"^\s*(?P<path>[a-z_][\w.]*)\s*==\s*(?:blank|empty|nil|null|\"\"|'')\s*$", re.IGNORECASE)
_BLOCKS = frozenset({"if", "unless", "for", "case", "capture"})


def unguarded_outputs(source: str) -> Iterator[tuple[str, int]]:
    """Each path that is written without a filter and outside of a block that asked for it, at its first such place."""
    seen: set[str] = set()
    blocks: list[tuple[str, str, frozenset[str]]] = []  # tag, its condition, the paths that are there inside
    for mark in MARK.finditer(source):
        bare = _BARE.fullmatch(mark[0])
        if bare:
            path = bare[1]
            if path not in seen and not any(path in inside for _, _, inside in blocks):
                seen.add(path)
                yield path, mark.start()
        elif tag := _TAG.fullmatch(mark[0]):
            _enter(blocks, tag["name"], tag["rest"])


def first_use(source: str, path: str) -> int:
    """Where a mark names the path first; -1 if none does."""
    word = re.compile(rf"(?<![\w.]){re.escape(path)}(?![\w.])")
    for mark in MARK.finditer(source):
        if word.search(mark[0]):
            return mark.start()
    return -1


def unbalanced_at(source: str) -> int:
    """The start of the innermost block without an end; -1 if all have one."""
    opened: list[tuple[str, int]] = []
    for mark in MARK.finditer(source):
        tag = _TAG.fullmatch(mark[0])
        if tag and tag["name"] in _BLOCKS:
            opened.append((tag["name"], mark.start()))
        elif tag and opened and tag["name"] == f"end{opened[-1][0]}":
            opened.pop()
    return opened[-1][1] if opened else -1


def _enter(blocks: list[tuple[str, str, frozenset[str]]], name: str, condition: str) -> None:
    if name == "if":
        blocks.append((name, condition, _there(condition, _PRESENT)))
    elif name == "unless":
        blocks.append((name, condition, _there(condition, _ABSENT)))
    elif name in _BLOCKS:
        blocks.append((name, "", frozenset()))
    elif name == "elsif" and blocks:
        blocks[-1] = (blocks[-1][0], condition, _there(condition, _PRESENT))
    elif name == "else" and blocks:
        kind, asked, _ = blocks[-1]
        other = _PRESENT if kind == "unless" else _ABSENT
        alone = asked if " and " not in asked and kind in ("if", "unless") else ""
        blocks[-1] = (kind, asked, _there(alone, other))
    elif name.startswith("end") and blocks:
        blocks.pop()


def _there(condition: str, shape: re.Pattern[str]) -> frozenset[str]:
    """The paths that must have a value where the condition holds. "Or" promises nothing of either side."""
    if " or " in condition:
        return frozenset()
    return frozenset(match["path"] for part in condition.split(" and ") if (match := shape.match(part)))
