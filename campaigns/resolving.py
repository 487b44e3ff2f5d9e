"""A message with its parts in place: a draft takes the newest of each, a published version those that it holds."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.db.models import F

from campaigns.message import TEXTS, Message
from campaigns.models import Part, PartVersion, TemplateVersion
from delivery.content import snippets
from delivery.content.linting import Problem, place_of
from delivery.content.snippets import BadSnippet, Expanded
from projects.scoping import Scope

PARTS_MAX: Final = 200
_NAMES_PARTS = re.compile(r"\{%-?\s*render\b")


@dataclass(slots=True)
class Resolved:
    """Texts without any `render`, by JSON pointer; `problems` says which could not be put in, and where."""

    texts: dict[str, Expanded] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    layout: str = ""
    used: dict[int, PartVersion] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def text(self, pointer: str) -> str:
        return self.texts[pointer].text

    def placed(self, problem: Problem) -> Problem:
        """The same problem where its author finds it: at the `render` for what stands in a snippet."""
        whole = self.texts.get(problem.pointer)
        if whole is None or not problem.line or len(whole.pieces) == 1:
            return problem
        index = _index(whole.text, problem.line, problem.column or 1)
        origin, snippet = whole.origin(index)
        line, column = place_of(self.sources[problem.pointer], origin)
        detail = f"In the snippet {snippet!r}: {problem.detail}" if snippet else problem.detail
        return replace(problem, line=line, column=column, detail=detail)


def resolve(
    *, scope: Scope, message: Message | TemplateVersion, library: Sequence[PartVersion] | None = None
) -> Resolved:
    """Every text of the message with its snippets in place, and the source of its layout."""
    found = Resolved(sources=dict(_sources(message)))
    parts = _parts(scope, message, found.sources.values()) if library is None else library
    known = {part.part.name: part.body for part in parts if part.part.kind == Part.Kind.SNIPPET}
    used = set[str]()
    for pointer, source in found.sources.items():
        found.texts[pointer] = _expanded(pointer, source, known, found.problems, used)
    if message.layout:
        layout = next((each for each in parts if each.part.kind == "layout" and each.part.name == message.layout), None)
        if layout is None:
            detail = f"There is no published layout {message.layout!r} here. Choose another one, or publish it."
            found.problems.append(Problem("#/layout", "unknown_layout", detail, "error"))
        else:
            found.used[layout.pk] = layout
            found.layout = _expanded("#/layout", layout.body, known, found.problems, used).text
    found.used |= {each.pk: each for each in parts if each.part.kind == "snippet" and each.part.name in used}
    return found


def newest(*, scope: Scope) -> list[PartVersion]:
    """The newest version of every active part."""
    rows = PartVersion.objects.within(scope).filter(part__status=Part.Status.ACTIVE, number=F("part__latest_number"))
    return list(rows.select_related("part").order_by("part__kind", "part__name")[:PARTS_MAX])


def bodies(*, scope: Scope) -> dict[str, str]:
    """The newest text of every snippet, by name."""
    return {each.part.name: each.body for each in newest(scope=scope) if each.part.kind == Part.Kind.SNIPPET}


def names_parts(source: str) -> bool:
    """Whether the text asks for a snippet."""
    return _NAMES_PARTS.search(source) is not None


def held(*, scope: Scope, version: TemplateVersion) -> list[PartVersion]:
    """The parts that a published version holds."""
    rows = PartVersion.objects.within(scope).filter(uses__template_version=version)
    return list(rows.select_related("part").order_by("part__kind", "part__name"))


def closure(source: str, bodies: Mapping[str, str]) -> set[str]:
    """Every snippet that a text holds, by whatever way. For texts that `snippets.expand` takes."""
    found, waiting = set[str](), [source]
    while waiting:
        for name in snippets.names(waiting.pop()) - found:
            found.add(name)
            waiting.append(bodies[name])
    return found


def _sources(message: Message | TemplateVersion) -> Iterable[tuple[str, str]]:
    for name in TEXTS:
        yield f"#/{name}", getattr(message, name)
    for locale, words in message.variants.items():
        for name in TEXTS:
            yield f"#/variants/{locale}/{name}", words.get(name, "")


def _parts(scope: Scope, message: Message | TemplateVersion, sources: Iterable[str]) -> Sequence[PartVersion]:
    if not message.layout and not any(map(names_parts, sources)):
        return []
    if isinstance(message, TemplateVersion):
        return held(scope=scope, version=message)
    return newest(scope=scope)


def _expanded(
    pointer: str, source: str, bodies: Mapping[str, str], problems: list[Problem], used: set[str]
) -> Expanded:
    try:
        made = snippets.expand(source, bodies)
    except BadSnippet as problem:
        line, column = place_of(source, problem.index)
        problems.append(Problem(pointer, "bad_snippet", str(problem), "error", line, column))
        return snippets.expand(snippets.blanked(source), {})
    used |= closure(source, bodies)
    return made


def _index(text: str, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
    return start + column - 1


def words_of(resolved: Resolved, message: Message | TemplateVersion) -> dict[str, Any]:
    """The four texts, and those of every language."""
    whole = {name: resolved.text(f"#/{name}") for name in TEXTS}
    variants = {
        locale: {name: resolved.text(f"#/variants/{locale}/{name}") for name in TEXTS} for locale in message.variants
    }
    return whole | {"variants": variants}
