"""HTML that mailboxes show as it is: what they would take out (scripts, forms, handlers) is named instead."""

import re
from html.parser import HTMLParser
from typing import Final

FORBIDDEN: Final = frozenset(
    {"script", "iframe", "frame", "frameset", "object", "embed", "applet", "form", "input", "textarea", "select",
     "button", "base", "svg", "math", "video", "audio"}
)  # fmt: skip
_ADDRESSES: Final = frozenset({"href", "src", "action", "background", "xlink:href"})
_SAFE: Final = re.compile(r"\s*(https?:|mailto:|tel:|#|/|zqxm\d+mxqz|\[\[|\Z)", re.IGNORECASE)


class NotHarmless(Exception):
    """Something that no mailbox shows. `line` counts from 1."""

    def __init__(self, detail: str, line: int) -> None:
        super().__init__(detail)
        self.line = line


def require(page: str) -> None:
    """Returns when the page has nothing that a mailbox would take out, else NotHarmless with its first place."""
    reader = _Reader(convert_charrefs=True)
    reader.feed(page)
    reader.close()
    if reader.found:
        raise NotHarmless(*reader.found)


class _Reader(HTMLParser):
    found: tuple[str, int] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in FORBIDDEN:
            self._note(f"<{tag}> is taken out by mailboxes.")
        for name, value in attrs:
            if name.startswith("on"):
                self._note(f"The attribute {name} is taken out by mailboxes.")
            elif name in _ADDRESSES and not _SAFE.match(value or ""):
                self._note(f"{(value or '')[:60]!r} is no address that a reader can follow. Begin it with https://")
            elif name == "http-equiv" and (value or "").lower() == "refresh":
                self._note("A message can't refresh itself.")

    def _note(self, detail: str) -> None:
        if self.found is None:
            self.found = detail, self.getpos()[0]
