"""Who uses an audience, and what a plan says about its size. Upper apps register the answers in `AppConfig.ready()`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from projects.scoping import Scope


@dataclass(frozen=True, slots=True)
class Use:
    """One campaign of an audience. `scheduled`: it will take the audience as it is then, so a change needs a yes."""

    name: str
    state: str
    url_name: str  # console page, with public_id as its only argument
    public_id: str
    scheduled: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the contactable number stands against a limit: "Within the 50,000 limit, 44,340 spare"."""

    fits: bool
    text: str


UseProvider = Callable[[Scope, Sequence[int]], Mapping[int, Sequence[Use]]]
VerdictProvider = Callable[[Scope, int], Verdict | None]
_use_providers: list[UseProvider] = []
_verdict_providers: list[VerdictProvider] = []


def register_uses(provider: UseProvider) -> None:
    """`provider(scope, audience primary keys) -> {primary key: uses}`, one query. Call it in `AppConfig.ready()`."""
    if provider not in _use_providers:
        _use_providers.append(provider)


def register_verdict(provider: VerdictProvider) -> None:
    """`provider(scope, contactable people) -> Verdict`, or None where no limit applies. The first answer wins."""
    if provider not in _verdict_providers:
        _verdict_providers.append(provider)


def uses_of(scope: Scope, audience_ids: Sequence[int]) -> dict[int, list[Use]]:
    """Audience primary key -> everything that uses it."""
    found: dict[int, list[Use]] = {audience_id: [] for audience_id in audience_ids}
    for provider in _use_providers if audience_ids else ():
        for audience_id, uses in provider(scope, audience_ids).items():
            found[audience_id].extend(uses)
    return found


def verdict(scope: Scope, contactable: int) -> Verdict | None:
    """What the plan says about an audience of this size, if anybody knows."""
    return next((found for each in _verdict_providers if (found := each(scope, contactable)) is not None), None)
