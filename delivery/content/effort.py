"""How much work one rendering may do. Counted in steps, never in seconds: what a preview can fill, a send can fill.

A loop costs its rounds times the length of what stands in it, a filter the size of what it reads and makes.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from liquid import BoundTemplate, RenderContext
from liquid.ast import BlockNode
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.exceptions import FilterArgumentError, LiquidError, LoopIterationLimitError, ResourceLimitError
from liquid.token import Token

STEPS_MAX = 100_000
SOURCE_CHARS_A_STEP = 8
VALUE_CHARS_A_STEP = 50
STEPS_AN_ITEM = 4
VALUE_CHARS_MAX = 200_000  # of what a filter makes
VALUE_ITEMS_MAX = 1_000
VALUE_BITS_MAX = 128  # of a number that a filter makes
TAGS_STRIPPED_MAX = 1_000  # `strip_html` reads the rest of the text anew for each


class TooMuchWork(ResourceLimitError):
    """The template would keep a worker busy; it is not a message."""


class MeasuredContext(RenderContext):
    """Adds up the steps of one rendering."""

    __slots__ = ("steps", "weight")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps, self.weight = 0, 1

    def spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > STEPS_MAX:
            raise TooMuchWork("The message takes too much work to fill", token=None)

    def loop(self, namespace: Mapping[str, object], forloop: Any) -> Any:
        """As before, and paid for all its rounds before the first."""
        self.raise_for_loop_limit(forloop.length)
        self.spend(forloop.length * self.weight)
        return super().loop(namespace, forloop)


class MeasuredTemplate(BoundTemplate):
    context_class = MeasuredContext


class MeasuredFor(ForNode):
    """Knows how long its block is."""

    __slots__ = ("weight",)

    def __init__(
        self, token: Token, expression: LoopExpression, block: BlockNode, default: BlockNode | None = None
    ) -> None:
        super().__init__(token, expression, block, default)
        self.weight = 1 + len(str(block)) // SOURCE_CHARS_A_STEP

    def render_to_output(self, context: RenderContext, buffer: Any) -> int:
        assert isinstance(context, MeasuredContext)
        context.weight = self.weight  # read by `loop` before anything else is rendered
        return super().render_to_output(context, buffer)


class MeasuredForTag(ForTag):
    node_class = MeasuredFor


def _range(self: RangeLiteral, start: Any, stop: Any) -> range:
    """Bounded where it is made: `reversed`, `contains` and filters walk a range before any limit of loops is asked."""
    made = _range_of_liquid(self, start, stop)
    if made.stop - made.start > VALUE_ITEMS_MAX:
        raise LoopIterationLimitError("A range is longer than a loop may be", token=None)
    return made


_range_of_liquid = RangeLiteral._make_range
RangeLiteral._make_range = _range  # type: ignore[method-assign]  # the library has no setting for it


def bounded(call: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that pays for what it reads, makes no more than fits, and fails as an error of the template."""
    asks = bool(getattr(call, "with_context", False))

    @wraps(call)
    def checked(value: Any, *args: Any, context: MeasuredContext, **kwargs: Any) -> Any:
        context.spend(1 + _steps(value) + (sum(map(_steps, args)) if args else 0))
        if asks:
            kwargs["context"] = context
        try:
            made = call(value, *args, **kwargs)
        except LiquidError:
            raise
        except (ArithmeticError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as problem:
            raise FilterArgumentError(f"{call.__name__} can't work on this value: {problem}", token=None) from None
        if not isinstance(made, str) or len(made) > VALUE_CHARS_A_STEP:  # the usual value is a short text
            require_size(made)
            context.spend(_steps(made))
        return made

    checked.with_context = True  # type: ignore[attr-defined]  # the library's own mark
    return checked


def require_size(value: Any) -> None:
    """A chain of filters can't multiply a value until the worker is out of memory."""
    too_large = (
        (isinstance(value, str) and len(value) > VALUE_CHARS_MAX)
        or (isinstance(value, int) and value.bit_length() > VALUE_BITS_MAX)
        or (isinstance(value, list) and len(value) > VALUE_ITEMS_MAX)
    )
    if too_large:
        refuse()


def refuse() -> None:
    raise FilterArgumentError("A filter makes a value that is too large", token=None)


def _steps(value: Any) -> int:
    if isinstance(value, str):
        return len(value) // VALUE_CHARS_A_STEP
    if isinstance(value, list | tuple | dict | range):
        return len(value) * STEPS_AN_ITEM
    return 0
