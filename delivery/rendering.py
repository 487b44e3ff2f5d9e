"""Content to subject, HTML and text: everything static is prepared once, per person only Liquid runs.

The body is Markdown with Liquid. Liquid marks are taken out, Markdown becomes sanitised HTML inside the mail layout
with its styles inlined, and the marks go back in: what a person's data says is escaped, never read as Markdown or HTML.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Literal

from email_validator import EmailNotValidError, validate_email
from liquid import BoundTemplate
from liquid.exceptions import LiquidError

from audiences.people import TRAITS_PREFIX
from delivery import liquids, markup
from delivery.secret_scan import find_secrets
from lamba_campaigns.lib.errors import FieldProblem, Invalid

BODY_CHARS_MAX = 100_000
LINE_CHARS_MAX = 500  # subject and preheader
HTML_BYTES_WARN = 100_000  # Gmail cuts a message behind 102 kB
SUBJECT_CHARS_WARN = 90
COMPILED_KEPT = 128
BUILT_IN = frozenset({"unsubscribe_url"})
_SPACE = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_IMAGE_WITHOUT_ALT = re.compile(r"!\[\s*\]\(|<img\b(?![^>]*\balt=)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Content:
    """What a template version says. `body` is Markdown with Liquid; addresses are plain, without names."""

    subject: str
    preheader: str
    body: str
    from_name: str
    from_address: str
    reply_to: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One person's message, before MIME. `subject` is one line."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding of `lint`. `pointer` names the field of the content, such as `#/body`."""

    pointer: str
    code: str
    detail: str
    severity: Literal["error", "warning"]


class RenderFailed(Exception):
    """The template can't be filled for this person; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A template version, ready to be filled."""

    content: Content
    subject: BoundTemplate
    html: BoundTemplate
    text: BoundTemplate
    variables: frozenset[str]

    def render(self, fields: Mapping[str, Any], *, unsubscribe_url: str) -> Rendered:
        """The message for one person. `fields` is `{"person": {…}}` or flat (`{"person.name": …}`)."""
        data = self._complete(nested(fields)) | {"unsubscribe_url": unsubscribe_url}
        try:
            return Rendered(
                subject=one_line(self.subject.render(data)),
                html=self.html.render(data),
                text=markup.tidy(self.text.render(data)),
            )
        except LiquidError as problem:
            raise RenderFailed(_first_line(problem)) from None

    def _complete(self, data: dict[str, Any]) -> dict[str, Any]:
        """Traits differ from person to person: one that this person has not is nil, so that `default` can act."""
        for path in self.variables:
            if path.startswith(TRAITS_PREFIX):
                traits = data.setdefault("person", {}).setdefault("traits", {})
                traits.setdefault(path.split(".")[2], None)
        return data


@lru_cache(maxsize=COMPILED_KEPT)
def compile(content: Content) -> Compiled:
    """The content ready to fill. Invalid names every place that can't be read."""
    problems: list[FieldProblem] = []
    parts = {}
    for name in ("subject", "preheader", "body"):
        try:
            parts[name] = liquids.plain.from_string(getattr(content, name))
        except LiquidError as problem:
            problems.append(FieldProblem(f"#/{name}", "liquid_syntax", _first_line(problem)))
            continue
        for filter_name in sorted(set(parts[name].filter_names()) - set(liquids.plain.filters)):
            detail = f"There is no filter {filter_name!r} here."
            problems.append(FieldProblem(f"#/{name}", "unknown_filter", detail))
    if not problems:
        try:
            html, text = markup.build(content.body, content.preheader, content.from_name)
            return Compiled(
                content=content,
                subject=parts["subject"],
                html=liquids.escaping.from_string(html),
                text=liquids.plain.from_string(text),
                variables=frozenset(path for part in parts.values() for path in part.global_variable_paths()),
            )
        except (LiquidError, markup.LostMark) as problem:
            problems.append(FieldProblem("#/body", "liquid_in_markup", _first_line(problem)))
    raise Invalid("The template can't be read.", next_step="Correct the places named.", problems=tuple(problems))


def variables(content: Content) -> frozenset[str]:
    """The paths that the content asks for, such as `person.given_name`. Invalid when it can't be read."""
    return compile(content).variables - BUILT_IN


def lint(content: Content, known_fields: Collection[str]) -> list[Problem]:
    """Everything wrong (error) or doubtful (warning) with the content; a version with errors must not be published.

    `known_fields` are paths; one that ends in `.*` knows everything below. Traits are always known: they differ from
    person to person.
    """
    found = [*_check_lines(content), *_check_addresses(content), *_check_secrets(content)]
    try:
        compiled = compile(content)
    except Invalid as refused:
        return found + [Problem(each.pointer, each.code, each.detail, "error") for each in refused.problems]
    found += _check_variables(content, known_fields)
    found += _check_fallbacks(content)
    if _IMAGE_WITHOUT_ALT.search(content.body):
        detail = "An image has no alternative text. Say what it shows: ![A red bicycle](https://…)"
        found.append(Problem("#/body", "image_without_alt", detail, "warning"))
    size = len(str(markup.build(content.body, content.preheader, content.from_name)[0]).encode())
    if size > HTML_BYTES_WARN:
        detail = f"The HTML has {size:,} bytes; some mailboxes cut a message behind {HTML_BYTES_WARN:,}."
        found.append(Problem("#/body", "too_large", detail, "warning"))
    assert compiled.content == content
    return found


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`{"person.name": 1}` as `{"person": {"name": 1}}`; what is nested already stays (as a copy)."""
    found: dict[str, Any] = {}
    for path, value in fields.items():
        *parents, leaf = path.split(".")
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
        if isinstance(value, Mapping):
            place.setdefault(leaf, {}).update(nested(value))
        else:
            place[leaf] = value
    return found


def one_line(text: str) -> str:
    """Text for a header: no control characters, single spaces, nothing around."""
    return _SPACE.sub(" ", _CONTROL.sub(" ", text)).strip()


def _check_lines(content: Content) -> list[Problem]:
    found = []
    for name, limit in (("subject", LINE_CHARS_MAX), ("preheader", LINE_CHARS_MAX), ("from_name", 120)):
        value = getattr(content, name)
        if len(value) > limit:
            found.append(Problem(f"#/{name}", "too_long", f"{len(value):,} of {limit:,} characters.", "error"))
        if _CONTROL.search(value):
            found.append(Problem(f"#/{name}", "line_break", "This is one line: remove the line break.", "error"))
    for name, word in (("subject", "a subject"), ("body", "a text"), ("from_name", "a sender name")):
        if not getattr(content, name).strip():
            found.append(Problem(f"#/{name}", "required", f"A message needs {word}.", "error"))
    if len(content.body) > BODY_CHARS_MAX:
        detail = f"{len(content.body):,} of {BODY_CHARS_MAX:,} characters."
        found.append(Problem("#/body", "too_long", detail, "error"))
    if len(content.subject) > SUBJECT_CHARS_WARN:
        detail = f"{len(content.subject)} characters: many mailboxes show about 60."
        found.append(Problem("#/subject", "long_subject", detail, "warning"))
    return found


def _check_addresses(content: Content) -> list[Problem]:
    found = []
    for name in ("from_address", "reply_to"):
        address = getattr(content, name)
        if name == "reply_to" and not address:
            continue
        try:
            validate_email(address, check_deliverability=False, test_environment=True)
        except EmailNotValidError as problem:
            found.append(Problem(f"#/{name}", "invalid_address", str(problem), "error"))
    return found


def _check_secrets(content: Content) -> list[Problem]:
    return [
        Problem(
            f"#/{field.name}", "secret_detected", f"This looks like {secret}. Messages must not carry secrets.", "error"
        )
        for field in fields(content)
        for secret in find_secrets(getattr(content, field.name))
    ]


def _check_variables(content: Content, known_fields: Collection[str]) -> list[Problem]:
    known = frozenset(known_fields) | BUILT_IN
    below = (TRAITS_PREFIX, *(path[:-1] for path in known if path.endswith(".*")))
    found = []
    for name in ("subject", "preheader", "body"):
        for path in sorted(set(liquids.plain.from_string(getattr(content, name)).global_variable_paths())):
            if path not in known and not path.startswith(below):
                detail = f"{{{{ {path} }}}} is not a field of a person here."
                found.append(Problem(f"#/{name}", "unknown_variable", detail, "error"))
    return found


def _check_fallbacks(content: Content) -> list[Problem]:
    found = []
    for name in ("subject", "preheader", "body"):
        for path in liquids.bare_outputs(getattr(content, name)):
            if path not in BUILT_IN and path != "person.email":
                detail = f'{{{{ {path} }}}} may be empty. Give a fallback: {{{{ {path} | default: "there" }}}}'
                found.append(Problem(f"#/{name}", "no_fallback", detail, "warning"))
    return found


def _first_line(problem: Exception) -> str:
    return str(problem).strip().partition("\n")[0][:300]
