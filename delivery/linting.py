"""Everything wrong or doubtful in a message, with its place: errors stop publishing, warnings do not."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields, replace
from typing import Literal

from email_validator import EmailNotValidError, validate_email
from liquid.exceptions import LiquidError

from audiences.people import TRAITS_PREFIX
from delivery import guards, liquids, markup
from delivery.rendering import BODY_CHARS_MAX, BUILT_IN, LINE_CHARS_MAX, Content, compile, has_control, variants_of
from delivery.secret_scan import secret_places
from lamba_campaigns.lib.errors import Invalid

HTML_BYTES_WARN = 100_000  # Gmail cuts a message behind 102 kB
SUBJECT_CHARS_WARN = 90
FROM_NAME_CHARS_MAX = 120
WRITTEN = ("subject", "preheader", "body", "text")
_IMAGE_WITHOUT_ALT = re.compile(r"!\[\s*\]\(|<img\b(?![^>]*\balt=)", re.IGNORECASE)
_LOOKS_LIKE_LINK = re.compile(r"\[[^\]\n]{1,200}\]\((?P<target>[^)\n]*)\)?")
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
            if self.line and self.pointer.endswith(("/body", "/text"))
            else self.detail
        )


def lint(content: Content, known_fields: Collection[str]) -> list[Problem]:
    """The findings in the order of the text; a version with errors must not be published.

    `known_fields` are paths; one that ends in `.*` knows everything below. Traits are always known: they differ from
    person to person.
    """
    found = [*_lines(content), *_addresses(content), *_secrets(content)]
    try:
        compile(replace(content, variants=""))
    except Invalid as refused:
        found += _unreadable(content, refused)
    else:
        found += [*_variables(content, known_fields), *_fallbacks(content), *_images(content), *_links(content)]
        found += _size(content)
    for locale, variant in variants_of(content):
        inside = [each for each in lint(variant, known_fields) if each.pointer.removeprefix("#/") in WRITTEN]
        found += [replace(each, pointer=f"#/variants/{locale}{each.pointer[1:]}") for each in inside]
    order = {f"#/{field.name}": place for place, field in enumerate(fields(Content))}
    return sorted(found, key=lambda each: (order.get(each.pointer, 99), each.line, each.column))


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
    for name in (field.name for field in fields(content) if field.name != "variants"):
        source = getattr(content, name)
        for secret, index in secret_places(source):
            detail = f"This looks like {secret}. Messages must not carry secrets."
            yield _at(name, source, index, "secret_detected", detail, "error")


def _variables(content: Content, known_fields: Collection[str]) -> Iterator[Problem]:
    known = frozenset(known_fields) | BUILT_IN
    below = (TRAITS_PREFIX, *(path[:-1] for path in known if path.endswith(".*")))
    for name in WRITTEN:
        source = getattr(content, name)
        for path in sorted(set(liquids.plain.from_string(source).global_variable_paths())):
            if path not in known and not path.startswith(below):
                detail = f"{{{{ {path} }}}} is not a field of a person here."
                yield _at(name, source, guards.first_use(source, path), "unknown_variable", detail, "error")


def _fallbacks(content: Content) -> Iterator[Problem]:
    for name in WRITTEN:
        source = getattr(content, name)
        paths = set(liquids.plain.from_string(source).global_variable_paths())
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
        target = match["target"].strip()
        if not match[0].endswith(")"):
            detail = f"The link {match[0][:60]} has no closing bracket."
        elif "{{" in target or "{%" in target:
            continue
        else:
            address = _LINK_TITLE.sub("", target)
            if _SAFE_TARGET.match(address):
                continue
            detail = f"{address[:60] or 'An empty address'!r} is no address that a reader can follow. "
            detail += f"Write https://{address}" if "." in address and "//" not in address else "Begin it with https://"
        yield _at("body", content.body, match.start(), "broken_link", detail.replace("'An empty address'", "This"))


def _size(content: Content) -> Iterator[Problem]:
    size = len(str(markup.build(content.body, content.preheader, content.from_name)[0]).encode())
    if size > HTML_BYTES_WARN:
        detail = f"The HTML has {size:,} bytes; some mailboxes cut a message behind {HTML_BYTES_WARN:,}."
        yield Problem("#/body", "too_large", detail, "warning")
