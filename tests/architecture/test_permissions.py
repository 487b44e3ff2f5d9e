"""Role x permission x environment x address, asked for real: strangers 404, signed-out 302 or 401, wrong role 403."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from conftest import World
from projects.models import Member
from projects.roles import ROLES, Role
from projects.scoping import Scope
from tests.architecture.permissions import CONSOLE, OPEN, REST, SIGNED_IN

SCOPE = "<slug:workspace>/<slug:project>/<environment:environment>/"
API = "api/v1/"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SAMPLES = {"number": "1", "position": "1", "token": "x" * 26, "user": "usr_999999"}
REFUSALS = {302, 401, 403, 405}


def _routes(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    """Every address of the product as the resolver knows it; the support view has its own test."""
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route
        elif not route.startswith("staff/"):
            yield from _routes(entry, route)


def _short(route: str) -> str:
    return re.sub(r"<\w+:(\w+)>", r"<\1>", route)


ROUTES = list(_routes(get_resolver()))
CONSOLE_ROUTES = {_short(route.removeprefix(SCOPE)) for route in ROUTES if route.startswith(SCOPE)}
WITHOUT_KEY = {address for address in OPEN if address.startswith(API)}  # REST that another proof opens than an API key
REST_ROUTES = {_short(route.removeprefix(API)) for route in ROUTES if route.startswith(API)} - {
    address.removeprefix(API) for address in WITHOUT_KEY
}
OTHER_ROUTES = {_short(route) for route in ROUTES if not route.startswith((SCOPE, API))} | WITHOUT_KEY


def _filled(address: str) -> str:
    return re.sub(
        r"<(\w+)>", lambda found: SAMPLES.get(found[1], f"{found[1][:3]}_00000000000000000000000000"), address
    )


# --- the table is complete ------------------------------------------------------------------------------------------
def test_every_console_address_stands_in_the_table() -> None:
    assert set(CONSOLE) == CONSOLE_ROUTES


def test_every_rest_address_stands_in_the_table() -> None:
    assert set(REST) == REST_ROUTES


def test_every_other_address_stands_in_the_table() -> None:
    assert set(SIGNED_IN) | set(OPEN) == OTHER_ROUTES


# --- the console ----------------------------------------------------------------------------------------------------
@pytest.fixture
def crew(world: World) -> dict[Role, Client]:
    """One signed-in person for each role of Acme."""
    clients: dict[Role, Client] = {}
    for role in ROLES:
        user = User.objects.create_user(f"{role}@acme.example")
        Member.objects.create(workspace=world.workspace, user=user, role=role)
        clients[role] = Client(raise_request_exception=False)
        clients[role].force_login(user)
    return clients


@pytest.mark.django_db
@pytest.mark.parametrize("address", sorted(CONSOLE))
def test_console(address: str, world: World, crew: dict[Role, Client], browser_of: Callable[[User], Client]) -> None:
    stranger, nobody = browser_of(world.charlie), Client()
    for method, needed in (*zip(("GET", "POST"), CONSOLE[address], strict=True), ("DELETE", None)):
        for scope in (world.production, world.sandbox):
            path = f"/{scope.path}/{_filled(address)}"
            unseen = {404} if needed else {404, 405}
            assert _ask(nobody, method, path) in unseen - {404} | {302}, f"{method} {path} without sign-in"
            assert _ask(stranger, method, path) in unseen, f"{method} {path} by a stranger"
            for role in [role for role in ROLES if needed or role == "owner"]:
                _check(_ask(crew[role], method, path), method, path, role, needed, ROLES[role])


def _check(status: int, method: str, path: str, role: str, needed: str | None, held: frozenset[str]) -> None:
    where = f"{method} {path} as {role}: {status}"
    if needed is None:
        assert status == 405, where
    elif needed in held:
        assert status not in REFUSALS - {302} and status < 500, where
    else:
        assert status == 403, where


def _ask(client: Client, method: str, path: str) -> int:
    return int(client.generic(method, path).status_code)


# --- REST -----------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize("address", sorted(REST))
def test_rest(address: str, world: World, api: Callable[..., APIClient]) -> None:
    path = f"/api/v1/{_filled(address)}"
    callers = {
        (role, scope.environment): api(scope, held)
        for role, held in ROLES.items()
        for scope in (world.production, world.sandbox)
    }
    for method in METHODS:
        needed = REST[address].get(method)
        assert _call(APIClient(), method, path) == 401, f"{method} {path} without a key"
        for (role, _), client in callers.items():
            if needed or role == "owner":
                _check(_call(client, method, path), method, path, role, needed, ROLES[role])


def _call(client: APIClient, method: str, path: str) -> int:
    client.raise_request_exception = False
    body = "" if method == "GET" else "{}"
    answer = client.generic(method, path, body, "application/json", HTTP_IF_MATCH='"1"')
    return int(answer.status_code)


GROWS_BY_READING = {"audit/export.ndjson"}


@pytest.mark.django_db
@pytest.mark.parametrize("address", sorted(REST))
def test_a_key_of_one_environment_finds_nothing_of_another(
    address: str, world: World, api: Callable[..., APIClient], scope: Scope
) -> None:
    """A key has no way to name an environment: a scope in the query string changes nothing."""
    if "GET" not in REST[address] or "<" in address:
        return
    key = api(world.sandbox)
    plain = key.get(f"/api/v1/{address}")
    named = key.get(f"/api/v1/{address}?environment=production&project={scope.project}")
    if plain.status_code == named.status_code == 200:
        before, after = _read(plain), _read(named)
        if address in GROWS_BY_READING:  # the first reading is an entry of the second
            before, after = (b"".join(text.splitlines()[1:2]) for text in (before, after))
            assert b"/production" not in after
        assert before == after


def _read(answer: Any) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else bytes(answer.content)


# --- the rest -------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize("address", sorted(SIGNED_IN))
def test_signed_in(address: str, world: World, browser_of: Callable[[User], Client]) -> None:
    assert Client().get(f"/{address}").status_code == 302
    assert browser_of(world.charlie).get(f"/{address}").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("address", sorted(OPEN))
def test_open(address: str) -> None:
    answer = Client().get(f"/{_filled(address)}")
    assert answer.status_code in (200, 401, 404, 405), answer.status_code  # 401: it asks for a token of its own


@pytest.mark.django_db
def test_the_support_view_is_for_staff_and_has_no_door_of_its_own(
    world: World, browser_of: Callable[[User], Client]
) -> None:
    nobody = Client().get("/staff/", follow=True)
    assert nobody.redirect_chain[-1][0].startswith("/sign-in?")
    assert browser_of(world.alice).get("/staff/", follow=True).status_code == 403
    staff = User.objects.create_user("staff@lamba.example", is_staff=True, is_superuser=True)
    assert browser_of(staff).get("/staff/").status_code == 200
    assert browser_of(staff).post("/staff/projects/workspace/add/", {"name": "x"}).status_code == 403
