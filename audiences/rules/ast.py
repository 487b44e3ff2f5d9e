"""What a rule is once it was read: a tree of frozen nodes. Every node has a path, and every condition a bit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lamba_campaigns.lib.canonical import digest as canonical_digest

Mode = Literal["all", "any", "none"]
MODES: tuple[Mode, ...] = ("all", "any", "none")
Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...] | None
DEPTH_MAX = 4  # groups within groups, the root being the first
CONDITIONS_MAX = 40  # each has one bit of the snapshot's bigint `truth`


@dataclass(frozen=True, slots=True)
class Condition:
    """One question about one person. `type` is said for traits alone; other fields know theirs."""

    field: str
    op: str
    value: Value = None
    type: str | None = None

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"field": self.field, "op": self.op}
        if self.type is not None:
            found["type"] = self.type
        if self.value is not None:
            found["value"] = list(self.value) if isinstance(self.value, tuple) else self.value
        return found


@dataclass(frozen=True, slots=True)
class Group:
    """All, any or none of its children hold. A group without children holds for everyone under all and none."""

    mode: Mode
    children: tuple["Node", ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {self.mode: [child.as_json() for child in self.children]}


Node = Condition | Group


@dataclass(frozen=True, slots=True)
class Rule:
    """A whole rule. Paths are JSON pointers into `as_json()`: "" is the root, "/all/0" its first child."""

    root: Group

    def as_json(self) -> dict[str, Any]:
        return self.root.as_json()

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Every node with its path, parents before children, in reading order."""
        return _walk("", self.root)

    def conditions(self) -> list[tuple[str, Condition]]:
        """Every condition with its path. The place in this list is the condition's bit in `truth`."""
        return [(path, node) for path, node in self.walk() if isinstance(node, Condition)]

    def bits(self) -> Mapping[str, int]:
        """Condition path -> bit number."""
        return {path: bit for bit, (path, _) in enumerate(self.conditions())}

    def digest(self) -> bytes:
        """SHA-256 over the canonical JSON: equal rules have equal digests."""
        return canonical_digest(self.as_json())


def child_path(path: str, group: Group, index: int) -> str:
    """The path of a group's child."""
    return f"{path}/{group.mode}/{index}"


def _walk(path: str, node: Node) -> Iterator[tuple[str, Node]]:
    yield path, node
    if isinstance(node, Group):
        for index, child in enumerate(node.children):
            yield from _walk(child_path(path, node, index), child)
