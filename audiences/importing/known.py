"""People known before a file spoke of them, and everybody's segments: only what nothing newer contradicts wins.

They are locked first, all of them in the order of their ids, as every writer of facts does. Then some thousand at a
time, so that no statement grows with the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from audiences import statements
from projects.scoping import Scope

PEOPLE_PER_STEP: Final = 10_000


@dataclass(frozen=True, slots=True)
class Step:
    """People looked at, and people known before of whom something changed."""

    people: int
    updated: int


def apply(*, scope: Scope, source: str, at: datetime, now: datetime) -> Iterator[Step]:
    """Each step brings the next people of `import_people` up to date."""
    params: dict[str, Any] = {"environment": scope.environment_id, "source": source, "at": at, "now": now, "last": 0}
    statements.rows("lock_imported", params=params)
    while True:
        params["first"] = params["last"]
        ((last, people),) = statements.rows("next_imported", params=params | {"limit": PEOPLE_PER_STEP})
        if not people:
            return
        params["last"] = last
        yield Step(people, _step(params))


def _step(params: dict[str, Any]) -> int:
    statements.count("record_imported", params=params)
    updated = statements.count("won_of_import", "projection", params=params)
    ((listed, roles),) = statements.rows("listed_and_roles", params=params)
    if roles:
        statements.count("project_roles", params=params | {"people": roles})
    return updated - int(listed)
