"""Every event type of Lamba about people ends in the facts it speaks of, in any order."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from audiences import facts, handlers, people
from audiences.models import FactHistory, Person, Segment
from audiences.tests.conftest import MakePerson, narrow
from conftest import World
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Scope
from webhooks import catalog
from webhooks.registry import Event, is_handled

Send = Callable[..., None]


@pytest.fixture
def send(scope: Scope, now: datetime) -> Send:
    """send("user.created", email="…") -> the handler ran with one event about u1."""

    def deliver(type: str, at: datetime | None = None, within: Scope | None = None, **data: Any) -> None:
        told = {"userId": "u1", **data}
        moment = at or now
        event = Event(f"evt_{type}_{moment:%H%M}", type, moment, moment, told, "lamba")
        with transaction.atomic():
            handlers.apply_facts(within or scope, [event], event.received_at)

    return deliver


def _profile(scope: Scope) -> people.Profile:
    return people.profile(scope=scope, person=Person.objects.within(scope).get())


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("user.created", {"email": " a@b.example ", "name": "A"}, {"email": "a@b.example", "name": "A"}),
    ("user.updated", {"givenName": "A", "familyName": None}, {"given_name": "A", "family_name": None}),
    ("user.updated", {"traits": {"size": 7, "list": [1]}}, {"trait.size": 7}),
    ("profile.updated", {"locale": "de", "timeZone": "Europe/Berlin", "country": "DE"},
     {"locale": "de", "time_zone": "Europe/Berlin", "country": "DE"}),
    ("profile.updated", {"timeZone": "Mars/X", "country": "Germany", "locale": "?", "name": "A"},
     {"refused.time_zone": "unknown_time_zone: Mars/X", "refused.country": "invalid_country: Germany",
      "refused.locale": "invalid_locale: ?", "name": "A"}),
    ("user.deleted", {}, {"deleted": True, "membership": "removed"}),
    ("user.login", {}, {"login": True}),
    ("membership.created", {"state": "invited", "roles": ["member", "member"]},
     {"membership": "invited", "roles": ["member"]}),
    ("membership.created", {}, {"membership": "active"}),
    ("membership.updated", {"state": "suspended"}, {"membership": "suspended"}),
    ("membership.removed", {"state": "active"}, {"membership": "removed", "roles": []}),
    ("invitation.created", {}, {"membership": "invited"}),
    ("invitation.accepted", {}, {"membership": "active"}),
    ("invitation.revoked", {}, {"membership": "removed"}),
    ("role.assigned", {"role": "billing"}, {"role.billing": True}),
    ("role.revoked", {"role": "billing"}, {"role.billing": False}),
    ("session.created", {"sessionId": "ses_1"}, {"session": "ses_1"}),
    ("session.revoked", {"sessionId": "ses_1"}, {"session_revoked": "ses_1"}),
    ("lifecycle.changed", {"stage": "trial"}, {"lifecycle": "trial"}),
    ("segment.entered", {"segment": "power-users"}, {"segment.power-users": True}),
    ("segment.left", {"segment": "power-users"}, {"segment.power-users": False}),
    ("consent.changed", {"channel": "email", "granted": True}, {"consent.email": True}),
    ("plan.changed", {"plan": "green"}, {"plan": "green"}),
]  # fmt: skip


@pytest.mark.parametrize(("type", "data", "expected"), CASES, ids=[f"{case[0]}-{len(case[1])}" for case in CASES])
def test_an_event_becomes_facts_with_their_origin(
    scope: Scope, now: datetime, send: Send, type: str, data: dict[str, Any], expected: dict[str, Any]
) -> None:
    send(type, **data)
    person = Person.objects.within(scope).get(external_id="u1")
    known = facts.of_person(scope=scope, person_id=person.pk)
    assert {each.field: each.value for each in known} == expected
    assert {(each.occurred_at, each.source) for each in known} == {(now, f"evt_{type}_{now:%H%M}")}


def test_every_handled_type_has_a_case_and_stands_in_the_catalog() -> None:
    tested = {case[0] for case in CASES}
    assert all(is_handled(type) for type in tested)
    assert tested <= {known.name for known in catalog.every()}


@pytest.mark.parametrize(
    ("type", "data", "pointer"),
    [
        ("user.created", {"userId": ""}, "userId"),
        ("user.created", {"userId": 7}, "userId"),
        ("user.created", {"userId": "x" * 201}, "userId"),
        ("user.created", {"email": 7}, "email"),
        ("user.created", {"traits": ["x"]}, "traits"),
        ("membership.created", {"state": "maybe"}, "state"),
        ("membership.created", {"roles": "member"}, "roles"),
        ("membership.created", {"roles": [7]}, "roles"),
        ("role.assigned", {}, "role"),
        ("lifecycle.changed", {"stage": "x" * 61}, "stage"),
        ("segment.entered", {"segment": None}, "segment"),
        ("consent.changed", {"channel": "fax", "granted": True}, "channel"),
        ("consent.changed", {"channel": "email", "granted": "yes"}, "granted"),
    ],
)
def test_an_unreadable_event_changes_nothing_and_says_where(
    scope: Scope, send: Send, type: str, data: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(Invalid) as refused:
        send(type, **data)
    assert refused.value.problems[0].pointer == f"#/data/{pointer}"
    assert not Person.objects.within(scope).exists()


def test_an_invitation_to_an_address_only_is_about_nobody_yet(scope: Scope, now: datetime) -> None:
    event = Event("evt_1", "invitation.created", now, now, {"email": "new@example.com"}, "lamba")
    with transaction.atomic():
        handlers.apply_facts(scope, [event], now)
    assert not Person.objects.within(scope).exists()


def test_one_batch_serves_many_people_and_types(scope: Scope, now: datetime) -> None:
    events = [
        Event(
            f"evt_{number}", type, now + timedelta(seconds=number), now, {"userId": f"u{number % 7}", **data}, "lamba"
        )
        for number, (type, data, _) in enumerate(CASES * 5)
    ]
    with transaction.atomic():
        handlers.apply_facts(scope, [*events, *events], now)
    assert Person.objects.within(scope).count() == 7


def test_an_older_address_never_replaces_a_newer_one(scope: Scope, now: datetime, send: Send) -> None:
    send("user.updated", email="new@example.com")
    send("user.created", at=now - timedelta(hours=1), email="old@example.com")
    assert Person.objects.within(scope).get().email == "new@example.com"


def test_a_place_that_nobody_knows_is_kept_out_and_kept_in_the_history(scope: Scope, now: datetime, send: Send) -> None:
    send("profile.updated", timeZone="Europe/Berlin", locale="de", country="DE")
    send("profile.updated", at=now + timedelta(hours=1), timeZone="Mars/X", locale="de_", country="Germany")
    person = Person.objects.within(scope).get()
    assert (person.time_zone, person.locale, person.country) == ("Europe/Berlin", "de", "DE")
    history = facts.history_of_person(scope=scope, person_id=person.pk, limit=3)
    assert {(each.label, each.shown) for each in history} == {
        ("Refused: time_zone", "unknown_time_zone: Mars/X"),
        ("Refused: locale", "invalid_locale: de_"),
        ("Refused: country", "invalid_country: Germany"),
    }


def test_an_unknown_segment_becomes_one_of_lambas(scope: Scope, send: Send) -> None:
    send("segment.entered", segment="power-users")
    segment = Segment.objects.within(scope).get()
    assert (segment.slug, segment.name, segment.origin) == ("power-users", "Power users", "lamba")
    assert [each.slug for each in _profile(scope).segments] == ["power-users"]


def test_a_deleted_user_is_erased_and_stays_unmailable(
    scope: Scope, now: datetime, contactable: MakePerson, send: Send
) -> None:
    person = contactable("u1", name="Ada", **{"unsubscribed.sms": True})
    send("user.deleted", at=now + timedelta(hours=1))
    send("user.updated", name="Ada again")  # older than the deletion
    found = _profile(scope)
    assert (found.person.name, found.person.email, found.membership) == ("", "", "removed")
    assert found.person.erased_at == now + timedelta(hours=1)
    assert (found.consent["email"], found.unsubscribed["sms"]) == (False, True)
    assert not FactHistory.objects.within(scope).filter(field__in=["name", "email", "consent.email"]).exists()
    assert narrow(person).address_state == 0


def test_a_user_who_comes_back_after_the_deletion_is_known_again(scope: Scope, now: datetime, send: Send) -> None:
    send("user.deleted")
    send("user.created", at=now + timedelta(days=1), email="back@example.com")
    found = Person.objects.within(scope).get()
    assert (found.email, found.erased_at) == ("back@example.com", None)


def test_events_of_one_environment_touch_no_other(world: World, scope: Scope, send: Send) -> None:
    send("user.created", within=world.sandbox, name="Sandbox")
    send("user.created", name="Production")
    assert [person.name for person in Person.objects.within(world.sandbox)] == ["Sandbox"]
    assert [person.name for person in Person.objects.within(scope)] == ["Production"]
