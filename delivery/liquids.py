"""The Liquid that operators may write: no loader, no attribute access, bounded loops and output, strict variables."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import liquid
from liquid.exceptions import FilterArgumentError, LiquidSyntaxError
from liquid.undefined import StrictDefaultUndefined

# Everything between these marks is Liquid; raw and comment blocks count as one mark with what they hold.
MARK = re.compile(r"\{%-?\s*(raw|comment)\s*-?%\}.*?\{%-?\s*end\1\s*-?%\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_OPENING = re.compile(r"\{%-?\s{0,20}(?P<block>raw|comment)\b|\{\{|\{%")
_CLOSINGS = {
    "{{": re.compile(r"\}\}"),
    "{%": re.compile(r"%\}"),
    "raw": re.compile(r"\{%-?\s{0,20}endraw\b"),
    "comment": re.compile(r"\{%-?\s{0,20}endcomment\b"),
}
VALUE_CHARS_MAX = 200_000  # of what a filter makes
VALUE_ITEMS_MAX = 10_000
VALUE_BITS_MAX = 128  # of a number that a filter makes
_LINK = re.compile(r"(https?://|mailto:|tel:)", re.IGNORECASE)
REMOVED_TAGS = ("include", "render", "tablerow", "increment", "decrement", "liquid", "doc", "cycle", "ifchanged")
REMOVED_FILTERS = ("safe", "escapejs", "base64_decode", "base64_encode", "base64_url_safe_decode",
                   "base64_url_safe_encode")  # fmt: skip


class CampaignLiquid(liquid.Environment):
    context_depth_limit = 5
    loop_iteration_limit = 500
    local_namespace_limit = 50_000
    output_stream_limit = 200_000

    def from_string(self, source: str, *args: Any, **kwargs: Any) -> liquid.BoundTemplate:
        """The template; LiquidSyntaxError at once for a mark without an end, which liquid reads in square time."""
        opened = unclosed(source)
        if opened:
            raise LiquidSyntaxError(f"{opened!r} is never closed", token=None)
        return super().from_string(source, *args, **kwargs)


def link(value: Any) -> str:
    """Filter put on every value that starts a href or src: anything but http, https, mailto and tel becomes empty."""
    text = "" if value is None else str(value).strip()
    return text if _LINK.match(text) else ""


def unclosed(source: str) -> str:
    """The first mark or block that has an opening and no end behind it; empty when all have one. Linear."""
    opening = _unclosed(source)
    return (opening["block"] or opening[0]) if opening else ""


def unclosed_at(source: str) -> int:
    """Where that mark or block stands; -1 when all have an end."""
    opening = _unclosed(source)
    return opening.start() if opening else -1


def _unclosed(source: str) -> re.Match[str] | None:
    position = 0
    while opening := _OPENING.search(source, position):
        closing = _CLOSINGS[opening["block"] or opening[0]].search(source, opening.end())
        if closing is None:
            return opening
        position = closing.end()
    return None


def bounded(call: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose result has a size: a chain of filters can't multiply it until the worker is out of memory."""

    @wraps(call)
    def checked(*args: Any, **kwargs: Any) -> Any:
        made = call(*args, **kwargs)
        _check(
            (isinstance(made, str) and len(made) > VALUE_CHARS_MAX)
            or (isinstance(made, int) and made.bit_length() > VALUE_BITS_MAX)
            or (isinstance(made, list) and len(made) > VALUE_ITEMS_MAX)
        )
        return made

    return checked


def _replacing(call: Callable[..., Any]) -> Callable[..., Any]:
    """`replace` is asked for its size before, because one call alone can multiply two long texts."""

    @wraps(call)
    def checked(value: Any, find: Any, put: Any = "", *args: Any, **kwargs: Any) -> Any:
        text = str(value)
        _check(text.count(str(find)) * len(str(put)) + len(text) > VALUE_CHARS_MAX)
        return call(value, find, put, *args, **kwargs)

    return checked


def _joining(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def checked(values: Any, between: Any = " ", *args: Any, **kwargs: Any) -> Any:
        _check(isinstance(values, list | str) and len(values) * len(str(between)) > VALUE_CHARS_MAX)
        return call(values, between, *args, **kwargs)

    return checked


def _check(too_large: bool) -> None:
    if too_large:
        raise FilterArgumentError("a filter makes a value that is too large", token=None)


def _environment(*, autoescape: bool) -> CampaignLiquid:
    environment = CampaignLiquid(autoescape=autoescape, undefined=StrictDefaultUndefined)
    for name in REMOVED_FILTERS:
        environment.filters.pop(name, None)
    for name in REMOVED_TAGS:
        environment.tags.pop(name, None)
    environment.filters["replace"] = _replacing(environment.filters["replace"])
    environment.filters["join"] = _joining(environment.filters["join"])
    environment.add_filter("link", link)
    environment.filters.update({name: bounded(call) for name, call in environment.filters.items()})
    return environment


escaping = _environment(autoescape=True)  # for HTML
plain = _environment(autoescape=False)  # for the subject and the text part
