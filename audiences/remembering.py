"""One person's facts as a snapshot saw them, told again from the history: what its watermark could see, and no more.

The same values that `audiences/sql/facts.sql` projects into columns, so that a year later the rule gives the answer it
gave then. What was erased since is gone; the stored truth of each condition still stands with the member.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from audiences.channels import CHANNEL_BITS
from audiences.facts import IDENTITY_FIELDS, Known
from audiences.models import Person, Snapshot
from audiences.rules.explain import Facts
from audiences.rules.vocabulary import Vocabulary
from lamba_campaigns.lib import sql
from projects.scoping import Scope

_ADDRESS_STATES: Final = {1: "valid", 2: "invalid"}
_LETTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, slots=True)
class Remembered:
    """`facts` for the explainer, `known` with the origin of every value."""

    facts: Facts
    known: Sequence[Known]


def remember(*, scope: Scope, person: Person, taken: Snapshot, vocabulary: Vocabulary) -> Remembered:
    """What was known of `person` when the snapshot was taken. Three queries."""
    params = {"environment": scope.environment_id, "person": person.pk, "watermark": taken.watermark}
    known = [
        Known(field, json.loads(value) if value is not None else None, at, source)
        for field, value, at, source in sql.rows("audiences", "remember", params)
    ]
    events = sql.rows("audiences", "remember_events", params)
    contacts = sql.rows("audiences", "contacts_of", {"environment": scope.environment_id, "people": [person.pk]})
    facts = _identity(person, known) | _states(known, vocabulary)
    return Remembered(facts | _events(events) | _contacts(contacts, taken.taken_at), known)


def _identity(person: Person, known: Sequence[Known]) -> dict[str, Any]:
    said = {each.field: str(each.value) for each in known if each.value not in (None, "")}
    found: dict[str, Any] = {name: said.get(name, "") for name in IDENTITY_FIELDS}
    country = found["country"].upper()
    traits = {
        each.field.removeprefix("trait."): each.value
        for each in known
        if each.field.startswith("trait.") and each.value is not None
    }
    loyalty = traits.get("loyalty")
    state = sql.rows("audiences", "judge_address", {"address": found["email"]})[0][0]
    return found | {
        "country": country if len(country) == 2 and set(country) <= _LETTERS else "",
        "external_id": person.external_id,
        "created": person.created_at,
        "traits": traits,
        "loyalty": loyalty if isinstance(loyalty, str) else None,
        "address_state": _ADDRESS_STATES.get(state),
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
    found: dict[str, Any] = {"contact_events": tuple(at for _, _, at, _, _ in contacts if at <= until)}
    for place, key, latest in (
        (2, "received", "last_contacted"),
        (3, "opened", "last_opened"),
        (4, "clicked", "last_clicked"),
    ):
        seen = [row for row in contacts if row[place] is not None and row[place] <= until]
        found[key] = frozenset(row[1] for row in seen)
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
