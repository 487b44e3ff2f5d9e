"""Messages without a mail around them: a title, plain text, and the body as sanitised HTML. For all but mail."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate
from liquid.exceptions import LiquidError

from audiences.people import TRAITS_PREFIX
from delivery import liquids, markup
from delivery.rendering import Content, RenderFailed, nested, one_line

COMPILED_KEPT = 64


@dataclass(frozen=True, slots=True)
class Note:
    """One person's message. `title` is one line and may be empty."""

    title: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Brief:
    """A template version, ready to be filled without a layout."""

    title: BoundTemplate
    html: BoundTemplate
    text: BoundTemplate
    traits: tuple[str, ...]

    def render(self, fields: Mapping[str, Any], *, unsubscribe_url: str) -> Note:
        data = nested(fields) | {"unsubscribe_url": unsubscribe_url}
        for name in self.traits:  # one that this person has not is nil, so that `default` can act
            data.setdefault("person", {}).setdefault("traits", {}).setdefault(name, None)
        try:
            return Note(
                title=one_line(self.title.render(data)),
                text=markup.tidy(self.text.render(data)).strip(),
                html=self.html.render(data).strip(),
            )
        except LiquidError as problem:
            raise RenderFailed(str(problem).strip().partition("\n")[0][:300]) from None


@lru_cache(maxsize=COMPILED_KEPT)
def compile(content: Content) -> Brief:
    """The content ready to fill. It was checked when its version was published, so a fault here fails the job."""
    try:
        html, text = markup.fragment(content.body)
        parts = liquids.plain.from_string(content.subject), liquids.plain.from_string(content.body)
        paths = {path for part in parts for path in part.global_variable_paths()}
        return Brief(
            title=parts[0],
            html=liquids.escaping.from_string(html),
            text=liquids.plain.from_string(text),
            traits=tuple(sorted(path.split(".")[2] for path in paths if path.startswith(TRAITS_PREFIX))),
        )
    except (LiquidError, markup.LostMark, markup.TooDense) as problem:
        raise RenderFailed(str(problem).strip().partition("\n")[0][:300]) from None
