"""What is known of people. Any order and any repetition of the same changes ends in the same rows.

The newest value by (occurred_at, source) stands. Every value keeps its source. The columns that rules scan are a
projection of the standing values, written in the same transaction.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from audiences import statements, vocabulary
from audiences.channels import CHANNEL_BITS
from lamba_campaigns.lib import ids
from lamba_campaigns.lib.sql import Row, require_transaction
from projects.scoping import Scope

_Item = TypeVar("_Item")
CHANGES_PER_STATEMENT_MAX = 5_000
OUTLIVES_DELETION: Final = r"^(deleted$|unsubscribed\.|suppressed\.)"
REFUSED_PREFIX: Final = "refused."  # a value that means nothing: kept as "reason: value", projected into no column
IDENTITY_FIELDS: Final = ("email", "name", "given_name", "family_name", "locale", "time_zone", "country")
_KIND_OF_FIELD: Final = {"lifecycle": vocabulary.Kind.LIFECYCLE, "plan": vocabulary.Kind.PLAN}


@dataclass(frozen=True, slots=True)
class Change:
    """One value of one field of one person, as `source` told it. Values are JSON; None clears."""

    person_id: int
    field: str  # email, membership, roles, role.x, lifecycle, session, consent.email, segment.x, plan, trait.x, …
    value: Any
    occurred_at: datetime
    source: str  # evt_…, import:imp_…, console:usr_…


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is meant: Lamba's user id. Everything else about a person arrives as changes."""

    external_id: str


@dataclass(frozen=True, slots=True)
class Known:
    """One value of one field with its origin."""

    field: str
    value: Any
    occurred_at: datetime
    source: str

    @property
    def label(self) -> str:
        """The field in words: `consent.email` is "Consent: email"."""
        group, _, name = self.field.partition(".")
        words = group.replace("_", " ").capitalize()
        return f"{words}: {name}" if name else words

    @property
    def event(self) -> str:
        """The event that told it, or nothing."""
        return self.source if self.source.startswith("evt_") else ""

    @property
    def import_run(self) -> str:
        """The import that told it, or nothing."""
        kind, _, run = self.source.partition(":")
        return run if kind == "import" else ""

    @property
    def shown(self) -> str:
        """The value in words."""
        if self.value in (None, "", []):
            return "None"
        if isinstance(self.value, bool):
            return "Yes" if self.value else "No"
        if isinstance(self.value, list):
            return ", ".join(map(str, self.value))
        return str(self.value)


def ensure_people(*, scope: Scope, people: Sequence[Identity], now: datetime) -> dict[str, int]:
    """External id -> person id; people who are not known yet are created, empty. Safe against itself."""
    require_transaction()
    wanted = sorted({each.external_id for each in people})
    found = find_people(scope=scope, external_ids=wanted)
    missing = [each for each in wanted if each not in found]
    if not missing:
        return found
    for part in _slices(missing):
        statements.count(
            "create_people",
            params={
                "environment": scope.environment_id,
                "external_ids": part,
                "public_ids": [ids.new_id("per") for _ in part],
                "now": now,
            },
        )
    return found | find_people(scope=scope, external_ids=missing)


def apply(*, scope: Scope, changes: Sequence[Change], now: datetime) -> None:
    """Afterwards each change is in the history of its person, and the newest value of each field stands."""
    require_transaction()
    if not changes:
        return
    vocabulary.learn(scope=scope, names=_names(changes), now=now)
    _lock(scope, sorted({each.person_id for each in changes}))
    deletions = [each for each in changes if each.field == "deleted"]
    if deletions:  # first, so that nothing older than them gets in with the rest
        _write(scope, deletions, now)
        _forget(scope, sorted({each.person_id for each in deletions}))
    others = [each for each in changes if each.field != "deleted"]
    for part in _slices(others):
        _write(scope, part, now)
    _project_roles(scope, sorted({each.person_id for each in others if each.field.startswith("role")}))


def of_person(*, scope: Scope, person_id: int) -> list[Known]:
    """Every standing value of a person, by field."""
    return _known(statements.rows("facts_of_person", params={"environment": scope.environment_id, "person": person_id}))


def history_of_person(*, scope: Scope, person_id: int, limit: int) -> list[Known]:
    """Everything that was ever told about a person, newest first."""
    params = {"environment": scope.environment_id, "person": person_id, "limit": limit}
    return _known(statements.rows("history_of_person", params=params))


def project_stored(*, scope: Scope, people: list[int]) -> None:
    """What stands for these people becomes columns again, over columns that say nothing yet."""
    require_transaction()
    statements.count("won_of_stored", "projection", params={"environment": scope.environment_id, "people": people})
    _project_roles(scope, people)


def record_unsubscribed(
    *, scope: Scope, person_ids: Sequence[int], channel: str, occurred_at: datetime, source: str, now: datetime
) -> None:
    """These people want nothing more by this channel, as of `occurred_at`."""
    _tell(scope, person_ids, f"unsubscribed.{_known_channel(channel)}", True, occurred_at, source, now)


def record_resubscribed(
    *, scope: Scope, person_ids: Sequence[int], channel: str, occurred_at: datetime, source: str, now: datetime
) -> None:
    """Takes back an earlier unsubscription. It does not give consent, and lifts no suppression."""
    _tell(scope, person_ids, f"unsubscribed.{_known_channel(channel)}", False, occurred_at, source, now)


def record_suppressed(
    *,
    scope: Scope,
    person_ids: Sequence[int],
    channel: str,
    reason: str,
    occurred_at: datetime,
    source: str,
    now: datetime,
) -> None:
    """Never send to these people by this channel: a bounce, a complaint, or an operator. An empty reason lifts it."""
    _tell(scope, person_ids, f"suppressed.{_known_channel(channel)}", reason or False, occurred_at, source, now)


def record_contacted(*, scope: Scope, person_ids: Sequence[int], occurred_at: datetime) -> None:
    """These people were sent something at `occurred_at`."""
    require_transaction()
    if person_ids:
        params = {"environment": scope.environment_id, "people": list(person_ids), "occurred_at": occurred_at}
        statements.count("record_contacted", params=params)


def _known(rows: list[Row]) -> list[Known]:
    return [Known(field, json.loads(value), occurred_at, source) for field, value, occurred_at, source in rows]


def find_people(*, scope: Scope, external_ids: Sequence[str]) -> dict[str, int]:
    """External id -> person id, of those who are known."""
    if not external_ids:
        return {}
    params = {"environment": scope.environment_id, "external_ids": list(external_ids)}
    return dict(statements.rows("find_people", params=params))


def _names(changes: Iterable[Change]) -> Iterator[tuple[str, str]]:
    """The (kind, name) pairs that need a number before these changes can be projected."""
    for change in changes:
        kind = _KIND_OF_FIELD.get(change.field)
        if kind and change.value:
            yield kind, change.value
        elif change.field.startswith("segment."):
            yield vocabulary.Kind.SEGMENT, change.field.removeprefix("segment.")
        elif change.field.startswith("role."):
            yield vocabulary.Kind.ROLE, change.field.removeprefix("role.")
        elif change.field == "roles":
            for name in change.value or ():
                yield vocabulary.Kind.ROLE, name


def _lock(scope: Scope, people: list[int]) -> None:
    ((locked,),) = statements.rows("lock_people", params={"environment": scope.environment_id, "people": people})
    assert locked == len(people), f"{len(people) - locked} of these people are not of {scope.path}"


def _write(scope: Scope, changes: Sequence[Change], now: datetime) -> None:
    params = {
        "environment": scope.environment_id,
        "people": [each.person_id for each in changes],
        "fields": [each.field for each in changes],
        "values": [json.dumps(each.value) for each in changes],
        "times": [each.occurred_at for each in changes],
        "sources": [each.source for each in changes],
        "outlives_deletion": OUTLIVES_DELETION,
        "now": now,
    }
    statements.count("won_of_changes", "projection", params=params)


def _forget(scope: Scope, people: list[int]) -> None:
    """Erase what was told before the deletion, then project what is left."""
    params = {"environment": scope.environment_id, "people": people, "outlives_deletion": OUTLIVES_DELETION}
    statements.count("forget", params=params)
    project_stored(scope=scope, people=people)


def _project_roles(scope: Scope, people: list[int]) -> None:
    if people:
        statements.count("project_roles", params={"environment": scope.environment_id, "people": people})


def _tell(
    scope: Scope,
    person_ids: Sequence[int],
    field: str,
    value: Any,
    occurred_at: datetime,
    source: str,
    now: datetime,
) -> None:
    changes = [Change(person_id, field, value, occurred_at, source) for person_id in person_ids]
    apply(scope=scope, changes=changes, now=now)


def _known_channel(channel: str) -> str:
    assert channel in CHANNEL_BITS, f"{channel!r} is no channel"
    return channel


def _slices(items: Sequence[_Item]) -> Iterator[list[_Item]]:
    for start in range(0, len(items), CHANGES_PER_STATEMENT_MAX):
        yield list(items[start : start + CHANGES_PER_STATEMENT_MAX])
