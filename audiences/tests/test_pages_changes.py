"""The pages of snapshots: an answer as of then, and who joined and left since."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from audiences import definitions, snapshot
from audiences.models import Audience, Snapshot
from audiences.tests.conftest import MakePerson
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
