"""People as CSV, in the columns of an import. Audited before the first line leaves; no cell can start a formula.

Read by id, some thousand at a time, so memory stays flat and no transaction stays open while somebody downloads.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from audiences import people, vocabulary
from audiences.channels import CHANNEL_BITS
from audiences.models import Person, Segment
from audiences.models.facts import Membership
from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.cells import Line, safe_cell
from projects.scoping import Actor, Scope

PEOPLE_PER_PAGE: Final = 2_000
_IDENTITY: Final = ("external_id", "email", "name", "given_name", "family_name", "locale", "time_zone", "country")
COLUMNS: Final = (
    *_IDENTITY, "membership", "lifecycle", "plan", "roles", "segments",
    *(f"consent.{channel}" for channel in CHANNEL_BITS), "unsubscribed", "suppressed", "last_session", "traits",
)  # fmt: skip


def export(*, scope: Scope, actor: Actor, text: str, now: datetime) -> Iterator[str]:
    """Everybody, or whom `text` names, as lines of CSV. Erased people are left out."""
    with sql.durable():
        chain.record(
            scope=scope,
            actor=actor,
            action="people.exported",
            subject=chain.Subject("people", scope.path),
            now=now,
            after={"what": "one person or address" if text.strip() else "everybody"},
        )
    return _lines(scope, text)


def _lines(scope: Scope, text: str) -> Iterator[str]:
    writer = csv.writer(Line())
    yield writer.writerow(COLUMNS)
    names = {
        kind: {number: name for name, number in known.items()}
        for kind, known in vocabulary.numbers(scope=scope).items()
    }
    segments = list(Segment.objects.within(scope).order_by("slug").values_list("slug", "number"))
    rows, after = people.matching(scope=scope, text=text).filter(erased_at=None).select_related("facts"), 0
    while page := list(rows.filter(pk__gt=after).order_by("pk")[:PEOPLE_PER_PAGE]):
        yield "".join([writer.writerow(map(safe_cell, _cells(person, names, segments))) for person in page])
        after = page[-1].pk


def _cells(person: Person, names: Mapping[str, Mapping[int, str]], segments: list[tuple[str, int]]) -> list[str]:
    row: Any = person.facts
    roles = names[vocabulary.Kind.ROLE]
    member = Membership(row.membership)
    return [
        *(getattr(person, name) for name in _IDENTITY),
        "" if member == Membership.UNKNOWN else member.name.lower(),
        names[vocabulary.Kind.LIFECYCLE].get(row.lifecycle, ""),
        names[vocabulary.Kind.PLAN].get(row.plan, ""),
        ";".join(roles[bit] for bit in sorted(roles) if row.roles_mask >> bit & 1),
        ";".join(slug for slug, number in segments if people.is_in(row, number)),
        *("yes" if row.consent_mask & bit else "no" for bit in CHANNEL_BITS.values()),
        _channels(row.unsubscribed_mask),
        _channels(row.suppressed_mask),
        row.last_session_at.isoformat() if row.last_session_at else "",
        json.dumps(person.traits, ensure_ascii=False, sort_keys=True) if person.traits else "",
    ]


def _channels(mask: int) -> str:
    return ";".join(channel for channel, bit in CHANNEL_BITS.items() if mask & bit)
