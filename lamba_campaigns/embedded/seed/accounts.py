"""Who signs in to the demo, and its two workspaces with their keys and webhook endpoints."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User

from campaigns import provisioning
from lamba_campaigns.embedded.summary import Credentials, EnvironmentCredentials
from projects import keys, members
from projects.access import Access, scope_of
from projects.models import Environment, Workspace
from projects.roles import PERMISSIONS
from projects.scoping import SYSTEM, Actor, Scope
from webhooks import rotation
from webhooks.models import Endpoint

ACME, GLOBEX = "acme", "globex"
OLD = timedelta(days=35)  # the workspaces began so long ago, so that there is a past to look at
KEY_LIFE = timedelta(days=365)
RECEIVER = "/api/lamba/webhooks"


@dataclass(frozen=True, slots=True)
class Place:
    """One environment, the person who decides there, and its two endpoints."""

    scope: Scope
    actor: Actor
    lamba_endpoint: str
    provider_endpoint: str


@dataclass(frozen=True, slots=True)
class Demo:
    """The environments of each workspace by name."""

    acme: dict[str, Place]
    globex: dict[str, Place]


def invent() -> Credentials:
    """New passwords; the rest is filled in by `create`."""
    return {
        "complete": False,
        "email": "demo@acme.example",
        "password": secrets.token_urlsafe(12),
        "viewer_email": "viewer@acme.example",
        "viewer_password": secrets.token_urlsafe(12),
        "other_email": "owner@globex.example",
        "other_password": secrets.token_urlsafe(12),
        "environments": {},
    }


def create(*, credentials: Credentials, now: datetime) -> Demo:
    """Both workspaces and everybody in them exist, and `credentials` opens Acme."""
    demo = _user("Mara Kessler", credentials["email"], credentials["password"], staff=True)
    viewer = _user("Viktor Lang", credentials["viewer_email"], credentials["viewer_password"])
    operator = _user("Amira Haddad", "amira@acme.example", secrets.token_urlsafe(24))
    other = _user("Gil Ferro", credentials["other_email"], credentials["other_password"])
    acme = _workspace(ACME, "Acme", "Acme App", demo, "growth", "Europe/Berlin", now)
    globex = _workspace(GLOBEX, "Globex", "Globex One", other, "free", "America/New_York", now)
    for user, role in ((viewer, "viewer"), (operator, "operator")):
        _join(acme["production"], user, role, now)
    credentials["environments"] = {name: _entrance(place, now) for name, place in acme.items()}
    return Demo(acme, globex)


def actor_of(user: User) -> Actor:
    return Actor("user", f"usr_{user.pk}", user.get_full_name(), "console")


def _user(name: str, email: str, password: str, *, staff: bool = False) -> User:
    given, _, family = name.partition(" ")
    user, _ = User.objects.get_or_create(username=email, defaults={"email": email})
    user.first_name, user.last_name, user.is_staff, user.is_superuser = given, family, staff, staff
    user.set_password(password)
    user.save()
    return user


def _workspace(
    slug: str, name: str, project: str, owner: User, plan: str, time_zone: str, now: datetime
) -> dict[str, Place]:
    if not Workspace.objects.filter(slug=slug).exists():
        provisioning.create_workspace(
            name=name, slug=slug, project_name=project, owner=owner, plan=plan, time_zone=time_zone, now=now - OLD
        )
    rows = Environment.objects.select_related("project__workspace").filter(project__workspace__slug=slug)
    return {row.name: _place(scope_of(row), owner) for row in rows.order_by("name")}


def _place(scope: Scope, owner: User) -> Place:
    incoming = Endpoint.objects.within(scope).filter(direction=Endpoint.Direction.IN)
    found = {each.kind: each.public_id for each in incoming}
    return Place(scope, actor_of(owner), found["lamba"], found["provider"])


def _join(place: Place, user: User, role: str, now: datetime) -> None:
    try:
        members.add(scope=place.scope, actor=place.actor, email=user.email, role=role, now=now - OLD)
    except members.AlreadyMember:
        return


def _entrance(place: Place, now: datetime) -> EnvironmentCredentials:
    """A new key and new secrets: the ones that provisioning made are shown to nobody."""
    access = Access(place.scope, SYSTEM, frozenset(PERMISSIONS), "owner")
    _, key = keys.create(access=access, name="Demo", permissions=PERMISSIONS, life=KEY_LIFE, now=now)
    return {
        "api_key": key,
        "lamba_endpoint": f"{RECEIVER}/{place.lamba_endpoint}",
        "lamba_secret": _secret(place, place.lamba_endpoint, now),
        "provider_endpoint": f"{RECEIVER}/{place.provider_endpoint}",
        "provider_secret": _secret(place, place.provider_endpoint, now),
    }


def _secret(place: Place, endpoint: str, now: datetime) -> str:
    _, text = rotation.rotate(scope=place.scope, actor=place.actor, endpoint_id=endpoint, overlap=timedelta(0), now=now)
    return text
