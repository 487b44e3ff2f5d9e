"""`{% if person.name %}` asks whether there is a name: an empty text is as absent as nil, however the question is put.

Liquid holds an empty text for true, and nil for different from `blank` and "". The hints of the editor, and authors,
read all of these as one question.
"""

from typing import Any

from liquid import TokenStream
from liquid.ast import Node
from liquid.builtin.expressions import Nil, Path
from liquid.builtin.expressions.logical import (
    BooleanExpression,
    EqExpression,
    LogicalAndExpression,
    LogicalOrExpression,
    NeExpression,
)
from liquid.builtin.tags.if_tag import IfTag
from liquid.builtin.tags.unless_tag import UnlessTag
from liquid.context import RenderContext
from liquid.expression import Expression


class Asked(Expression):
    """The value of a path; `nothing` when it is nil or an empty text."""

    __slots__ = ("nothing", "path")

    def __init__(self, path: Path, nothing: str | None) -> None:
        super().__init__(token=path.token)
        self.path, self.nothing = path, nothing

    def __str__(self) -> str:
        return str(self.path)

    def evaluate(self, context: RenderContext) -> object:
        value = self.path.evaluate(context)
        return self.nothing if value is None or (isinstance(value, str) and not value) else value

    def children(self) -> list[Expression]:
        return [self.path]


class AskingIfTag(IfTag):
    def parse(self, stream: TokenStream) -> Node:
        return _asking(super().parse(stream))


class AskingUnlessTag(UnlessTag):
    def parse(self, stream: TokenStream) -> Node:
        return _asking(super().parse(stream))


def _asking(node: Any) -> Node:
    for condition in (node.condition, *(each.expression for each in node.alternatives)):
        if isinstance(condition, BooleanExpression):
            condition.expression = _asked(condition.expression)
    return node  # type: ignore[no-any-return]


def _asked(expression: Expression, nothing: str | None = None) -> Expression:
    """The expression with every path in it asked; `nothing` is what an empty one is compared as."""
    if isinstance(expression, Path):
        return Asked(expression, nothing)
    if isinstance(expression, LogicalAndExpression | LogicalOrExpression):
        expression.left, expression.right = _asked(expression.left), _asked(expression.right)
    elif isinstance(expression, EqExpression | NeExpression):
        sides = (expression.left, expression.right)
        nothing = None if any(isinstance(side, Nil) for side in sides) else ""
        expression.left, expression.right = (_asked(side, nothing) for side in sides)
    return expression
