"""From a signed-in person or an API key to a Scope. A stranger finds nothing (404); a wrong role is refused (403)."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import F, Q

from lamba_campaigns.lib.errors import DomainError, Forbidden, NotFound
from projects import api_keys
from projects.models import ApiKey, Environment
from projects.roles import ROLES, Permission, Role
from projects.scoping import Actor, Scope, normalise_environment

LAST_USED_STEP = timedelta(minutes=1)  # how exact ApiKey.last_used_at is


class Unauthenticated(DomainError):
    """The credentials are missing, unknown, expired or revoked; the answer never says which."""

    code = "UNAUTHENTICATED"
    status = 401
    title = "Sign in or send a valid API key"


@dataclass(frozen=True, slots=True)
class Access:
    """What one caller may do in one environment."""

    scope: Scope
    actor: Actor
    permissions: frozenset[str]
    role: Role | None = None  # None for API keys

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        if permission not in self.permissions:
            raise Forbidden(
                f"This needs the permission {permission}, which {self.actor.label} does not have here.",
                next_step="Ask an owner or admin of the workspace to grant it.",
                permission=permission,
            )


def for_user(
    *, user: AbstractBaseUser, workspace: str, project: str, environment: str, ip: str, trace_id: str
) -> Access:
    """Access of a console user to the environment that the URL names. NotFound for strangers and unknown names."""
    name = normalise_environment(environment)
    found = (
        Environment.objects.select_related("project__workspace")
        .filter(
            project__slug=project,
            project__workspace__slug=workspace,
            name=name,
            project__workspace__members__user_id=user.pk,
        )
        .annotate(role=F("project__workspace__members__role"))
        .first()
    )
    if found is None:
        raise NotFound("There is no such page.", next_step="Pick a project that you are a member of.")
    role: Role = found.role
    label = getattr(user, "get_full_name", str)() or user.get_username()
    actor = Actor("user", f"usr_{user.pk}", label, "console", ip=ip, trace_id=trace_id)
    return Access(scope_of(found), actor, ROLES[role], role)


def for_key(*, key: str, now: datetime, ip: str, trace_id: str) -> Access:
    """Access of an API key. Unauthenticated for any key that is not live, with one identical answer."""
    parts = api_keys.take_apart(key)
    row = _live_key(key_id=parts.key_id, now=now) if parts else None
    if (
        parts is None
        or row is None
        or not hmac.compare_digest(api_keys.hash_secret(parts.secret), bytes(row.secret_hash))
    ):
        raise Unauthenticated(
            "The API key is missing or not valid.", next_step="Create a key under Settings, API keys."
        )
    assert parts.environment == row.environment.name, "a key's prefix always names its own environment"
    if row.last_used_at is None or now - row.last_used_at > LAST_USED_STEP:
        ApiKey.objects.across_environments("one row by its primary key").filter(pk=row.pk).update(last_used_at=now)
    actor = Actor("api_key", row.public_id, row.name, "api", ip=ip, trace_id=trace_id)
    return Access(scope_of(row.environment), actor, frozenset(row.permissions))


def _live_key(*, key_id: str, now: datetime) -> ApiKey | None:
    found: ApiKey | None = (
        ApiKey.objects.across_environments("the key itself says which environment it opens")
        .select_related("environment__project__workspace")
        .filter(Q(revoked_at=None) | Q(revoked_at__gt=now), key_id=key_id, expires_at__gt=now)
        .first()
    )
    return found


def scope_of(environment: Environment) -> Scope:
    """The Scope of a loaded environment (its project and workspace too)."""
    project = environment.project
    workspace = project.workspace
    return Scope(
        workspace_id=workspace.pk,
        project_id=project.pk,
        environment_id=environment.pk,
        workspace=workspace.public_id,
        project=project.public_id,
        environment="production" if environment.name == Environment.Name.PRODUCTION else "sandbox",
        workspace_slug=workspace.slug,
        project_slug=project.slug,
        workspace_name=workspace.name,
        project_name=project.name,
        time_zone=project.time_zone,
    )


def scope_by_path(path: str) -> Scope | None:
    """The Scope of `workspace/project/environment`, as commands name it."""
    workspace, _, rest = path.strip("/").partition("/")
    project, _, environment = rest.partition("/")
    found = (
        Environment.objects.select_related("project__workspace")
        .filter(
            project__workspace__slug=workspace, project__slug=project, name=normalise_environment(environment) or ""
        )
        .first()
    )
    return None if found is None else scope_of(found)


def scope_by_id(environment_id: int) -> Scope:
    """The Scope of a row that a task or sweep picked up."""
    return scope_of(Environment.objects.select_related("project__workspace").get(pk=environment_id))
