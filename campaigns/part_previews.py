"""A layout around a sample, or a snippet as a message: what a part looks like before any template takes it."""

from dataclasses import dataclass

from campaigns import parts, resolving
from delivery.content import linting, rendering, snippets
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Scope


@dataclass(frozen=True, slots=True)
class PartPreview:
    """The page, and what would stop publishing (errors) or is doubtful (warnings)."""

    html: str
    problems: tuple[linting.Problem, ...]

    @property
    def errors(self) -> list[linting.Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def warnings(self) -> list[linting.Problem]:
        return [problem for problem in self.problems if problem.severity == "warning"]


def of(*, scope: Scope, kind: str, name: str, body: str) -> PartPreview:
    """Nothing is stored. A part that can't be read or filled has problems and no page."""
    problems = tuple(parts.check(scope=scope, kind=kind, name=name, body=body))
    try:
        bodies = resolving.bodies(scope=scope) if resolving.names_parts(body) else {}
        whole = snippets.expand(body, bodies).text
        compiled = rendering.compile(parts.as_content(kind, whole))
        made = compiled.render(linting.sample(parts.KNOWN_FIELDS), unsubscribe_url=linting.SAMPLE_LINK)
    except (Invalid, rendering.RenderFailed, snippets.BadSnippet):
        return PartPreview("", problems)
    return PartPreview(made.html, problems)
