"""Who belongs to a workspace: added by address, never without an owner, never above the one who decides."""

import threading
from collections.abc import Callable
from datetime import datetime

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from audit.models import AuditEntry
from conftest import World
from lamba_campaigns.lib.errors import Forbidden, Invalid, NotFound
from projects import members
from projects.models import Member
from projects.scoping import Actor, Scope


def _roles(world: World) -> dict[str, str]:
    return {row.user.username.split("@")[0]: row.role for row in Member.objects.filter(workspace=world.workspace)}


def _actor(user: User) -> Actor:
    return Actor("user", f"usr_{user.pk}", user.first_name, "console")


def _actions() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


def test_a_person_with_an_account_becomes_a_member(world: World, scope: Scope, actor: Actor, now: datetime) -> None:
    member = members.add(scope=scope, actor=actor, email="CHARLIE@example.com", role="operator", now=now)

    assert (member.user, member.role) == (world.charlie, "operator")
    assert _actions() == ["member.added"]


def test_an_unknown_address_is_refused_at_its_field(world: World, scope: Scope, actor: Actor, now: datetime) -> None:
    with pytest.raises(Invalid) as refused:
        members.add(scope=scope, actor=actor, email="dora@example.com", role="viewer", now=now)

    assert [each.pointer for each in refused.value.problems] == ["#/email"]
    assert _roles(world) == {"alice": "owner", "bob": "viewer"}
    assert _actions() == []


def test_nobody_is_added_twice(world: World, scope: Scope, actor: Actor, now: datetime) -> None:
    with pytest.raises(members.AlreadyMember):
        members.add(scope=scope, actor=actor, email="bob@example.com", role="admin", now=now)
    assert _roles(world)["bob"] == "viewer"


def test_a_role_changes_once_and_is_written_down(world: World, scope: Scope, actor: Actor, now: datetime) -> None:
    for _ in range(2):
        members.change_role(scope=scope, actor=actor, user=f"usr_{world.bob.pk}", role="operator", now=now)

    assert _roles(world)["bob"] == "operator"
    assert _actions() == ["member.changed"]


def test_the_last_owner_stays(world: World, scope: Scope, actor: Actor, now: datetime) -> None:
    user = f"usr_{world.alice.pk}"
    with pytest.raises(members.LastOwner):
        members.change_role(scope=scope, actor=actor, user=user, role="admin", now=now)
    with pytest.raises(members.LastOwner):
        members.remove(scope=scope, actor=actor, user=user, now=now)
    assert _roles(world)["alice"] == "owner"


def test_an_admin_makes_and_unmakes_no_owner(world: World, scope: Scope, now: datetime) -> None:
    Member.objects.filter(user=world.bob).update(role="admin")
    bob, alice = _actor(world.bob), f"usr_{world.alice.pk}"

    with pytest.raises(Forbidden):
        members.change_role(scope=scope, actor=bob, user=f"usr_{world.bob.pk}", role="owner", now=now)
    with pytest.raises(Forbidden):
        members.add(scope=scope, actor=bob, email="charlie@example.com", role="owner", now=now)
    with pytest.raises(Forbidden):
        members.remove(scope=scope, actor=bob, user=alice, now=now)
    assert _roles(world) == {"alice": "owner", "bob": "admin"}


def test_a_key_makes_no_owner(world: World, scope: Scope, api: Callable[..., APIClient]) -> None:
    answer = api().post("/api/v1/members", {"email": "charlie@example.com", "role": "owner"}, format="json")
    assert (answer.status_code, answer.json()["errorCode"]) == (403, "AUTHORIZATION_DENIED")
    assert AuditEntry.objects.filter(outcome="refused", action="member.added").count() == 1


@pytest.mark.parametrize("user", ["usr_", "usr_0", "usr_99999999999999999999", "bob", "usr_ⅳ"])
def test_an_id_that_is_nobody_is_not_found(world: World, scope: Scope, user: str) -> None:
    with pytest.raises(NotFound):
        members.find(scope=scope, user=user)


def test_a_member_of_another_workspace_is_not_found(world: World, scope: Scope) -> None:
    with pytest.raises(NotFound):
        members.find(scope=scope, user=f"usr_{world.charlie.pk}")


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_once_leave_one_behind(world: World, scope: Scope, now: datetime) -> None:
    Member.objects.filter(user=world.bob, workspace=world.workspace).update(role="owner")
    start, refused = threading.Barrier(2), []

    def leave(user: User) -> None:
        start.wait()
        try:
            members.remove(scope=scope, actor=_actor(user), user=f"usr_{user.pk}", now=now)
        except (members.LastOwner, Forbidden) as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=leave, args=(user,)) for user in (world.alice, world.bob)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 1
    assert Member.objects.filter(workspace=world.workspace, role="owner").count() == 1


# --- over REST and in the console -----------------------------------------------------------------------------------
def test_members_over_rest(world: World, api: Callable[..., APIClient]) -> None:
    client = api()
    added = client.post("/api/v1/members", {"email": "charlie@example.com", "role": "viewer"}, format="json")
    assert added.status_code == 201
    path = f"/api/v1/members/{added.json()['id']}"

    assert client.patch(path, {"role": "operator"}, format="json").json()["role"] == "operator"
    assert [row["role"] for row in client.get("/api/v1/members").json()["items"]] == ["owner", "viewer", "operator"]
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_an_unknown_field_changes_nothing(world: World, api: Callable[..., APIClient]) -> None:
    body = {"email": "charlie@example.com", "role": "viewer", "isOwner": True}
    answer = api().post("/api/v1/members", body, format="json")
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == ["#/isOwner"]
    assert Member.objects.filter(workspace=world.workspace).count() == 2


def test_a_wrong_address_comes_back_in_the_form(world: World, browser_of: Callable[[User], Client]) -> None:
    answer = browser_of(world.alice).post(
        "/acme/app/production/settings/members/", {"email": "dora@example.com", "role": "viewer"}
    )
    assert answer.status_code == 422
    assert "Nobody signs in here as dora@example.com." in answer.content.decode()


def test_a_role_is_changed_in_the_console(world: World, browser_of: Callable[[User], Client]) -> None:
    path = f"/acme/app/production/settings/members/usr_{world.bob.pk}/role/"
    answer = browser_of(world.alice).post(path, {"role": "operator"}, follow=True)
    assert "Bob is operator now." in answer.content.decode()
    assert _roles(world)["bob"] == "operator"


def test_who_removes_themselves_lands_on_their_projects(world: World, browser_of: Callable[[User], Client]) -> None:
    Member.objects.filter(user=world.bob).update(role="admin")
    answer = browser_of(world.bob).post(f"/acme/app/production/settings/members/usr_{world.bob.pk}/remove/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
