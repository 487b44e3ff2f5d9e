"""An erased person leaves past snapshots too, and their digests can still be verified.

A member's address and merge fields are blanked in place; position, reason and truth stay. What the row weighed before
and weighs now is kept encrypted, so that whoever only reads the database cannot test guesses of an address against it.
"""

import json
from collections.abc import Sequence
from datetime import datetime

from audiences import statements
from audiences.models import ErasedMember, Person, Snapshot
from lamba_campaigns.lib import secrets, sql
from projects.scoping import Scope


def blank_memberships(*, scope: Scope, person: Person, now: datetime) -> int:
    """Blank this person in every snapshot taken since they were known; how many there were."""
    sql.require_transaction()
    taken = Snapshot.objects.within(scope).filter(taken_at__gte=person.created_at)
    return sum(_blank(scope, snapshot, person.pk, now) for snapshot in taken.iterator(chunk_size=500))


def restored(*, scope: Scope, snapshot: Snapshot, parts: Sequence[sql.Row]) -> list[sql.Row]:
    """(reason, count, sum, sum) of the stored rows as they were before anybody was erased.

    A blanked row that says something again, or a blank one nobody erased, makes the sums differ.
    """
    found = {row[0]: [row[1], int(row[2]), int(row[3])] for row in parts}
    for each in ErasedMember.objects.within(scope).filter(snapshot_id=snapshot.pk).iterator(chunk_size=500):
        reason, before, after = json.loads(secrets.decrypt(each.weight_cipher))
        weighed = found.setdefault(reason, [0, 0, 0])
        weighed[1] += before[0] - after[0]
        weighed[2] += before[1] - after[1]
    return [(reason, count, str(first), str(second)) for reason, (count, first, second) in found.items()]


def _blank(scope: Scope, snapshot: Snapshot, person_id: int, now: datetime) -> bool:
    params = {
        "snapshot": snapshot.pk,
        "month": snapshot.taken_month,
        "person": person_id,
        "included": snapshot.included,
        "excluded": snapshot.planned - snapshot.included,
    }
    found = statements.rows("member_of", params=params)
    if not found:
        return False
    place = {"snapshot": snapshot.pk, "month": snapshot.taken_month, "position": found[0][0]}
    ((reason, *before),) = statements.rows("weight_of_member", params=place)
    if not statements.count("blank_member", params=place):
        return False  # erased before
    ((_, *after),) = statements.rows("weight_of_member", params=place)
    ErasedMember.objects.create(
        environment_id=scope.environment_id,
        snapshot_id=snapshot.pk,
        position=place["position"],
        weight_cipher=secrets.encrypt(json.dumps([reason, before, after])),
        erased_at=now,
    )
    return True
