"""What went wrong while a template was filled, and what its author can do about it."""

from typing import Final

from liquid.exceptions import (
    ContextDepthError,
    LiquidError,
    LocalNamespaceLimitError,
    LoopIterationLimitError,
    OutputStreamLimitError,
    UndefinedError,
)

from delivery.content.effort import TooMuchWork

DETAIL_CHARS_MAX: Final = 300
_ADVICE: Final[tuple[tuple[type[LiquidError], str], ...]] = (
    (LoopIterationLimitError, "A loop may run 500 times. Give it an end: {% for each in list limit: 50 %}."),
    (TooMuchWork, "Take loops out of loops, and filters that work on long texts."),
    (OutputStreamLimitError, "A message may have 200,000 bytes. Write less, or repeat less."),
    (LocalNamespaceLimitError, "What assign and capture keep may have 50,000 bytes. Keep less."),
    (ContextDepthError, "Five blocks may stand in one another. Take some out."),
    (UndefinedError, 'Give a fallback: | default: "…".'),
)


def said(problem: Exception) -> str:
    """One line: what is wrong, then what to do where that is known."""
    what = first_line(problem)
    todo = next((advice for kind, advice in _ADVICE if isinstance(problem, kind)), "")
    return f"{what.rstrip('.')}. {todo}"[:DETAIL_CHARS_MAX] if todo else what


def first_line(problem: Exception) -> str:
    """The first line of an error, without the excerpt that Liquid draws below it."""
    return str(problem).strip().partition("\n")[0][:DETAIL_CHARS_MAX]
