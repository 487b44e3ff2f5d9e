"""Markdown with Liquid marks to two Liquid templates: an HTML page in the mail layout, and plain text.

Every mark becomes a word that Markdown, the sanitiser and the CSS inliner leave alone, and comes back afterwards.
A mark that does not come back exactly once would change what the author wrote: that is LostMark.
"""

import html as html_module
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib import resources

import nh3
from css_inline import CSSInliner
from markdown_it import MarkdownIt
from markdown_it.token import Token

from delivery.content import harmless, plain_text, responsive
from delivery.content.liquids import MARK

SIGNS_MAX = 10_000
BUILT_KEPT = 64
_SIGNS = "[]*_~`|<&!"
_WORD = re.compile(r"zqxm(\d+)mxqz")
_ATTRIBUTE = re.compile(r"""\b(href|src)=(["'])(.*?)\2""", re.DOTALL)
_SLOT = re.compile(r"\{\{-?\s*(content|preheader|sender)\s*-?\}\}")
_CONTENT = re.compile(r"\{\{-?\s*content\s*-?\}\}")
_PLACE = re.compile(r"\[\[(content|preheader|sender)\]\]")
_BODY = re.compile(r"<body[^>]*>")
_UNSEEN = "display:none;max-height:0;overflow:hidden"
_BLOCK_MARKS = re.compile(r"<p[^>]*>\s*((?:zqxm\d+mxqz\s*)+)</p>")
_BLANK_LINES = re.compile(r"(?<![ \t])[ \t]*\n(?:[ \t]*\n){2,}")  # from the start of a run alone: linear
_TAG_ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href", "title", "class"},
    "img": {"src", "alt", "width", "height"},
    "table": {"width", "align", "cellpadding", "cellspacing", "border", "role"},
    "td": {"width", "align", "valign", "colspan", "rowspan"},
    "th": {"width", "align", "valign", "colspan", "rowspan"},
    "ol": {"start"},
    "*": {"style"},
}
_STYLES = {
    "background-color", "border", "border-radius", "color", "display", "font-family", "font-size", "font-style",
    "font-weight", "height", "letter-spacing", "line-height", "margin", "max-width", "padding", "text-align",
    "text-decoration", "vertical-align", "width",
}  # fmt: skip
_cleaner = nh3.Cleaner(
    tags=nh3.ALLOWED_TAGS | {"center", "font", "section"},
    attributes=_TAG_ATTRIBUTES,
    url_schemes={"http", "https", "mailto", "tel"},
    filter_style_properties=_STYLES,
    link_rel=None,
)
_page_cleaner = nh3.Cleaner(
    tags=nh3.ALLOWED_TAGS | {"center", "font", "section"},
    clean_content_tags={"script", "style", "title"},
    attributes=_TAG_ATTRIBUTES,
    url_schemes={"http", "https", "mailto", "tel"},
    filter_style_properties=_STYLES,
    link_rel=None,
)
_inliner = CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)


class TooDense(Exception):
    """More signs of Markdown than any message needs: each costs a token, and lists of them are made to be slow."""


class NoPlace(Exception):
    """A layout without a place for the message."""


class LostMark(Exception):
    """A Liquid mark stands where HTML does not allow text, such as inside a tag."""


@lru_cache(maxsize=BUILT_KEPT)
def build(body: str, preheader: str, sender: str, layout: str = "", form: str = "markdown") -> tuple[str, str]:
    """The HTML page and the plain text, both Liquid templates, for a body that Liquid can parse.

    `layout` is a page of the operator's own around a Markdown body; a body in MJML is a page of its own.
    """
    _require_thin(body)
    marks: list[str] = []
    if form == "mjml":
        page = _with_preheader(_mjml(body, marks), _take_out(preheader, marks))
        text = plain_text.of_page(page)
    else:
        tokens, inside = _inside(body, marks)
        text = "\n".join(_text(tokens))
        if layout:
            page = _in_layout(layout, inside, _take_out(preheader, marks), sender, marks)
        else:
            page = _page(inside, _take_out(preheader, marks), _take_out("{{ unsubscribe_url }}", marks), sender)
    _require_every_mark(page, marks, repeated=form == "mjml" or bool(layout))
    page = _guard_links(page, marks)
    return _put_back(page, marks), _put_back(text, marks) + text_footer(sender)


def fragment(body: str, form: str = "markdown") -> tuple[str, str]:
    """The body alone, as HTML and as plain text, both Liquid templates: for channels without a mail layout."""
    _require_thin(body)
    marks: list[str] = []
    if form == "mjml":
        page = _mjml(body, marks)
        inside, text = _page_cleaner.clean(page), plain_text.of_page(page)
        return _put_back(_guard_links(inside, marks), marks), _put_back(text, marks)
    tokens, inside = _inside(body, marks)
    _require_every_mark(inside, marks)
    return _put_back(_guard_links(inside, marks), marks), _put_back("\n".join(_text(tokens)), marks)


def require_layout(layout: str) -> None:
    """Returns when the layout can hold a message; else why not, with the line where that is known."""
    marks: list[str] = []
    _in_layout(layout, "<p>text</p>", "", "Sender", marks)


def _require_thin(body: str) -> None:
    signs = sum(map(body.count, _SIGNS))
    if signs > SIGNS_MAX:
        raise TooDense(f"{signs:,} signs of Markdown ({' '.join(_SIGNS)}); a message may have {SIGNS_MAX:,}.")


def _inside(body: str, marks: list[str]) -> tuple[list[Token], str]:
    tokens = _markdown().parse(_take_out(body, marks))
    inside = _cleaner.clean(_markdown().renderer.render(tokens, _markdown().options, {}))
    return tokens, _BLOCK_MARKS.sub(lambda match: _unwrapped(match[1], marks) or match[0], inside)


def _mjml(source: str, marks: list[str]) -> str:
    words = _take_out(source, marks, keep_lines=True)
    harmless.require(words)
    return responsive.page(words)


def _with_preheader(page: str, preheader: str) -> str:
    """What the inbox shows behind the subject; `mj-preview` says the same where the field is empty."""
    return (
        _BODY.sub(lambda match: f'{match[0]}<div style="{_UNSEEN}">{preheader}</div>', page, 1) if preheader else page
    )


def _in_layout(layout: str, inside: str, preheader: str, sender: str, marks: list[str]) -> str:
    """The operator's page with the message in its place, styles inline."""
    if len(_CONTENT.findall(layout)) != 1:
        raise NoPlace("A layout holds {{ content }} exactly once.")
    words = _take_out(_SLOT.sub(r"[[\1]]", layout), marks, keep_lines=True)
    harmless.require(words)
    page = responsive.page(words) if responsive.is_mjml(words) else words
    if "[[content]]" not in page:
        raise NoPlace("{{ content }} stands where a layout can't hold it. In MJML put it into mj-text or mj-raw.")
    values = {"content": inside, "preheader": preheader, "sender": html_module.escape(_without_liquid(sender))}
    page = _PLACE.sub(lambda match: values[match[1]], page)
    return page if responsive.is_mjml(words) else _inliner.inline(page)


def tidy(text: str) -> str:
    """Plain text with no more than one blank line in a row and one line break at its end."""
    return _BLANK_LINES.sub("\n\n", text.replace("\r\n", "\n")).strip() + "\n"


def _take_out(source: str, marks: list[str], *, keep_lines: bool = False) -> str:
    def replace(match: re.Match[str]) -> str:
        marks.append(match[0])
        return f"zqxm{len(marks) - 1}mxqz" + ("\n" * match[0].count("\n") if keep_lines else "")

    return MARK.sub(replace, source)


def _put_back(text: str, marks: Sequence[str]) -> str:
    return _WORD.sub(lambda match: marks[int(match[1])], text)


def _unwrapped(words: str, marks: Sequence[str]) -> str | None:
    """A paragraph of block tags alone is no paragraph: `{% if … %}` between blank lines leaves no gap."""
    if all(marks[int(number)].startswith("{%") for number in _WORD.findall(words)):
        return words
    return None


def _require_every_mark(page: str, marks: Sequence[str], *, repeated: bool = False) -> None:
    """Once each; a page for several mail programs may say a value (never a tag) again in another way."""
    seen = Counter(_WORD.findall(page))
    for number, mark in enumerate(marks):
        if seen[str(number)] != 1 and not (repeated and mark.startswith("{{") and seen[str(number)]):
            raise LostMark(f"{mark[:60]} stands where a message can't hold it. Move it into the text.")


def _guard_links(page: str, marks: list[str]) -> str:
    """Values that start an address may only be links that are safe to follow."""

    def guard(match: re.Match[str]) -> str:
        name, quote, value = match[1], match[2], match[3]
        static_before = False
        parts = []
        for part in re.split(r"(zqxm\d+mxqz)", value):
            word = _WORD.fullmatch(part)
            if word and not static_before and marks[int(word[1])].startswith("{{"):
                marks[int(word[1])] = _with_link_filter(marks[int(word[1])])
            static_before = static_before or bool(part and not word)
            parts.append(part)
        return f"{name}={quote}{''.join(parts)}{quote}"

    return _ATTRIBUTE.sub(guard, page)


def _with_link_filter(mark: str) -> str:
    closing = "-}}" if mark.endswith("-}}") else "}}"
    return f"{mark.removesuffix(closing)} | link {closing}"


def _page(inside: str, preheader: str, unsubscribe: str, sender: str) -> str:
    layout, style = _file("layout.html"), _file("layout.css")
    page = (
        layout.replace("[[style]]", style)
        .replace("[[preheader]]", preheader)
        .replace("[[body]]", inside)
        .replace("[[sender]]", html_module.escape(_without_liquid(sender)))
        .replace("[[unsubscribe]]", unsubscribe)
    )
    return _inliner.inline(page)


def _without_liquid(text: str) -> str:
    return text.replace("{", "(").replace("}", ")")


@cache
def _file(name: str) -> str:
    return resources.files("delivery.content").joinpath("mail", name).read_text()


@cache
def _markdown() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.add_render_rule("link_open", _link_open)
    return parser


def _link_open(renderer, tokens, index, options, env):  # type: ignore[no-untyped-def]  # the library's own shape
    """`[Renew now](button:https://…)` is a button, and so is `[Renew now](https://… "button")`."""
    token = tokens[index]
    href = str(token.attrs.get("href", ""))
    if href.startswith("button:") or token.attrs.get("title") == "button":
        token.attrs.pop("title", None)
        token.attrSet("href", href.removeprefix("button:"))
        token.attrSet("class", "button")
    return renderer.renderToken(tokens, index, options, env)


def _text(tokens: Sequence[Token]) -> Iterator[str]:
    """Lines of plain text for block tokens: lists keep their marks, quotes their bars, blocks a blank line between."""
    lists: list[int | None] = []
    quotes, pending = 0, ""
    cells: list[str] | None = None
    for token in tokens:
        if token.type == "tr_open":
            cells = []
        elif token.type == "tr_close":
            yield " | ".join(cells or ())
            cells = None
        elif token.type == "table_close":
            yield ""
        elif cells is not None:
            cells += _block_lines(token) or []
            continue
        if token.type in ("bullet_list_open", "ordered_list_open"):
            lists.append(int(token.attrGet("start") or 1) if token.type.startswith("ordered") else None)
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            lists.pop()
            if not lists:
                yield ""
        elif token.type == "list_item_open":
            number = lists[-1]
            pending = "- " if number is None else f"{number}. "
            if number is not None:
                lists[-1] = number + 1
        elif token.type in ("blockquote_open", "blockquote_close"):
            quotes += 1 if token.type.endswith("open") else -1
        elif (lines := _block_lines(token)) is not None:
            indent = "> " * quotes + "  " * (len(lists) - 1 if lists else 0)
            for line in lines:
                yield f"{indent}{pending or ('  ' if lists else '')}{line}"
                pending = ""
            if not lists:
                yield ""


def _block_lines(token: Token) -> list[str] | None:
    if token.type == "inline":
        return _inline(token.children or ()).split("\n")
    if token.type in ("fence", "code_block"):
        return token.content.rstrip("\n").split("\n")
    if token.type == "html_block":
        return [line for line in html_module.unescape(nh3.clean(token.content, tags=set())).split("\n") if line.strip()]
    return ["---"] if token.type == "hr" else None


def _inline(children: Sequence[Token]) -> str:
    out: list[str] = []
    links: list[tuple[str, int]] = []
    for child in children:
        if child.type in ("text", "code_inline"):
            out.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            out.append("\n")
        elif child.type == "image":
            out.append(_inline(child.children or ()))
        elif child.type == "html_inline" and child.content.lower().startswith("<br"):
            out.append("\n")
        elif child.type == "link_open":
            links.append((str(child.attrGet("href") or ""), len(out)))
        elif child.type == "link_close":
            href, start = links.pop()
            if href and "".join(out[start:]) != href.removeprefix("mailto:"):
                out.append(f" ({href})")
    return "".join(out)


def text_footer(sender: str) -> str:
    """What ends every plain-text part."""
    return f"\n\n--\n{_without_liquid(sender)}\nUnsubscribe: {{{{ unsubscribe_url }}}}\n"
