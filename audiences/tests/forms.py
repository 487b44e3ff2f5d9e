"""What a browser would send back for a page of the builder: its rendered inputs, without any script."""

from collections.abc import Iterable
from html.parser import HTMLParser

from django.http import QueryDict
from django.template.loader import render_to_string

from audiences.builder.rows import Row


def posted(root: Row) -> QueryDict:
    """The inputs of the rendered builder, as a form would send them."""
    return inputs(render_to_string("audiences/_group.html", {"row": root, "builder_url": "/x/"}))


def inputs(page: str) -> QueryDict:
    """Every successful control of the page, in order. Buttons are not pressed."""
    reader = _Inputs()
    reader.feed(page)
    data = QueryDict(mutable=True)
    for name, value in reader.found:
        data.appendlist(name, value)
    return data


class _Inputs(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, str]] = []
        self._select = ""
        self._options: list[tuple[str, bool]] = []
        self._text: tuple[str, list[str]] | None = None

    def handle_starttag(self, tag: str, attributes: Iterable[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attributes}
        if tag == "input" and "name" in has:
            checked = has.get("type") not in ("radio", "checkbox") or "checked" in has
            if checked and has.get("type") != "submit":
                self.found.append((has["name"], has.get("value", "")))
        elif tag == "select":
            self._select, self._options = has.get("name", ""), []
        elif tag == "option" and self._select:
            self._options.append((has.get("value", ""), "selected" in has))
        elif tag == "textarea":
            self._text = (has.get("name", ""), [])

    def handle_data(self, data: str) -> None:
        if self._text:
            self._text[1].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "select" and self._options:
            chosen = [value for value, selected in self._options if selected] or [self._options[0][0]]
            self.found.append((self._select, chosen[-1]))
            self._select = ""
        if tag == "textarea" and self._text:
            self.found.append((self._text[0], "".join(self._text[1]).removeprefix("\n").replace("\n", "\r\n")))
            self._text = None
