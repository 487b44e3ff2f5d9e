"""The words of a message as people write them: four texts, the same in other languages, and the page around them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from audiences import people
from campaigns.models.template import BODY_LENGTH_MAX, PREHEADER_LENGTH_MAX, SUBJECT_LENGTH_MAX, Format
from delivery.content import locales
from lamba_campaigns.lib.errors import FieldProblem, Invalid

TEXTS = ("subject", "preheader", "body", "text")
VARIANTS_MAX = 20
KNOWN_FIELDS = people.FIELD_NAMES | {f"{people.TRAITS_PREFIX}*"}


@dataclass(frozen=True, slots=True)
class Message:
    """What an operator writes: subject and preheader in Liquid, body in Markdown or MJML with Liquid, the plain text in
    Liquid (made from the body when empty). `variants` are the same four texts for other locales.
    """

    subject: str
    preheader: str
    body: str
    text: str = ""
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    format: str = Format.MARKDOWN.value  # of every body: markdown or mjml
    layout: str = ""  # the name of a layout; empty: ours

    def in_locale(self, locale: str) -> "Message":
        """The variant of a locale; a copy of the message itself to begin with where there is none."""
        if not locale:
            return self
        words = self.variants.get(locale) or {name: getattr(self, name) for name in TEXTS}
        return replace(self, variants={}, **{name: words.get(name, "") for name in TEXTS})

    def with_locale(self, locale: str, words: "Message | None") -> "Message":
        """The message with these words in that locale; None takes the locale away."""
        others = {key: value for key, value in self.variants.items() if key != locale}
        if words is None:
            return replace(self, variants=others)
        if not locale:
            return replace(words, variants=self.variants)
        return replace(
            self,
            format=words.format,
            layout=words.layout,
            variants=others | {locale: {name: getattr(words, name) for name in TEXTS}},
        )


def require_lengths(message: Message) -> None:
    """Invalid names every text that is too long, and a language, format or layout that can't be."""
    limits = (
        ("subject", SUBJECT_LENGTH_MAX),
        ("preheader", PREHEADER_LENGTH_MAX),
        ("body", BODY_LENGTH_MAX),
        ("text", BODY_LENGTH_MAX),
    )
    problems = [
        FieldProblem(f"#/{name}", "too_long", f"Use at most {most:,} characters.")
        for name, most in limits
        if len(getattr(message, name)) > most
    ]
    if message.format not in Format.values:
        problems.append(FieldProblem("#/format", "unknown", "Use markdown or mjml."))
    if message.format == Format.MJML and message.layout:
        problems.append(FieldProblem("#/layout", "not_with_mjml", "A message in MJML is a whole page: take no layout."))
    if len(message.variants) > VARIANTS_MAX:
        problems.append(FieldProblem("#/variants", "too_many", f"Use at most {VARIANTS_MAX} languages."))
    for locale, words in message.variants.items():
        where = f"#/variants/{locale[:40]}"
        if not locale or locales.normal(locale) != locale:
            problems.append(FieldProblem(where, "unknown", "Use a locale such as de or de-CH."))
        for name, most in limits:
            if len(words.get(name, "")) > most:
                problems.append(FieldProblem(f"{where}/{name}", "too_long", f"Use at most {most:,} characters."))
    if problems:
        raise Invalid("The message can't be kept as it is.", problems=tuple(problems))
