"""One person's facts as a snapshot saw them, told again from the history: what its watermark could see, and no more.

The same values that `audiences/sql/facts.sql` projects into columns, so that a year later the rule gives the answer it
gave then. What was erased since is gone; the stored truth of each condition still stands with the member.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from audiences.channels import CHANNEL_BITS
from audiences.facts import IDENTITY_FIELDS, Known
from audiences.models import Person, Snapshot
from audiences.rules.explain import Facts
from audiences.rules.fields import REACHED_PREFIX
from audiences.rules.vocabulary import Vocabulary
from lamba_campaigns.lib import sql
from projects.scoping import Scope

_ADDRESS_STATES: Final = {1: "valid", 2: "invalid"}
# Rule field -> the fact that it is a projection of, where the names differ.
_FACT_OF: Final = {
    "lifecycle_at": "lifecycle",
    "last_session": "session",
    "session_count": "session",
    "session_events": "session",
    "address_state": "email",
    "loyalty": "trait.loyalty",
}
_NO_FACT: Final = frozenset(
    {"created", "external_id", "last_contacted", "last_opened", "last_clicked", "received", "opened", "clicked"}
    | {"contact_events", "audience"}
)
_LETTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, slots=True)
class Remembered:
    """`facts` for the explainer, `known` with the origin of every value."""

    facts: Facts
    known: Sequence[Known]


def remember(
    *, scope: Scope, people: Sequence[Person], taken: Snapshot, vocabulary: Vocabulary
) -> dict[int, Remembered]:
    """Person id -> what was known of them when the snapshot was taken. Four queries, however many people."""
    keys = [person.pk for person in people]
    params = {"environment": scope.environment_id, "people": keys, "watermark": taken.watermark}
    known = _known(keys, sql.rows("audiences", "remember", params))
    events = _by_person(sql.rows("audiences", "remember_events", params))
    contacts = _by_person(sql.rows("audiences", "contacts_of", params))
    states = _address_states(known)
    return {
        person.pk: Remembered(
            _identity(person, known[person.pk], states)
            | _states(known[person.pk], vocabulary)
            | _events(events[person.pk])
            | _contacts(contacts[person.pk], taken.taken_at),
            known[person.pk],
        )
        for person in people
    }


def known_now(*, scope: Scope, person_ids: Sequence[int]) -> dict[int, list[Known]]:
    """Person id -> every standing value of today, with its origin. One query."""
    params = {"environment": scope.environment_id, "people": list(person_ids)}
    return _known(person_ids, sql.rows("audiences", "facts_of_people", params))


def origin(field: str, known: Sequence[Known]) -> Known | None:
    """The newest fact behind a rule's field: `role` stands for `roles` and every `role.…`."""
    if field in _NO_FACT:
        return None
    name = "lifecycle" if field.startswith(REACHED_PREFIX) else _FACT_OF.get(field, field)
    found = [each for each in known if each.field in (name, f"{name}s") or each.field.startswith(f"{name}.")]
    return max(found, key=lambda each: (each.occurred_at, each.source), default=None)


def _known(keys: Sequence[int], rows: Sequence[sql.Row]) -> dict[int, list[Known]]:
    found: dict[int, list[Known]] = {key: [] for key in keys}
    for key, field, value, at, source in rows:
        found[key].append(Known(field, json.loads(value) if value is not None else None, at, source))
    return found


def _by_person(rows: Sequence[sql.Row]) -> Mapping[int, list[sql.Row]]:
    """Person id -> the rest of each row."""
    found: dict[int, list[sql.Row]] = defaultdict(list)
    for key, *rest in rows:
        found[key].append(tuple(rest))
    return found


def _address_states(known: Mapping[int, Sequence[Known]]) -> Mapping[str, int]:
    told = {str(each.value) for facts in known.values() for each in facts if each.field == "email" and each.value}
    return dict(sql.rows("audiences", "judge_addresses", {"addresses": sorted(told)})) if told else {}


def _identity(person: Person, known: Sequence[Known], states: Mapping[str, int]) -> dict[str, Any]:
    said = {each.field: str(each.value) for each in known if each.value not in (None, "")}
    found: dict[str, Any] = {name: said.get(name, "") for name in IDENTITY_FIELDS}
    country = found["country"].upper()
    traits = {
        each.field.removeprefix("trait."): each.value
        for each in known
        if each.field.startswith("trait.") and each.value is not None
    }
    loyalty = traits.get("loyalty")
    return found | {
        "country": country if len(country) == 2 and set(country) <= _LETTERS else "",
        "external_id": person.external_id,
        "created": person.created_at,
        "traits": traits,
        "loyalty": loyalty if isinstance(loyalty, str) else None,
        "address_state": _ADDRESS_STATES.get(states.get(found["email"], 0)),
    }


def _states(known: Sequence[Known], vocabulary: Vocabulary) -> dict[str, Any]:
    by_field = {each.field: each for each in known}

    def value(name: str) -> Any:
        return by_field[name].value if name in by_field else None

    lifecycle = by_field.get("lifecycle")
    return {
        "membership": value("membership"),
        "plan": value("plan"),
        "lifecycle": lifecycle.value if lifecycle else None,
        "lifecycle_at": lifecycle.occurred_at if lifecycle else None,
        "role": _roles(known),
        "segment": _names(known, "segment.", lambda _: True),
        **{
            kind: _names(known, f"{kind}.", CHANNEL_BITS.__contains__)
            for kind in ("consent", "unsubscribed", "suppressed")
        },
    }


def _names(known: Sequence[Known], prefix: str, is_name: Callable[[str], bool]) -> frozenset[str]:
    named = {each.field.removeprefix(prefix): each.value for each in known if each.field.startswith(prefix)}
    return frozenset(name for name, value in named.items() if is_name(name) and value not in (None, False, ""))


def _roles(known: Sequence[Known]) -> frozenset[str]:
    """`roles` is a whole list at one time; a single role that was told later decides for itself."""
    told = next((each for each in known if each.field == "roles"), None)
    held = set(told.value) if told and isinstance(told.value, list) else set()
    for each in known:
        if each.field.startswith("role.") and (
            told is None or (each.occurred_at, each.source) > (told.occurred_at, told.source)
        ):
            name = each.field.removeprefix("role.")
            held = held | {name} if each.value is True else held - {name}
    return frozenset(held)


def _events(events: Sequence[sql.Row]) -> dict[str, Any]:
    sessions = tuple(at for field, _, at in events if field == "session")
    reached: dict[str, datetime] = {}
    for field, stage, at in events:
        if field == "lifecycle" and stage:
            reached[stage] = max(at, reached.get(stage, at))
    return {
        "session_events": sessions,
        "session_count": len(sessions),
        "last_session": max(sessions, default=None),
        "reached": reached,
    }


def _contacts(contacts: Sequence[sql.Row], until: datetime) -> dict[str, Any]:
    """Contacts up to the moment of the snapshot: later ones were not there to be seen."""
    found: dict[str, Any] = {"contact_events": tuple(at for _, at, _, _ in contacts if at <= until)}
    for place, key, latest in (
        (1, "received", "last_contacted"),
        (2, "opened", "last_opened"),
        (3, "clicked", "last_clicked"),
    ):
        seen = [row for row in contacts if row[place] is not None and row[place] <= until]
        found[key] = {row[0]: row[place] for row in seen}
        found[latest] = max((row[place] for row in seen), default=None)
    return found


def member(*, snapshot: Snapshot, person: Person) -> Mapping[str, Any] | None:
    """This person's stored row, or None for somebody whom the rule never matched."""
    params = {
        "snapshot": snapshot.pk,
        "month": snapshot.taken_month,
        "included": snapshot.included,
        "excluded": snapshot.planned - snapshot.included,
        "person": person.pk,
    }
    row = sql.one("audiences", "member_of", params)
    return dict(zip(("position", "reason", "truth", "address"), row, strict=True)) if row else None
