"""Fixtures of every test: Alice owns Acme, Bob may only look, Charlie is a stranger with a workspace of his own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from projects import access, api_keys
from projects.models import ApiKey, Environment, Member, Project, Workspace
from projects.roles import PERMISSIONS
from projects.scoping import Actor, Scope

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """Acme with one project in both environments, and Other, which must stay unseen."""

    workspace: Workspace
    production: Scope
    sandbox: Scope
    stranger: Scope  # production of Charlie's workspace
    alice: User
    bob: User
    charlie: User


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database can be dropped although a process that a test killed may still have a session at its server."""
    yield
    connection.close()  # a test may have ended this process's own session at the server
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def world(db: None) -> World:
    users = {
        name: User.objects.create_user(
            f"{name}@example.com", f"{name}@example.com", "correct horse battery", first_name=name.title()
        )
        for name in ("alice", "bob", "charlie")
    }
    acme, scopes = _workspace("acme", "Acme", {users["alice"]: "owner", users["bob"]: "viewer"})
    _, others = _workspace("other", "Other", {users["charlie"]: "owner"})
    return World(acme, scopes["production"], scopes["sandbox"], others["production"], **users)


def _workspace(slug: str, name: str, members: dict[User, str]) -> tuple[Workspace, dict[str, Scope]]:
    workspace = Workspace.objects.create(slug=slug, name=name)
    project = Project.objects.create(workspace=workspace, slug="app", name=f"{name} App", time_zone="Europe/Berlin")
    for user, role in members.items():
        Member.objects.create(workspace=workspace, user=user, role=role)
    found = {}
    for environment in Environment.Name.values:
        row = Environment.objects.create(
            project=project, name=environment, sender_name=name, sender_address=f"hello@{slug}.example"
        )
        found[environment] = access.scope_of(row)
    return workspace, found


@pytest.fixture
def scope(world: World) -> Scope:
    """Acme, production."""
    return world.production


@pytest.fixture
def actor(world: World) -> Actor:
    """Alice at the console."""
    return Actor("user", f"usr_{world.alice.pk}", "Alice", "console", ip="127.0.0.1", trace_id="req_test")


@pytest.fixture
def make_key() -> Callable[..., str]:
    """make_key(scope, permissions=…) -> the text of a live API key."""

    def make(scope: Scope, permissions: Any = PERMISSIONS) -> str:
        text, parts = api_keys.generate(environment=scope.environment)
        moment = datetime.now(UTC)
        ApiKey.objects.create(
            environment_id=scope.environment_id,
            name="Test key",
            key_id=parts.key_id,
            secret_hash=api_keys.hash_secret(parts.secret),
            permissions=list(permissions),
            created_by="Alice",
            created_at=moment,
            expires_at=moment + timedelta(days=1),
        )
        return text

    return make


@pytest.fixture
def api(world: World, make_key: Callable[..., str]) -> Callable[..., APIClient]:
    """api() -> a REST client of Acme production with every permission; api(scope, permissions) -> of others."""

    def client(scope: Scope | None = None, permissions: Any = PERMISSIONS) -> APIClient:
        found = APIClient()
        found.credentials(HTTP_AUTHORIZATION=f"Bearer {make_key(scope or world.production, permissions)}")
        return found

    return client


@pytest.fixture
def browser_of() -> Callable[[User], Client]:
    """browser_of(user) -> a signed-in Django test client."""

    def client(user: User) -> Client:
        found = Client()
        found.force_login(user)
        return found

    return client


@pytest.fixture
def database_url(db: None) -> str:
    """This test's database, for a process of its own. A Unix socket's path stands in the query, a host name may too."""
    details = connection.settings_dict
    user = quote(details["USER"], safe="") + (f":{quote(details['PASSWORD'], safe='')}" if details["PASSWORD"] else "")
    where = urlencode({name: details[name.upper()] for name in ("host", "port") if details[name.upper()]})
    return f"postgres://{user}@/{details['NAME']}?{where}"


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> None:
    if "db" in request.fixturenames or "world" in request.fixturenames:
        cache.clear()
