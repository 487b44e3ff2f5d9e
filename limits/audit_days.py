"""How long each plan keeps the contents of its audit trail. DEMO FIGURES, like those of the catalogue."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from audit.retention import DAYS_WITHOUT_PLAN
from limits import entitlements

DAYS: Final[Mapping[str, int]] = {"free": 90, "starter": 180, "growth": 400, "scale": 1_100}


def days_of(workspace_id: int, at: datetime) -> int | None:
    """A plan of a catalogue of your own keeps as long as a chain without a plan, until it stands in DAYS."""
    plan = entitlements.of_workspace(workspace_id=workspace_id, at=at).plan_id
    return DAYS.get(plan, DAYS_WITHOUT_PLAN)
