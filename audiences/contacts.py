"""Who was sent what, opened it, clicked it: any order and any repetition of calls gives the same history.

The first moment of each kind stands per person and subject; the latest one stands in the person's narrow row.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, Literal

from audiences import partitions, statements
from lamba_campaigns.lib import sql
from projects.scoping import Scope

Depth = Literal[0, 1, 2]
_CONTACTED: Final[Depth] = 0
_OPENED: Final[Depth] = 1
_CLICKED: Final[Depth] = 2


def introduce(*, scope: Scope, subject: str, name: str, month: date, now: datetime) -> None:
    """Afterwards `subject` (cmp_…) has a number, and a place for its contacts. Rules show it as `name`."""
    sql.require_transaction()
    partitions.ensure(parent="audiences_contact", month=month)
    params = {"environment": scope.environment_id, "subject": subject, "name": name, "month": month, "at": now}
    sql.execute("audiences", "introduce_subject", params)


def record(*, scope: Scope, subject: str, person_ids: Sequence[int], at: datetime) -> None:
    """These people were sent `subject` at `at`. One statement in the caller's transaction."""
    _record(scope, subject, person_ids, [at] * len(person_ids), _CONTACTED)


def record_opened(*, scope: Scope, subject: str, person_ids: Sequence[int], at: Sequence[datetime]) -> None:
    """These people opened `subject`, each at its moment. Who opened was contacted by then."""
    _record(scope, subject, person_ids, at, _OPENED)


def record_clicked(*, scope: Scope, subject: str, person_ids: Sequence[int], at: Sequence[datetime]) -> None:
    """These people clicked a link of `subject`, each at its moment. Who clicked also opened."""
    _record(scope, subject, person_ids, at, _CLICKED)


def _record(scope: Scope, subject: str, people: Sequence[int], at: Sequence[datetime], depth: Depth) -> None:
    sql.require_transaction()
    if not people:
        return
    newest = max(at)
    params = {
        "environment": scope.environment_id,
        "subject": subject,
        "people": list(people),
        "times": list(at),
        "newest": newest,
        "depth": depth,
    }
    if not statements.rows("record_contacts", params=params):
        introduce(scope=scope, subject=subject, name=subject, month=partitions.month_of(newest), now=newest)
        statements.rows("record_contacts", params=params)
