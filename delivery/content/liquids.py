"""The Liquid that operators may write: no loader, no attribute access, bounded loops and output, strict variables."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, wraps
from typing import Any

import liquid
from dateutil import parser  # type: ignore[import-untyped]  # what Liquid itself reads dates with
from liquid.exceptions import FilterArgumentError, LiquidSyntaxError
from liquid.undefined import StrictDefaultUndefined

from delivery.content.asking import AskingIfTag, AskingUnlessTag
from delivery.content.effort import (
    TAGS_STRIPPED_MAX,
    VALUE_CHARS_MAX,
    MeasuredForTag,
    MeasuredTemplate,
    bounded,
    refuse,
)

# Everything between these marks is Liquid; raw and comment blocks count as one mark with what they hold.
MARK = re.compile(r"\{%-?\s*(raw|comment)\s*-?%\}.*?\{%-?\s*end\1\s*-?%\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_OPENING = re.compile(r"\{%-?\s*(?P<block>raw|comment)\s*-?%\}|\{\{|\{%")
_CLOSINGS = {
    "{{": re.compile(r"\}\}"),
    "{%": re.compile(r"%\}"),
    "raw": re.compile(r"\{%-?\s*endraw\s*-?%\}"),
    "comment": re.compile(r"\{%-?\s*endcomment\s*-?%\}"),
}
DATE_CHARS_MAX = 100
PARSED_KEPT = 64
_DATE_FORMAT = re.compile(r"(?:[^%]|%[-^#0_]?[A-Za-z%]){0,100}")  # no widths: `%999999999d` is a text of that length
_TWO_DAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2001, 2, 2, tzinfo=UTC))
_LINK = re.compile(r"(https?://|mailto:|tel:)", re.IGNORECASE)
REMOVED_TAGS = ("include", "render", "tablerow", "increment", "decrement", "liquid", "doc", "cycle", "ifchanged")
REMOVED_FILTERS = ("safe", "escapejs", "base64_decode", "base64_encode", "base64_url_safe_decode",
                   "base64_url_safe_encode")  # fmt: skip


class CampaignLiquid(liquid.Environment):
    template_class = MeasuredTemplate
    context_depth_limit = 5
    loop_iteration_limit = 500
    local_namespace_limit = 50_000
    output_stream_limit = 200_000

    def from_string(self, source: str, *args: Any, **kwargs: Any) -> liquid.BoundTemplate:
        """The template; LiquidSyntaxError at once for a mark without an end, which liquid reads in square time."""
        opened = unclosed(source)
        if opened:
            raise LiquidSyntaxError(f"{opened!r} is never closed", token=None)
        try:
            return super().from_string(source, *args, **kwargs)
        except (RecursionError, ValueError) as problem:  # brackets in brackets; a number of 5,000 digits
            raise LiquidSyntaxError(f"it can't be read: {problem}", token=None) from None


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


def _stripping(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def checked(value: Any, *args: Any, **kwargs: Any) -> Any:
        _check(str(value).count("<") > TAGS_STRIPPED_MAX)
        return call(value, *args, **kwargs)

    return checked


def _dating(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same day whenever it is asked: a message can be shown again later only if no clock was read."""

    @wraps(call)
    def checked(value: Any, form: Any = "", *args: Any, **kwargs: Any) -> Any:
        if str(value) in ("now", "today"):
            raise FilterArgumentError("the day of sending is no fixed value: a message must read the same later",
                                      token=None)  # fmt: skip
        if not _DATE_FORMAT.fullmatch(str(form)):
            raise FilterArgumentError("date takes a format such as '%d %B %Y'", token=None)
        return call(value, form, *args, **kwargs) if _is_whole_date(value) else value

    return checked


@lru_cache(maxsize=1_000)
def _is_whole_date(value: Any) -> bool:
    """False for a text that leaves something to the day on which it is read, such as "10:30"."""
    if not isinstance(value, str) or value.isdigit():
        return len(str(value)) <= DATE_CHARS_MAX
    try:
        one, other = (parser.parse(value[:DATE_CHARS_MAX], default=each) for each in _TWO_DAYS)
    except (ValueError, OverflowError):
        return False
    return bool(one == other)


def _check(too_large: bool) -> None:
    if too_large:
        refuse()


def _environment(*, autoescape: bool) -> CampaignLiquid:
    environment = CampaignLiquid(autoescape=autoescape, undefined=StrictDefaultUndefined)
    for name in REMOVED_FILTERS:
        environment.filters.pop(name, None)
    for name in REMOVED_TAGS:
        environment.tags.pop(name, None)
    environment.filters["replace"] = _replacing(environment.filters["replace"])
    environment.filters["join"] = _joining(environment.filters["join"])
    environment.filters["strip_html"] = _stripping(environment.filters["strip_html"])
    environment.filters["date"] = _dating(environment.filters["date"])
    for tag in (MeasuredForTag, AskingIfTag, AskingUnlessTag):
        environment.add_tag(tag)
    environment.add_filter("link", link)
    environment.filters.update({name: bounded(call) for name, call in environment.filters.items()})
    return environment


escaping = _environment(autoescape=True)  # for HTML
plain = _environment(autoescape=False)  # for the subject and the text part


@lru_cache(maxsize=PARSED_KEPT)
def parsed(source: str) -> tuple[liquid.BoundTemplate, frozenset[str]]:
    """A plain text read once, with the paths that it asks for: a check of a message needs them again and again."""
    template = plain.from_string(source)
    return template, frozenset(template.global_variable_paths())
