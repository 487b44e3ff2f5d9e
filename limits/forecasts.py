"""What is planned will still need. Limits stands below campaigns and can't look: apps above say what is planned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from limits.entitlements import Entitlements
from limits.usage import LimitUsage
from projects.scoping import Scope

VOLUME: Final = "included_email_volume"


@dataclass(frozen=True, slots=True)
class Planned:
    """One thing that will ask for volume at `at`. `messages` None: its audience was not counted lately.

    What it holds already is part of what it will ask for.
    """

    name: str
    url: str
    at: datetime
    messages: int | None
    held: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """The email volume of this period if everything planned is sent as it is."""

    planned: Sequence[Planned]
    messages: int  # that are known
    unknown: int  # plans whose size nobody knows
    expected: int
    allowed: int | None

    @property
    def over(self) -> int:
        return 0 if self.allowed is None else max(0, self.expected - self.allowed)

    @property
    def left(self) -> int | None:
        return None if self.allowed is None else max(0, self.allowed - self.expected)


Provider = Callable[[Scope, datetime, datetime], Sequence[Planned]]
_providers: Final[list[Provider]] = []


def register(provider: Provider) -> None:
    """`provider(scope, since, until)` lists what shares the scope's counters and is planned in that time."""
    _providers.append(provider)


def forecast(*, scope: Scope, entitlements: Entitlements, volume: LimitUsage, now: datetime) -> Forecast:
    found = [each for provider in _providers for each in provider(scope, now, entitlements.period.end)]
    planned = sorted(found, key=lambda each: each.at)
    messages = sum(each.messages or 0 for each in planned)
    unknown = sum(each.messages is None for each in planned)
    held = sum(each.held for each in planned if each.messages is not None)
    return Forecast(planned, messages, unknown, volume.current - held + messages, volume.allowed)
