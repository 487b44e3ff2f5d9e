"""The plain text of an HTML page: blocks on lines of their own, links with their address, nothing of head and style."""

import re
from html.parser import HTMLParser
from typing import Final

_SILENT: Final = frozenset({"head", "style", "script", "title"})
_BLOCKS: Final = frozenset(
    {"address", "article", "blockquote", "center", "dd", "div", "dl", "dt", "fieldset", "figure", "footer",
     "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main", "nav", "ol", "p", "pre", "section", "table",
     "tbody", "tfoot", "thead", "tr", "ul"}
)  # fmt: skip
_HIDDEN: Final = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_VOID: Final = frozenset(
    {"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)  # fmt: skip
_SPACES: Final = re.compile(r"[ \t\r\f\v]+")


def of_page(page: str) -> str:
    """Text with single blank lines at most left to the caller. What is hidden (the preheader) is left out."""
    reader = _Reader(convert_charrefs=True)
    reader.feed(page)
    reader.close()
    return "\n".join(line.strip() for line in "".join(reader.out).split("\n"))


class _Reader(HTMLParser):
    def __init__(self, *, convert_charrefs: bool) -> None:
        super().__init__(convert_charrefs=convert_charrefs)
        self.out: list[str] = []
        self._links: list[tuple[str, int]] = []
        self._silent: list[str] = []  # open elements from the first silent one on

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self._silent or tag in _SILENT or _HIDDEN.search(given.get("style") or ""):
            if tag not in _VOID:
                self._silent.append(tag)
            return
        if tag == "br" or tag in _BLOCKS:
            self.out.append("\n")
        elif tag == "li":
            self.out.append("\n- ")
        elif tag == "img" and given.get("alt"):
            self.out.append(str(given["alt"]))
        elif tag == "a":
            self._links.append((given.get("href") or "", len(self.out)))

    def handle_endtag(self, tag: str) -> None:
        if self._silent:
            if tag in self._silent:
                while self._silent.pop() != tag:
                    pass
            return
        if tag == "a" and self._links:
            href, start = self._links.pop()
            if href and "".join(self.out[start:]).strip() not in (href, href.removeprefix("mailto:")):
                self.out.append(f" ({href})")
        elif tag in _BLOCKS:
            self.out.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.out.append(_SPACES.sub(" ", data.replace("\n", " ")))
