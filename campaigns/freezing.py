"""How far the freezing of a launching campaign is: told by the database while the one statement runs."""

from dataclasses import dataclass
from typing import Literal

from audiences import snapshot
from campaigns import holds
from campaigns.models import Campaign, State
from projects.scoping import Scope


@dataclass(frozen=True, slots=True)
class Freezing:
    """`written` of about `expected` people are included so far. `expected` is what the preflight counted."""

    phase: Literal["waiting", "matching", "writing", "sealing"]
    written: int
    expected: int

    @property
    def percent(self) -> int:
        """Never 100 while it runs: the count before was one of another moment."""
        if self.phase == "sealing":
            return 99
        return min(98, 100 * self.written // self.expected) if self.expected else 0


def of(*, scope: Scope, campaign: Campaign) -> Freezing | None:
    """None unless the campaign is launching. `waiting`: no worker has begun."""
    if campaign.state != State.LAUNCHING:
        return None
    expected = next((each["meter"]["requested"] for each in campaign.evidence if _counts_people(each)), 0)
    found = snapshot.progress(scope=scope, purpose=holds.purpose(campaign))
    return Freezing(found.phase, found.written, expected) if found else Freezing("waiting", 0, expected)


def _counts_people(check: dict[str, object]) -> bool:
    return check.get("key") == holds.AUDIENCE and bool(check.get("meter"))
