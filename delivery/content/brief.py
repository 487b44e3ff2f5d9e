"""Messages without a mail around them: a title, plain text, and the body as sanitised HTML. For all but mail."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate
from liquid.exceptions import LiquidError

from audiences.exclusions import VARIANT, VARIANT_B
from audiences.people import TRAITS_PREFIX
from delivery import advice
from delivery.content import liquids, locales, markup
from delivery.content.harmless import NotHarmless
from delivery.content.rendering import Content, RenderFailed, nested, one_line, other_of, variants_of
from delivery.content.responsive import BadMjml

COMPILED_KEPT = 64


@dataclass(frozen=True, slots=True)
class Note:
    """One person's message. `title` is one line and may be empty."""

    title: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Brief:
    """A template version, ready to be filled without a layout, in all its languages."""

    title: BoundTemplate
    html: BoundTemplate
    text: BoundTemplate
    traits: tuple[str, ...]
    variants: tuple[tuple[str, "Brief"], ...] = ()
    other: "Brief | None" = None  # what people of variant b of an A/B split read

    def in_locale(self, locale: Any) -> "Brief":
        """The variant that somebody with this locale reads."""
        found = dict(self.variants)
        return found.get(locales.choose(locale, found), self)

    def render(self, fields: Mapping[str, Any], *, unsubscribe_url: str) -> Note:
        """The message for one person, in their language. `fields` is `{"person": {…}}` or flat."""
        data = nested(fields)
        person = data.get("person", {})
        side = self.other if self.other is not None and person.get(VARIANT) == VARIANT_B else self
        chosen = side.in_locale(person.get("locale")) if side.variants else side
        return chosen._filled(data | {"unsubscribe_url": unsubscribe_url})

    def _filled(self, data: dict[str, Any]) -> Note:
        for name in self.traits:  # one that this person has not is nil, so that `default` can act
            data.setdefault("person", {}).setdefault("traits", {}).setdefault(name, None)
        try:
            return Note(
                title=one_line(self.title.render(data)),
                text=markup.tidy(self.text.render(data)).strip(),
                html=self.html.render(data).strip(),
            )
        except LiquidError as problem:
            raise RenderFailed(advice.said(problem)) from None


@lru_cache(maxsize=COMPILED_KEPT)
def compile(content: Content) -> Brief:
    """The content ready to fill. It was checked when its version was published, so a fault here fails the job."""
    if content.other:
        return replace(compile(replace(content, other="")), other=compile(other_of(content)))
    variants = tuple((locale, _compiled(each)) for locale, each in variants_of(content))
    return replace(_compiled(content), variants=variants)


def _compiled(content: Content) -> Brief:
    try:
        html, text = markup.fragment(content.body, content.format)
        parts = liquids.plain.from_string(content.subject), liquids.plain.from_string(content.body)
        paths = {path for part in parts for path in part.global_variable_paths()}
        return Brief(
            title=parts[0],
            html=liquids.escaping.from_string(html),
            text=liquids.plain.from_string(text),
            traits=tuple(sorted(path.split(".")[2] for path in paths if path.startswith(TRAITS_PREFIX))),
        )
    except (LiquidError, markup.LostMark, markup.TooDense, BadMjml, NotHarmless) as problem:
        raise RenderFailed(advice.first_line(problem)) from None
