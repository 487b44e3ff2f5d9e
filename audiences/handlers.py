"""Lamba's events become facts. A batch is a few statements, whatever its size; no event ever waits for another."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from audiences import facts, places
from audiences.channels import CHANNEL_BITS
from audiences.facts import REFUSED_PREFIX
from audiences.models.people import EXTERNAL_ID_LENGTH_MAX
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from projects.scoping import Scope
from webhooks.registry import Event, handles

TRAIT_NAME_LENGTH_MAX = 63
REFUSED_SHOWN_MAX = 100
NAME_LENGTH_MAX = 60  # of a segment, role, stage or plan
MEMBERSHIPS: Final = ("invited", "active", "suspended", "removed")
_INVITATIONS: Final = {"created": "invited", "accepted": "active", "revoked": "removed"}
_PROFILE: Final = {
    "email": "email",
    "name": "name",
    "givenName": "given_name",
    "familyName": "family_name",
    "locale": "locale",
    "timeZone": "time_zone",
    "country": "country",
}
TYPES: Final = (
    "user.created",
    "user.updated",
    "user.deleted",
    "user.login",
    "profile.updated",
    "membership.created",
    "membership.updated",
    "membership.removed",
    "invitation.created",
    "invitation.accepted",
    "invitation.revoked",
    "role.assigned",
    "role.revoked",
    "session.created",
    "session.revoked",
    "lifecycle.changed",
    "segment.entered",
    "segment.left",
    "consent.changed",
    "plan.changed",
)
Told = Iterator[tuple[str, Any]]  # (field, value)


@handles(*TYPES)
def apply_facts(scope: Scope, events: Sequence[Event], now: datetime) -> None:
    """People that nobody spoke of before are created, so the order of events does not matter; telling an event twice
    changes nothing."""
    told = tell(events)
    people = facts.ensure_people(scope=scope, people=[facts.Identity(user) for user, _, _ in told], now=now)
    changes = [
        facts.Change(people[user], field, value, event.occurred_at, event.id)
        for user, event, values in told
        for field, value in values
    ]
    facts.apply(scope=scope, changes=changes, now=now)


def tell(events: Sequence[Event]) -> list[tuple[str, Event, list[tuple[str, Any]]]]:
    """(Lamba's user id, event, [(field, value)]) of every event about a person. Invalid names the first wrong one."""
    return [(_user_id(event), event, list(_told(event))) for event in events if "userId" in event.data or _needs(event)]


def _needs(event: Event) -> bool:
    """An invitation may be to an address that is no user yet: then it says nothing about a person."""
    return not event.type.startswith("invitation.")


def _user_id(event: Event) -> str:
    user = event.data.get("userId")
    if not isinstance(user, str) or not 0 < len(user) <= EXTERNAL_ID_LENGTH_MAX:
        raise _unreadable(event, "userId", f"a text of 1 to {EXTERNAL_ID_LENGTH_MAX} characters")
    return user


def _told(event: Event) -> Told:
    group, _, what = event.type.partition(".")
    yield from _TELLERS[group](event, what)


def _tell_user(event: Event, what: str) -> Told:
    if what == "deleted":
        yield "deleted", True
        yield "membership", "removed"
    elif what == "login":
        yield "login", True
    else:
        yield from _tell_profile(event, what)


def _tell_profile(event: Event, what: str) -> Told:
    for key, field in _PROFILE.items():
        if key in event.data:
            yield _told_or_refused(field, _text_or_none(event, key))
    traits = event.data.get("traits") or {}
    if not isinstance(traits, Mapping):
        raise _unreadable(event, "traits", "an object")
    for name, value in traits.items():
        if name.strip() and len(name) <= TRAIT_NAME_LENGTH_MAX and not isinstance(value, (dict, list)):
            yield f"trait.{name}", value


def _tell_membership(event: Event, what: str) -> Told:
    state = "removed" if what == "removed" else event.data.get("state", "active")
    if state not in MEMBERSHIPS:
        raise _unreadable(event, "state", f"one of {', '.join(MEMBERSHIPS)}")
    yield "membership", state
    roles = event.data.get("roles", [] if what == "removed" else None)
    if roles is not None:
        if not isinstance(roles, list):
            raise _unreadable(event, "roles", "a list of names")
        yield "roles", sorted({_name(event, "roles", role) for role in roles})


def _tell_invitation(event: Event, what: str) -> Told:
    yield "membership", _INVITATIONS[what]


def _tell_role(event: Event, what: str) -> Told:
    yield f"role.{_named(event, 'role')}", what == "assigned"


def _tell_session(event: Event, what: str) -> Told:
    session = event.data.get("sessionId")
    if what == "created":
        yield "session", session if isinstance(session, str) else None
    else:
        yield "session_revoked", session if isinstance(session, str) else None


def _tell_lifecycle(event: Event, what: str) -> Told:
    yield "lifecycle", _named(event, "stage")


def _tell_segment(event: Event, what: str) -> Told:
    yield f"segment.{_named(event, 'segment')}", what == "entered"


def _tell_consent(event: Event, what: str) -> Told:
    channel, granted = event.data.get("channel"), event.data.get("granted")
    if channel not in CHANNEL_BITS:
        raise _unreadable(event, "channel", f"one of {', '.join(CHANNEL_BITS)}")
    if not isinstance(granted, bool):
        raise _unreadable(event, "granted", "true or false")
    yield f"consent.{channel}", granted


def _tell_plan(event: Event, what: str) -> Told:
    yield "plan", None if event.data.get("plan") is None else _named(event, "plan")


_TELLERS: Final[Mapping[str, Callable[[Event, str], Told]]] = {
    "user": _tell_user,
    "profile": _tell_profile,
    "membership": _tell_membership,
    "invitation": _tell_invitation,
    "role": _tell_role,
    "session": _tell_session,
    "lifecycle": _tell_lifecycle,
    "segment": _tell_segment,
    "consent": _tell_consent,
    "plan": _tell_plan,
}


def _told_or_refused(field: str, value: str | None) -> tuple[str, str | None]:
    """A place that nobody knows is kept out of what rules read, and kept in the person's history with its reason."""
    if not value or field not in places.JUDGES:
        return field, value
    is_right, reason, _ = places.JUDGES[field]
    return (field, value) if is_right(value) else (f"{REFUSED_PREFIX}{field}", f"{reason}: {value[:REFUSED_SHOWN_MAX]}")


def _text_or_none(event: Event, key: str) -> str | None:
    value = event.data[key]
    if value is not None and not isinstance(value, str):
        raise _unreadable(event, key, "a text or null")
    return value.strip() if value else None


def _named(event: Event, key: str) -> str:
    return _name(event, key, event.data.get(key))


def _name(event: Event, key: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= NAME_LENGTH_MAX:
        raise _unreadable(event, key, f"a text of 1 to {NAME_LENGTH_MAX} characters")
    return value


def _unreadable(event: Event, key: str, accepted: str) -> Invalid:
    detail = f"data.{key} of {event.type} is {event.data.get(key)!r:.80}; it must be {accepted}."
    return Invalid(detail, problems=(FieldProblem(f"#/data/{key}", "unreadable", detail),))
