"""The Liquid that operators may write: no loader, no attribute access, bounded loops and output, strict variables."""

import re
from typing import Any

import liquid
from liquid.undefined import StrictDefaultUndefined

# Everything between these marks is Liquid; raw and comment blocks count as one mark with what they hold.
MARK = re.compile(r"\{%-?\s*(raw|comment)\s*-?%\}.*?\{%-?\s*end\1\s*-?%\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_BARE_OUTPUT = re.compile(r"\{\{-?\s*([a-z_][\w.]*)\s*-?\}\}", re.IGNORECASE)
_LINK = re.compile(r"(https?://|mailto:|tel:)", re.IGNORECASE)
REMOVED_TAGS = ("include", "render", "tablerow", "increment", "decrement", "liquid", "doc", "cycle", "ifchanged")
REMOVED_FILTERS = ("safe", "escapejs", "base64_decode", "base64_encode", "base64_url_safe_decode",
                   "base64_url_safe_encode")  # fmt: skip


class CampaignLiquid(liquid.Environment):
    context_depth_limit = 5
    loop_iteration_limit = 500
    local_namespace_limit = 50_000
    output_stream_limit = 200_000


def link(value: Any) -> str:
    """Filter put on every value that starts a href or src: anything but http, https, mailto and tel becomes empty."""
    text = "" if value is None else str(value).strip()
    return text if _LINK.match(text) else ""


def bare_outputs(source: str) -> list[str]:
    """Paths written out without any filter, each once, in order."""
    return list(dict.fromkeys(match[1] for match in _BARE_OUTPUT.finditer(source)))


def _environment(*, autoescape: bool) -> CampaignLiquid:
    environment = CampaignLiquid(autoescape=autoescape, undefined=StrictDefaultUndefined)
    for name in REMOVED_FILTERS:
        environment.filters.pop(name, None)
    for name in REMOVED_TAGS:
        environment.tags.pop(name, None)
    environment.add_filter("link", link)
    return environment


escaping = _environment(autoescape=True)  # for HTML
plain = _environment(autoescape=False)  # for the subject and the text part
