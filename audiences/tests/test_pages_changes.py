"""The pages of snapshots: an answer as of then, and who joined and left since."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from audiences import definitions, snapshot
from audiences.models import Audience, Snapshot
from audiences.tests.conftest import MakePerson
from audiences.views import snapshots
from audit.models import AuditEntry
from conftest import World
from projects.scoping import Actor, Scope

RULE: dict[str, Any] = {"all": [{"field": "country", "op": "is", "value": "DE"}]}


@pytest.fixture
def audience(scope: Scope, actor: Actor, now: datetime) -> Audience:
    return definitions.create(scope=scope, actor=actor, name="Germans", rule=RULE, now=now)


@pytest.fixture
def taken(scope: Scope, now: datetime, audience: Audience, contactable: MakePerson) -> Snapshot:
    contactable("then", country="DE")
    found = snapshot.take(
        scope=scope, version=definitions.latest(audience), channel="email", fields=[], purpose="p", now=now
    )
    contactable("later", country="DE")
    return found


@pytest.fixture
def alice(world: World, browser_of: Callable[..., Client]) -> Client:
    return browser_of(world.alice)


def _at(scope: Scope, audience: Audience, rest: str = "") -> str:
    return f"/{scope.workspace_slug}/{scope.project_slug}/{scope.environment}/audiences/{audience.public_id}/{rest}"


def test_the_page_says_who_joined_since_a_snapshot(
    scope: Scope, audience: Audience, taken: Snapshot, alice: Client, django_assert_max_num_queries: Any
) -> None:
    detail = alice.get(_at(scope, audience)).content.decode()
    where = _at(scope, audience, f"changes/{taken.public_id}/")
    assert where in detail and "Who joined and left" in detail
    with django_assert_max_num_queries(30):
        shown = alice.get(where).content.decode()
    assert "later@example.com" in shown and "then@example.com" not in shown
    assert "Not matched" in shown and "Included" in shown
    nobody = alice.get(where, {"show": "left"}).content.decode()
    assert "Nobody." in nobody
    told = alice.get(f"{where}csv/")
    assert b"later,not_matched,included" in told.getvalue()


@pytest.mark.django_db(transaction=True)  # a watermark sees what was committed before it
def test_the_answer_as_of_a_snapshot_names_the_nearest_way_in(
    scope: Scope, audience: Audience, taken: Snapshot, alice: Client
) -> None:
    asked = alice.get(_at(scope, audience), {"person": "later", "snapshot": taken.public_id}).content.decode()
    assert "what was known when the snapshot was taken" in asked
    assert "Would qualify if country were Germany." in asked
    today = alice.get(_at(scope, audience), {"person": "later"}).content.decode()
    assert "In: the rule matches" in today


def test_an_audience_names_those_that_contain_it(
    scope: Scope, actor: Actor, now: datetime, audience: Audience, alice: Client
) -> None:
    rule = {"all": [{"field": "audience", "op": "is", "value": audience.public_id}]}
    definitions.create(scope=scope, actor=actor, name="Outer circle", rule=rule, now=now)
    assert "Outer circle" in alice.get(_at(scope, audience)).content.decode()


def test_a_snapshot_is_taken_by_a_button_and_shows_who_is_in_it_and_who_is_not(
    scope: Scope, audience: Audience, contactable: MakePerson, alice: Client
) -> None:
    contactable("inside", country="DE")
    contactable("silent", country="DE", **{"consent.email": False})
    contactable("gone", country="DE", membership="removed")
    assert "Take a snapshot" in alice.get(_at(scope, audience)).content.decode()
    answer = alice.post(_at(scope, audience, "snapshots/"))
    assert answer.status_code == 302
    (taken,) = snapshot.latest_of(scope=scope, audience=audience, limit=2)
    where = _at(scope, audience, f"snapshots/{taken.public_id}/")
    assert where in alice.get(_at(scope, audience)).content.decode()
    shown = alice.get(where).content.decode()
    assert "inside@example.com" in shown and "silent@example.com" not in shown
    left_out = alice.get(where, {"show": "excluded"}).content.decode()
    assert all(words in left_out for words in ("silent@example.com", "No consent", "gone@example.com"))
    silent = alice.get(where, {"reason": "no_consent"}).content.decode()
    assert "silent@example.com" in silent and "gone@example.com" not in silent
    assert b"gone@example.com,membership_lost" in alice.get(f"{where}csv/", {"show": "excluded"}).getvalue()
    assert AuditEntry.objects.latest("id").action == "people.exported"


def test_the_people_of_a_snapshot_are_read_page_by_page(
    scope: Scope, audience: Audience, taken: Snapshot, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = _at(scope, audience, f"snapshots/{taken.public_id}/")
    assert ">More</a>" not in alice.get(where).content.decode()
    monkeypatch.setattr(snapshots, "PAGE_PEOPLE", 1)
    alice.post(_at(scope, audience, "snapshots/"))
    newest = snapshot.latest_of(scope=scope, audience=audience, limit=1)[0]
    where = _at(scope, audience, f"snapshots/{newest.public_id}/")
    first = alice.get(where).content.decode()
    assert "then@example.com" in first and "?show=included&amp;after=1" in first
    second = alice.get(where, {"after": "1"}).content.decode()
    assert "later@example.com" in second and ">More</a>" not in second
    assert "then@example.com" in alice.get(where, {"after": "many"}).content.decode()


def test_a_snapshot_of_another_audience_is_not_found(
    scope: Scope, actor: Actor, now: datetime, taken: Snapshot, alice: Client
) -> None:
    other = definitions.create(scope=scope, actor=actor, name="Other", rule=RULE, now=now)
    for rest in ("", "csv/"):
        assert alice.get(_at(scope, other, f"snapshots/{taken.public_id}/{rest}")).status_code == 404
