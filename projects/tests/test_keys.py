"""API keys: shown once, hashed, of one environment, never above the one who makes them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from conftest import World
from lamba_campaigns.lib.errors import Conflict, Forbidden, Invalid, NotFound
from projects import access, keys
from projects.access import Access, Unauthenticated
from projects.models import ApiKey, IdempotencyRecord
from projects.roles import PERMISSIONS, ROLES
from projects.scoping import Actor, Scope
from projects.tasks import forget_answers

DAY = timedelta(days=1)


@pytest.fixture
def owner(scope: Scope, actor: Actor) -> Access:
    return Access(scope, actor, frozenset(PERMISSIONS), "owner")


def test_a_key_opens_its_environment_and_only_its_hash_is_stored(owner: Access, world: World, now: datetime) -> None:
    key, text = keys.create(access=owner, name="CI", permissions=["people.read"], life=DAY, now=now)

    granted = access.for_key(key=text, now=now, ip="127.0.0.1", trace_id="req_test")
    assert granted.scope == world.production
    assert granted.permissions == {"people.read"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT k::text FROM projects_apikey k WHERE id = %s", [key.pk])
        assert text.split("_")[3][:43] not in str(cursor.fetchone())


def test_nobody_hands_out_what_they_do_not_have(scope: Scope, actor: Actor, now: datetime) -> None:
    developer = Access(scope, actor, ROLES["developer"], "developer")
    with pytest.raises(Forbidden, match=r"campaigns\.launch"):
        keys.create(access=developer, name="CI", permissions=["campaigns.launch"], life=DAY, now=now)
    assert not ApiKey.objects.within(scope).exists()


@pytest.mark.parametrize(
    ("permissions", "life"),
    [([], DAY), (["fly"], DAY), (["people.read"], timedelta(days=367)), (["people.read"], timedelta(minutes=1))],
)
def test_what_makes_no_key(owner: Access, scope: Scope, now: datetime, permissions: list[str], life: timedelta) -> None:
    with pytest.raises(Invalid):
        keys.create(access=owner, name="CI", permissions=permissions, life=life, now=now)
    assert not ApiKey.objects.within(scope).exists()


def test_a_revoked_key_opens_nothing_from_that_moment(owner: Access, scope: Scope, actor: Actor, now: datetime) -> None:
    key, text = keys.create(access=owner, name="CI", permissions=["people.read"], life=DAY, now=now)
    keys.revoke(scope=scope, actor=actor, key=key.public_id, now=now)

    with pytest.raises(Unauthenticated):
        access.for_key(key=text, now=now, ip="", trace_id="")
    again = keys.revoke(scope=scope, actor=actor, key=key.public_id, now=now + DAY)
    assert again.revoked_at == now


def test_an_expired_key_opens_nothing(owner: Access, now: datetime) -> None:
    key, text = keys.create(access=owner, name="CI", permissions=["people.read"], life=DAY, now=now)
    with pytest.raises(Unauthenticated):
        access.for_key(key=text, now=now + DAY, ip="", trace_id="")
    assert keys.state_of(key, now=now + DAY) == "expired"


def test_a_key_of_the_other_environment_is_not_found(owner: Access, world: World, actor: Actor, now: datetime) -> None:
    key, _ = keys.create(access=owner, name="CI", permissions=["people.read"], life=DAY, now=now)
    with pytest.raises(NotFound):
        keys.revoke(scope=world.sandbox, actor=actor, key=key.public_id, now=now)


def test_an_environment_has_room_for_so_many_keys(owner: Access, now: datetime, monkeypatch: Any) -> None:
    monkeypatch.setattr(keys, "KEYS_LIVE_MAX", 1)
    keys.create(access=owner, name="first", permissions=["people.read"], life=DAY, now=now)
    with pytest.raises(Conflict):
        keys.create(access=owner, name="second", permissions=["people.read"], life=DAY, now=now)
    keys.create(access=owner, name="later", permissions=["people.read"], life=DAY, now=now + 2 * DAY)


# --- over REST and in the console -----------------------------------------------------------------------------------
def test_keys_over_rest(world: World, api: Callable[..., APIClient]) -> None:
    client = api()
    body = {"name": "CI", "permissions": ["people.read"], "expiresInDays": 30}
    made = client.post("/api/v1/keys", body, format="json")
    assert made.status_code == 201
    text, path = made.json()["key"], f"/api/v1/keys/{made.json()['id']}"

    assert "key" not in client.get(path).json()
    mine = APIClient(headers={"Authorization": f"Bearer {text}"})
    assert mine.get("/api/v1/keys").status_code == 403
    assert client.delete(path).json()["state"] == "revoked"
    assert mine.get("/api/v1/keys").status_code == 401


def test_a_secret_is_never_kept_for_a_repeated_request(
    world: World, scope: Scope, api: Callable[..., APIClient]
) -> None:
    body = {"name": "CI", "permissions": ["people.read"]}
    for _ in range(2):
        api().post("/api/v1/keys", body, format="json", headers={"Idempotency-Key": "one"})
    assert not IdempotencyRecord.objects.within(scope).exists()
    assert ApiKey.objects.within(scope).filter(name="CI").count() == 2


def test_a_key_made_in_the_console_is_shown_once(
    world: World, scope: Scope, browser_of: Callable[[User], Client]
) -> None:
    browser, path = browser_of(world.alice), "/acme/app/production/settings/keys/"
    made = browser.post(path, {"name": "Billing sync", "days": "30", "permissions": ["people.read"]})
    assert made.status_code == 201
    assert "lmb_live_" in made.content.decode()
    assert "no-store" in made.headers["Cache-Control"]
    assert 'class="mono grow"' not in browser.get(path).content.decode()
    assert ApiKey.objects.within(scope).get().created_by == "Alice"


def test_a_key_without_permissions_comes_back_in_the_form(
    world: World, scope: Scope, browser_of: Callable[[User], Client]
) -> None:
    answer = browser_of(world.alice).post("/acme/app/production/settings/keys/", {"name": "CI", "days": "30"})
    assert answer.status_code == 422
    assert "Pick at least one permission." in answer.content.decode()
    assert not ApiKey.objects.within(scope).exists()


# --- the sweep ------------------------------------------------------------------------------------------------------
def test_answers_are_forgotten_when_their_day_is_over(world: World, scope: Scope) -> None:
    moment = timezone.now()
    for age in (-1, 1):
        IdempotencyRecord.objects.create(
            environment_id=scope.environment_id,
            caller="key_1",
            key=str(age),
            fingerprint=b"x" * 32,
            locked_until=moment,
            expires_at=moment + age * DAY,
        )
    assert forget_answers() == 1
    assert [row.key for row in IdempotencyRecord.objects.within(scope)] == ["1"]
