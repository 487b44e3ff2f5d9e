"""Everything wrong or doubtful in a message, with its place: errors stop publishing, warnings do not."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from email_validator import EmailNotValidError, validate_email
from liquid.exceptions import LiquidError

from audiences.people import TRAITS_PREFIX
from delivery import advice
from delivery.content import guards, liquids
from delivery.content.rendering import (
    BODY_CHARS_MAX,
    BUILT_IN,
    LINE_CHARS_MAX,
    Content,
    RenderFailed,
    compile,
    has_control,
    nested,
    page_of,
    variants_of,
)
from delivery.content.secret_scan import secret_places
from lamba_campaigns.lib.errors import Invalid

HTML_BYTES_WARN = 100_000  # Gmail cuts a message behind 102 kB
SUBJECT_CHARS_WARN = 90
FROM_NAME_CHARS_MAX = 120
WRITTEN = ("subject", "preheader", "body", "text")
_LINE = re.compile(r"Line (\d+): ")
LAYOUT_SLOTS = frozenset({"content", "preheader", "sender"})
SAMPLE_LINK = "https://example.com/unsubscribe"
_FIELDS = [field.name for field in fields(Content)]
_IMAGE_WITHOUT_ALT = re.compile(r"!\[\s*\]\(|<(?:img|mj-image)\b(?![^>]{0,1000}\balt=)", re.IGNORECASE)
_LOOKS_LIKE_LINK = re.compile(r"\[[^\]\n]{1,200}\]\((?P<target>[^)\n]*)\)?")
_HTML_LINK = re.compile(r"""<a\b[^>]{0,500}?\bhref=(["'])(?P<target>[^"'\n]{0,2000})\1""", re.IGNORECASE)
_LINK_TITLE = re.compile(r'(?<!\s)\s+"[^"]*"$')
_SAFE_TARGET = re.compile(r"(button:)?(https?://[^\s/?#]\S*|mailto:[^\s@]+@\S+|tel:[+\d][\d ()-]*)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `pointer` names the field, such as `#/body`; line and column count from 1, 0 is the whole field."""

    pointer: str
    code: str
    detail: str
    severity: Literal["error", "warning"]
    line: int = 0
    column: int = 0

    @property
    def placed(self) -> str:
        """The detail, with its line where the field has several."""
        return (
            f"Line {self.line}: {self.detail}"
            if self.line and self.pointer.endswith(("/body", "/text", "/layout"))
            else self.detail
        )


def lint(content: Content, known_fields: Collection[str], fields: Mapping[str, Any] | None = None) -> list[Problem]:
    """The findings in the order of the text; a version with errors must not be published.

    `known_fields` are paths; one that ends in `.*` knows everything below. Traits are always known: they differ from
    person to person. The message is really filled: with `fields`, or for a sample person without traits.
    """
    found = [*_lines(content), *_addresses(content), *_secrets(content)]
    try:
        compile(replace(content, variants=""))
    except Invalid as refused:
        found += _unreadable(content, refused)
    else:
        found += [*_variables(content, known_fields), *_fallbacks(content), *_images(content), *_links(content)]
        found += [*_size(content), *_unsubscribe(content)]
        if not any(each.severity == "error" for each in found if each.pointer.removeprefix("#/") in WRITTEN):
            found += _filled(content, fields or sample(known_fields))
    for locale, variant in variants_of(content):
        inside = [each for each in lint(variant, known_fields, fields) if each.pointer.removeprefix("#/") in WRITTEN]
        found += [replace(each, pointer=f"#/variants/{locale}{each.pointer[1:]}") for each in inside]
    order = {f"#/{name}": place for place, name in enumerate(_FIELDS)}
    return sorted(found, key=lambda each: (order.get(each.pointer, 99), each.line, each.column))


def sample(known_fields: Collection[str]) -> dict[str, Any]:
    """Somebody with a value in every field and without traits."""
    return nested({path: "Ada" for path in known_fields if not path.endswith("*")} | {"person.traits": {}})


def place_of(text: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, of a character; (0, 0) for an index that is none."""
    if not 0 <= index <= len(text):
        return 0, 0
    before = text[:index]
    return before.count("\n") + 1, index - before.rfind("\n")


def _at(
    name: str, source: str, index: int, code: str, detail: str, severity: Literal["error", "warning"] = "warning"
) -> Problem:
    return Problem(f"#/{name}", code, detail, severity, *place_of(source, index))


def _unreadable(content: Content, refused: Invalid) -> Iterator[Problem]:
    for each in refused.problems:
        name = each.pointer.removeprefix("#/")
        source = getattr(content, name, "")
        if placed := _LINE.match(each.detail):
            yield Problem(each.pointer, each.code, each.detail[placed.end() :], "error", int(placed[1]))
            continue
        yield _at(name, source, _unreadable_at(source, each.code, each.detail), each.code, each.detail, "error")


def _unreadable_at(source: str, code: str, detail: str) -> int:
    """Where reading stopped, as far as that is known; -1 where it is not."""
    if code == "unknown_filter":
        word = re.search(rf"\|\s*{re.escape(detail.partition(chr(39))[2].partition(chr(39))[0])}\b", source)
        return word.start() if word else -1
    if code == "liquid_in_markup":
        return source.find(detail.partition(" stands")[0])
    opened = liquids.unclosed_at(source)
    if opened >= 0:
        return opened
    try:
        liquids.plain.from_string(source)
    except LiquidError as problem:
        token = getattr(problem, "token", None)
        return token.start_index if token is not None and token.start_index >= 0 else guards.unbalanced_at(source)
    return -1


def _lines(content: Content) -> Iterator[Problem]:
    limits = (("subject", LINE_CHARS_MAX), ("preheader", LINE_CHARS_MAX), ("from_name", FROM_NAME_CHARS_MAX))
    for name, limit in limits:
        value = getattr(content, name)
        if len(value) > limit:
            yield Problem(f"#/{name}", "too_long", f"{len(value):,} of {limit:,} characters.", "error")
        if has_control(value):
            yield Problem(f"#/{name}", "line_break", "This is one line: remove the line break.", "error")
    for name, word in (("subject", "a subject"), ("body", "a text"), ("from_name", "a sender name")):
        if not getattr(content, name).strip():
            yield Problem(f"#/{name}", "required", f"A message needs {word}.", "error")
    if len(content.body) > BODY_CHARS_MAX:
        yield Problem("#/body", "too_long", f"{len(content.body):,} of {BODY_CHARS_MAX:,} characters.", "error")
    if len(content.subject) > SUBJECT_CHARS_WARN:
        detail = f"{len(content.subject)} characters: many mailboxes show about 60."
        yield Problem("#/subject", "long_subject", detail, "warning")


def _addresses(content: Content) -> Iterator[Problem]:
    for name in ("from_address", "reply_to"):
        address = getattr(content, name)
        if name == "reply_to" and not address:
            continue
        try:
            validate_email(address, check_deliverability=False, test_environment=True)
        except EmailNotValidError as problem:
            yield Problem(f"#/{name}", "invalid_address", str(problem), "error")


def _secrets(content: Content) -> Iterator[Problem]:
    for name in (name for name in _FIELDS if name != "variants"):
        source = getattr(content, name)
        for secret, index in secret_places(source):
            detail = f"This looks like {secret}. Messages must not carry secrets."
            yield _at(name, source, index, "secret_detected", detail, "error")


def _variables(content: Content, known_fields: Collection[str]) -> Iterator[Problem]:
    known = frozenset(known_fields) | BUILT_IN
    below = (TRAITS_PREFIX, *(path[:-1] for path in known if path.endswith(".*")))
    for name in (*WRITTEN, "layout"):
        source = getattr(content, name)
        for path in sorted(liquids.parsed(source)[1] - (LAYOUT_SLOTS if name == "layout" else frozenset())):
            if path not in known and not path.startswith(below):
                detail = f"{{{{ {path} }}}} is not a field of a person here."
                yield _at(name, source, guards.first_use(source, path), "unknown_variable", detail, "error")


def _fallbacks(content: Content) -> Iterator[Problem]:
    for name in WRITTEN:
        source = getattr(content, name)
        paths = liquids.parsed(source)[1]
        for path, index in guards.unguarded_outputs(source):
            if path in paths and path not in BUILT_IN and path != "person.email":
                detail = f'{{{{ {path} }}}} may be empty. Give a fallback: {{{{ {path} | default: "there" }}}}'
                yield _at(name, source, index, "no_fallback", detail)


def _images(content: Content) -> Iterator[Problem]:
    detail = "An image has no alternative text. Say what it shows: ![A red bicycle](https://…)"
    for match in _IMAGE_WITHOUT_ALT.finditer(content.body):
        yield _at("body", content.body, match.start(), "image_without_alt", detail)


def _links(content: Content) -> Iterator[Problem]:
    """What an author meant as a link and a reader could not follow."""
    for match in _LOOKS_LIKE_LINK.finditer(content.body):
        if not match[0].endswith(")"):
            detail = f"The link {match[0][:60]} has no closing bracket."
            yield _at("body", content.body, match.start(), "broken_link", detail)
        elif detail := _unfollowed(_LINK_TITLE.sub("", match["target"].strip())):
            yield _at("body", content.body, match.start(), "broken_link", detail)
    for match in _HTML_LINK.finditer(content.body):
        if not match["target"].startswith("#") and (detail := _unfollowed(match["target"].strip())):
            yield _at("body", content.body, match.start(), "broken_link", detail)


def _unfollowed(address: str) -> str:
    """Why nobody can follow the address; '' for one that is fine or holds a field."""
    if "{{" in address or "{%" in address or _SAFE_TARGET.match(address):
        return ""
    detail = f"{address[:60]!r} is no address" if address else "This is no address"
    todo = f"Write https://{address}" if "." in address and "//" not in address else "Begin it with https://"
    return f"{detail} that a reader can follow. {todo}"


def _size(content: Content) -> Iterator[Problem]:
    size = len(page_of(content)[0].encode())
    if size > HTML_BYTES_WARN:
        detail = f"The HTML has {size:,} bytes; some mailboxes cut a message behind {HTML_BYTES_WARN:,}."
        yield Problem("#/body", "too_large", detail, "warning")


def _unsubscribe(content: Content) -> Iterator[Problem]:
    """Our own layout has the link; a layout of the operator's own and a page in MJML must show it themselves."""
    if "unsubscribe_url" in liquids.parsed(page_of(content)[0])[1]:
        return
    where = "layout" if content.layout else "body"
    detail = f'A message needs a way out. Write <a href="{{{{ unsubscribe_url }}}}">Unsubscribe</a> into the {where}.'
    yield Problem(f"#/{where}", "no_unsubscribe", detail, "error")


def _filled(content: Content, fields: Mapping[str, Any]) -> Iterator[Problem]:
    """The message filled as it would be for one person: what only shows then is found here, not in a campaign."""
    try:
        compile(replace(content, variants="")).render(fields, unsubscribe_url=SAMPLE_LINK)
    except RenderFailed as failed:
        yield _failing_part(content, fields) or Problem("#/body", "cannot_be_filled", str(failed), "error")


def _failing_part(content: Content, fields: Mapping[str, Any]) -> Problem | None:
    """The text that can't be filled, with the place where it stopped."""
    whole = compile(replace(content, variants=""))
    data = whole.completed(nested(fields)) | dict.fromkeys(BUILT_IN, SAMPLE_LINK)
    for name in WRITTEN:
        source = getattr(content, name)
        try:
            liquids.parsed(source)[0].render(data)
        except LiquidError as problem:
            token = problem.token
            index = token.start_index if token is not None else -1
            return _at(name, source, index, "cannot_be_filled", advice.said(problem), "error")
    return None
