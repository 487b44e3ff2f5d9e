"""What the buttons of the builder do to a draft."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from audiences.builder.draft import NODES_MAX, ROOT, DraftCondition, DraftGroup, DraftNode, new_condition, walk
from audiences.rules.ast import CONDITIONS_MAX, DEPTH_MAX
from audiences.rules.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Step:
    """What one press of a button led to: the next draft, and the element that gets the focus."""

    draft: DraftGroup
    focus: str = ""
    refused: str = ""


def act(draft: DraftGroup, do: str, vocabulary: Vocabulary, today: date) -> Step:
    """One step: `cond:<group>`, `group:<group>`, `dup:<node>`, `del:<node>`. Anything else changes nothing."""
    verb, _, target = do.partition(":")
    if verb in ("cond", "group"):
        return _add(draft, verb, target, vocabulary, today)
    if verb == "dup":
        return _duplicate(draft, target)
    if verb == "del":
        return _delete(draft, target)
    return Step(draft)


def _add(draft: DraftGroup, verb: str, target: str, vocabulary: Vocabulary, today: date) -> Step:
    group, depth = _find(draft, target)
    if not isinstance(group, DraftGroup):
        return Step(draft)
    if _condition_count(draft) >= CONDITIONS_MAX:
        return Step(draft, refused=f"A rule may have {CONDITIONS_MAX} conditions.")
    fresh = _fresh_ids(draft)
    condition = new_condition(next(fresh), vocabulary, today)
    added: DraftNode = condition
    if verb == "group":
        if depth >= DEPTH_MAX:
            return Step(draft, refused=f"Groups may be nested {DEPTH_MAX} deep.")
        added = DraftGroup(next(fresh), "any" if group.mode == "all" else "all", (condition,))
    changed = _replaced(draft, target, replace(group, children=(*group.children, added)))
    return Step(changed, focus=f"f-{condition.id}")


def _duplicate(draft: DraftGroup, target: str) -> Step:
    node, _ = _find(draft, target)
    if node is None or target == ROOT:
        return Step(draft)
    if _condition_count(draft) + _condition_count(node) > CONDITIONS_MAX:
        return Step(draft, refused=f"A rule may have {CONDITIONS_MAX} conditions.")
    copy = _renamed(node, _fresh_ids(draft))
    focus = f"f-{copy.id}" if isinstance(copy, DraftCondition) else f"add-{copy.id}"
    return Step(_with_children(draft, target, (node, copy)), focus=focus)


def _delete(draft: DraftGroup, target: str) -> Step:
    """A group that loses its last row goes too, up to the root."""
    parent = _parent(draft, target)
    if parent is None:
        return Step(draft)
    if len(parent.children) == 1 and parent.id != ROOT:
        return _delete(draft, parent.id)
    return Step(_with_children(draft, target, ()), focus=f"add-{parent.id}")


def _find(draft: DraftGroup, target: str) -> tuple[DraftNode | None, int]:
    return next(((node, depth) for node, depth in walk(draft) if node.id == target), (None, 0))


def _parent(draft: DraftGroup, target: str) -> DraftGroup | None:
    groups = (node for node, _ in walk(draft) if isinstance(node, DraftGroup))
    return next((group for group in groups if any(child.id == target for child in group.children)), None)


def _condition_count(node: DraftNode) -> int:
    return sum(isinstance(each, DraftCondition) for each, _ in walk(node))


def _fresh_ids(draft: DraftGroup) -> Iterator[str]:
    taken = {node.id for node, _ in walk(draft)}
    return (f"n{number}" for number in range(1, 10 * NODES_MAX) if f"n{number}" not in taken)


def _renamed(node: DraftNode, ids: Iterator[str]) -> DraftNode:
    if isinstance(node, DraftCondition):
        return replace(node, id=next(ids))
    return DraftGroup(next(ids), node.mode, tuple(_renamed(child, ids) for child in node.children))


def _replaced(draft: DraftGroup, target: str, by: DraftGroup) -> DraftGroup:
    if draft.id == target:
        return by
    return _with_children(draft, target, (by,))


def _with_children(group: DraftGroup, target: str, by: Sequence[DraftNode]) -> DraftGroup:
    """The tree with the node `target` replaced by none, one or several nodes."""
    found: list[DraftNode] = []
    for child in group.children:
        if child.id == target:
            found.extend(by)
        else:
            found.append(_with_children(child, target, by) if isinstance(child, DraftGroup) else child)
    return replace(group, children=tuple(found))
