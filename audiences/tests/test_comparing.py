"""Who joined and who left, between two snapshots or since one, and which fact did it."""

import csv
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from audiences import definitions, facts, snapshot
from audiences.models import Audience, Snapshot
from audiences.tests.conftest import MakePerson
from audit.models import AuditEntry
from projects.scoping import Actor, Scope

Api = Callable[..., APIClient]
RULE: dict[str, Any] = {"all": [{"field": "country", "op": "is", "value": "DE"}]}
COMMITTED = pytest.mark.django_db(transaction=True)  # a watermark sees what was committed before it


@pytest.fixture
def audience(scope: Scope, actor: Actor, now: datetime) -> Audience:
    return definitions.create(scope=scope, actor=actor, name="Germans", rule=RULE, now=now)


def _take(scope: Scope, audience: Audience, now: datetime, purpose: str) -> Snapshot:
    taken = snapshot.take(
        scope=scope, version=definitions.latest(audience), channel="email", fields=[], purpose=purpose, now=now
    )
    return snapshot.get(scope=scope, public_id=taken.public_id)


def _move(scope: Scope, now: datetime, contactable: MakePerson) -> Callable[[], datetime]:
    """Four people, and what happens to them afterwards."""
    countries = {"stays": "DE", "moves": "DE", "stops": "DE", "comes": "FR"}
    people = {name: contactable(name, country=country).pk for name, country in countries.items()}

    def later() -> datetime:
        at = now + timedelta(days=1)
        told = (("moves", "country", "FR"), ("stops", "unsubscribed.email", True), ("comes", "country", "DE"))
        changes = [facts.Change(people[name], field, value, at, f"evt_later_{name}") for name, field, value in told]
        with transaction.atomic():
            facts.apply(scope=scope, changes=changes, now=at)
        return at

    return later


@COMMITTED
def test_two_snapshots_tell_who_joined_and_left_and_by_which_fact(
    scope: Scope, now: datetime, audience: Audience, contactable: MakePerson, api: Api
) -> None:
    happens = _move(scope, now, contactable)
    before = _take(scope, audience, now, "before")
    after = _take(scope, audience, _again(happens), "after")
    client, where = api(), f"/api/v1/snapshots/{before.public_id}/diff"
    for other in (after.public_id, "now"):
        joined = client.get(where, {"with": other}).json()
        assert (joined["joined"], joined["left"], joined["stayed"]) == (1, 2, 1)
        assert [(each["externalId"], each["before"], each["after"]) for each in joined["items"]] == [
            ("comes", "not_matched", "included")
        ]
        assert [(each["words"], each["seenBefore"], each["seenAfter"]) for each in joined["items"][0]["because"]] == [
            ("country is Germany", "France", "Germany")
        ]
        assert joined["items"][0]["because"][0]["source"].startswith("evt_later_comes")
        left = client.get(where, {"with": other, "show": "left"}).json()["items"]
        assert [(each["externalId"], each["after"], len(each["because"])) for each in left] == [
            ("moves", "not_matched", 1), ("stops", "unsubscribed", 0)
        ]  # fmt: skip


def _again(happens: Callable[[], datetime]) -> datetime:
    return happens() + timedelta(hours=1)


@COMMITTED
def test_the_difference_is_paged_and_exported(
    scope: Scope, now: datetime, audience: Audience, contactable: MakePerson, api: Api
) -> None:
    before = _take(scope, audience, now, "before")
    for number in range(5):
        contactable(f"u{number}", country="DE")
    client, where = api(), f"/api/v1/snapshots/{before.public_id}/diff"
    first = client.get(where, {"limit": 3}).json()
    second = client.get(where, {"limit": 3, "cursor": first["nextCursor"]}).json()
    assert [each["externalId"] for page in (first, second) for each in page["items"]] == [f"u{n}" for n in range(5)]
    assert second["nextCursor"] is None
    told = client.get(f"{where}.csv")
    rows = list(csv.reader(told.getvalue().decode().splitlines()))
    assert [row[0] for row in rows[1:]] == [f"u{n}" for n in range(5)]
    assert AuditEntry.objects.filter(action="people.exported").count() == 1


def test_members_are_exported_with_their_reasons(
    scope: Scope, now: datetime, audience: Audience, contactable: MakePerson, api: Api
) -> None:
    contactable("in", country="DE")
    contactable("out", country="DE", **{"consent.email": False})
    taken = _take(scope, audience, now, "p")
    where = f"/api/v1/snapshots/{taken.public_id}/members.csv"
    included, excluded = (
        list(csv.reader(api().get(where, {"show": show}).getvalue().decode().splitlines()))
        for show in ("included", "excluded")
    )
    assert included[1:] == [["1", "in", "in@example.com", ""]]
    assert excluded[1:] == [["-1", "out", "out@example.com", "no_consent"]]


def test_what_is_no_difference_is_refused(scope: Scope, now: datetime, audience: Audience, api: Api) -> None:
    taken = _take(scope, audience, now, "p")
    where = f"/api/v1/snapshots/{taken.public_id}/diff"
    assert api().get(where, {"show": "nobody"}).status_code == 422
    assert api().get(where, {"with": "snp_unknown"}).status_code == 404
