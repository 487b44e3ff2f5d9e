"""Content to subject, HTML and text: everything static is prepared once, per person only Liquid runs.

The body is Markdown with Liquid. Liquid marks are taken out, Markdown becomes sanitised HTML inside the mail layout
with its styles inlined, and the marks go back in: what a person's data says is escaped, never read as Markdown or HTML.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate
from liquid.exceptions import LiquidError

from audiences.exclusions import VARIANT, VARIANT_B
from audiences.people import TRAITS_PREFIX
from delivery import advice
from delivery.content import liquids, locales, markup
from delivery.content.harmless import NotHarmless
from delivery.content.responsive import BadMjml
from lamba_campaigns.lib.canonical import canonical_bytes
from lamba_campaigns.lib.errors import FieldProblem, Invalid

BODY_CHARS_MAX = 100_000
LINE_CHARS_MAX = 500  # subject and preheader
COMPILED_KEPT = 128
BUILT_IN = frozenset({"unsubscribe_url"})
LOCALE = frozenset({"person.locale"})  # frozen with everybody where a message has several languages
_SPACE = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Content:
    """What a template version says. `body` is Markdown with Liquid; addresses are plain, without names."""

    subject: str
    preheader: str
    body: str
    from_name: str
    from_address: str
    reply_to: str = ""
    text: str = ""  # the plain-text part in Liquid; made from the body when empty
    variants: str = ""  # canonical JSON: locale -> {subject, preheader, body, text}
    format: str = "markdown"  # of the body: markdown or mjml
    layout: str = ""  # a page of the operator's own around a Markdown body; empty: ours
    other: str = ""  # canonical JSON of the content that people of variant b read: an A/B split


@dataclass(frozen=True, slots=True)
class Rendered:
    """One person's message, before MIME. `subject` is one line."""

    subject: str
    html: str
    text: str


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
    variants: tuple[tuple[str, "Compiled"], ...] = ()
    other: "Compiled | None" = None

    def for_person(self, fields: Mapping[str, Any]) -> "Compiled":
        """The message of this person's side of an A/B split, in the person's language."""
        side = self.other if self.other is not None and fields.get(VARIANT) == VARIANT_B else self
        return side.in_locale(fields.get("locale"))

    def in_locale(self, locale: Any) -> "Compiled":
        """The variant that somebody with this locale reads."""
        if not self.variants:
            return self
        found = dict(self.variants)
        return found.get(locales.choose(locale, found), self)

    def render(self, fields: Mapping[str, Any], *, unsubscribe_url: str) -> Rendered:
        """The message for one person. `fields` is `{"person": {…}}` or flat (`{"person.name": …}`)."""
        whole = nested(fields)
        return self.for_person(whole.get("person", {}))._filled(whole, unsubscribe_url)

    def _filled(self, whole: dict[str, Any], unsubscribe_url: str) -> Rendered:
        data = self.completed(whole) | {"unsubscribe_url": unsubscribe_url}
        try:
            return Rendered(
                subject=one_line(self.subject.render(data)),
                html=self.html.render(data),
                text=markup.tidy(self.text.render(data)),
            )
        except LiquidError as problem:
            raise RenderFailed(advice.said(problem)) from None

    def completed(self, data: dict[str, Any]) -> dict[str, Any]:
        """Traits differ from person to person: one that this person has not is nil, so that `default` can act."""
        for path in self.variables:
            if path.startswith(TRAITS_PREFIX):
                traits = data.setdefault("person", {}).setdefault("traits", {})
                traits.setdefault(path.split(".")[2], None)
        return data


@lru_cache(maxsize=COMPILED_KEPT)
def compile(content: Content) -> Compiled:
    """The content ready to fill, in all its languages. Invalid names every place that can't be read."""
    if content.other:
        made, other = compile(replace(content, other="")), compile(other_of(content))
        return replace(made, other=other, variables=made.variables | other.variables)
    made = _compiled(content)
    if not content.variants:
        return made
    found, problems = [], list[FieldProblem]()
    for locale, variant in variants_of(content):
        try:
            found.append((locale, _compiled(variant)))
        except Invalid as refused:
            problems += [replace(each, pointer=f"#/variants/{locale}{each.pointer[1:]}") for each in refused.problems]
    if problems:
        raise Invalid("The template can't be read.", next_step="Correct the places named.", problems=tuple(problems))
    asked = made.variables.union(LOCALE, *(each.variables for _, each in found))
    return replace(made, variants=tuple(found), variables=asked)


def split(content: Content, other: Content) -> Content:
    """One content of both sides of an A/B split: `other` is for people of variant b."""
    return replace(content, other=canonical_bytes(asdict(other)).decode())


def other_of(content: Content) -> Content:
    return Content(**json.loads(content.other))


def variants_of(content: Content) -> list[tuple[str, Content]]:
    """Every language of the content as a content of its own."""
    words: dict[str, dict[str, str]] = json.loads(content.variants) if content.variants else {}
    return [(locale, replace(content, variants="", **each)) for locale, each in sorted(words.items())]


def _compiled(content: Content) -> Compiled:
    problems: list[FieldProblem] = []
    parts, asked = {}, dict[str, frozenset[str]]()
    for name in ("subject", "preheader", "body", *(["text"] if content.text.strip() else [])):
        try:
            parts[name], asked[name] = liquids.parsed(getattr(content, name))
        except LiquidError as problem:
            problems.append(FieldProblem(f"#/{name}", "liquid_syntax", advice.first_line(problem)))
            continue
        for filter_name in sorted(set(parts[name].filter_names()) - set(liquids.plain.filters)):
            detail = f"There is no filter {filter_name!r} here."
            problems.append(FieldProblem(f"#/{name}", "unknown_filter", detail))
    if not problems:
        try:
            html, text = page_of(content)
            if content.text.strip():
                text = content.text.rstrip() + markup.text_footer(content.from_name)
            filled = liquids.escaping.from_string(html)
            asked["layout"] = frozenset(filled.global_variable_paths()) if content.layout else frozenset()
            return Compiled(
                content=content,
                subject=parts["subject"],
                html=filled,
                text=liquids.plain.from_string(text),
                variables=frozenset().union(*asked.values()),
            )
        except markup.TooDense as problem:
            problems.append(FieldProblem("#/body", "too_dense", str(problem)))
        except markup.NoPlace as problem:
            problems.append(FieldProblem("#/layout", "no_place", str(problem)))
        except (BadMjml, NotHarmless) as problem:
            name = "layout" if content.layout and content.format != "mjml" else "body"
            code = "bad_mjml" if isinstance(problem, BadMjml) else "not_harmless"
            problems.append(FieldProblem(f"#/{name}", code, f"Line {problem.line}: {problem}"))
        except (LiquidError, markup.LostMark) as problem:
            problems.append(FieldProblem("#/body", "liquid_in_markup", advice.first_line(problem)))
    raise Invalid("The template can't be read.", next_step="Correct the places named.", problems=tuple(problems))


def page_of(content: Content) -> tuple[str, str]:
    """The HTML page and the plain text of a content, as Liquid."""
    return markup.build(content.body, content.preheader, content.from_name, content.layout, content.format)


def variables(content: Content) -> frozenset[str]:
    """The paths that the content asks for, such as `person.given_name`. Invalid when it can't be read."""
    return compile(content).variables - BUILT_IN


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


def has_control(text: str) -> bool:
    """Whether the text has a character that no header may hold, such as a line break."""
    return _CONTROL.search(text) is not None
