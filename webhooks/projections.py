"""What is made from the stored events, by name: compared with them, or erased and made anew.

Each app registers its own; the events are the evidence and never change by it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from projects.scoping import Scope


@dataclass(frozen=True, slots=True)
class Outcome:
    """How much was read and made, and the first values that stood otherwise before."""

    events: int
    rows: int
    difference_count: int
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Projection:
    """`check` writes nothing. `rebuild` leaves the rows as the events tell them; its differences were put right."""

    sentence: str
    check: Callable[[Scope, datetime], Outcome]
    rebuild: Callable[[Scope, datetime], Outcome]


_projections: dict[str, Projection] = {}


def register(name: str, projection: Projection) -> None:
    """Called once, when the app is ready."""
    assert name not in _projections, f"two projections are called {name}"
    _projections[name] = projection


def every() -> Mapping[str, Projection]:
    return _projections
