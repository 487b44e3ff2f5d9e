"""MJML to an HTML page, by mrml. Read before, so that an error has its line and no nesting can end the process."""

import re
from html.parser import HTMLParser
from typing import Final

from mjml import mjml2html

DEPTH_MAX: Final = 40  # mrml reads recursively in Rust: a few thousand levels would end the process
PAGE_CHARS_MAX: Final = 400_000
VOID: Final = frozenset(
    {"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)  # fmt: skip
ELEMENTS: Final = frozenset(
    {"mjml", "mj-head", "mj-attributes", "mj-all", "mj-class", "mj-breakpoint", "mj-font", "mj-html-attributes",
     "mj-selector", "mj-html-attribute", "mj-preview", "mj-style", "mj-title", "mj-body", "mj-accordion",
     "mj-accordion-element", "mj-accordion-title", "mj-accordion-text", "mj-button", "mj-carousel",
     "mj-carousel-image", "mj-column", "mj-divider", "mj-group", "mj-hero", "mj-image", "mj-navbar",
     "mj-navbar-link", "mj-raw", "mj-section", "mj-social", "mj-social-element", "mj-spacer", "mj-table", "mj-text",
     "mj-wrapper"}
)  # fmt: skip
_POSITION: Final = re.compile(r"position (\d+)")


class BadMjml(Exception):
    """The source is no MJML. `line` counts from 1; 0 where it is not known."""

    def __init__(self, detail: str, line: int) -> None:
        super().__init__(detail)
        self.line = line


def is_mjml(source: str) -> bool:
    return source.lstrip()[:6].lower() == "<mjml>" or source.lstrip()[:6].lower() == "<mjml "


def page(source: str) -> str:
    """The HTML page with its styles inline, as MJML makes it; no font is loaded from elsewhere by itself."""
    _require_shape(source)
    try:
        made = mjml2html(source, fonts={})
    except ValueError as problem:
        place = _POSITION.search(str(problem))
        line = source.count("\n", 0, int(place[1])) + 1 if place else 0
        raise BadMjml(f"MJML can't read this: {str(problem).replace(' in root template', '')}.", line) from None
    if len(made) > PAGE_CHARS_MAX:
        raise BadMjml(f"It makes a page of {len(made):,} characters; {PAGE_CHARS_MAX:,} at most. Write less.", 0)
    return made


def _require_shape(source: str) -> None:
    if not is_mjml(source):
        raise BadMjml("A message in MJML begins with <mjml>.", 1)
    reader = _Shape(convert_charrefs=False)
    reader.feed(source)
    reader.close()
    if reader.open:
        tag, line = reader.open[-1]
        raise BadMjml(f"<{tag}> has no end.", line)


class _Shape(HTMLParser):
    """Every element is known, closed in order and not too deep."""

    def __init__(self, *, convert_charrefs: bool) -> None:
        super().__init__(convert_charrefs=convert_charrefs)
        self.open: list[tuple[str, int]] = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._known(tag)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._known(tag)
        if tag in VOID:
            return
        self.open.append((tag, self.getpos()[0]))
        if len(self.open) > DEPTH_MAX:
            raise BadMjml(f"Elements stand in one another more than {DEPTH_MAX} deep.", self.getpos()[0])

    def handle_endtag(self, tag: str) -> None:
        line = self.getpos()[0]
        if tag in VOID:
            return
        if not self.open:
            raise BadMjml(f"</{tag}> ends nothing.", line)
        expected, since = self.open.pop()
        if expected != tag:
            raise BadMjml(f"</{tag}> stands where </{expected}> of line {since} is expected.", line)

    def _known(self, tag: str) -> None:
        if tag.startswith("mj-") and tag not in ELEMENTS:
            hint = " A message is one document: use a snippet." if tag == "mj-include" else ""
            raise BadMjml(f"There is no element <{tag}>.{hint}", self.getpos()[0])
