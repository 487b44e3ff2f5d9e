"""Who still needs a hold. Limits stands below campaigns and can't look: apps above say which purposes are theirs."""

from collections.abc import Callable
from typing import Final

from projects.scoping import Scope

IsAlive = Callable[[Scope, str], bool]

_holders: Final[dict[str, IsAlive]] = {}


def register(prefix: str, is_alive: IsAlive) -> None:
    """`is_alive(scope, "launch:cmp_…")` answers for every purpose that begins with `prefix` ("launch:")."""
    _holders[prefix] = is_alive


def is_alive(scope: Scope, purpose: str) -> bool:
    """Does somebody still need this hold? Nobody registered means no."""
    return any(purpose.startswith(prefix) and answer(scope, purpose) for prefix, answer in _holders.items())
