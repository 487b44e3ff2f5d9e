"""A workspace with everything that a first campaign needs: project, both environments, owner, plan, keys, endpoints."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.contrib.auth.models import User

from audit import chain
from lamba_campaigns.lib.constraints import translated
from lamba_campaigns.lib.errors import Conflict, Invalid
from lamba_campaigns.lib.sql import durable
from limits import subscriptions
from projects import keys
from projects.access import Access, scope_of
from projects.models import Environment, Member, Project, Workspace
from projects.roles import PERMISSIONS
from projects.scoping import SYSTEM, Scope
from webhooks import endpoints

KEY_LIFE: Final = timedelta(days=90)
LAMBA_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


class SlugTaken(Conflict):
    """Another workspace has this slug."""

    code = "SLUG_TAKEN"


class LambaIdTaken(Conflict):
    """Another workspace or project here stands for the same one of Lamba."""

    code = "LAMBA_ID_TAKEN"


@dataclass(frozen=True, slots=True)
class LambaIds:
    """What Lamba calls the workspace and the project: its events are believed under these ids only. None: new ones."""

    workspace: str | None = None
    project: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("workspace", self.workspace), ("project", self.project)):
            if value is not None and LAMBA_ID.fullmatch(value) is None:
                raise Invalid(
                    f"{value!r} is no id of a {name}.",
                    next_step="Copy it from Lamba: 1 to 64 letters, digits, points, hyphens and underscores.",
                )


@dataclass(frozen=True, slots=True)
class Opened:
    """How one environment is entered. Key and secrets are stored nowhere in this form: show them once."""

    scope: Scope
    api_key: str
    lamba_endpoint: str  # whe_… id
    lamba_secret: str
    provider_endpoint: str
    provider_secret: str


def create_workspace(
    *,
    name: str,
    slug: str,
    project_name: str,
    owner: User,
    plan: str,
    time_zone: str,
    now: datetime,
    lamba: LambaIds = LambaIds(),
) -> Mapping[str, Opened]:
    """The new workspace's environments by name. SlugTaken or LambaIdTaken, and nothing is created, if one is in use."""
    with durable():
        workspace = _workspace(name, slug, lamba.workspace)
        project = _project(workspace, project_name, time_zone, lamba.project)
        Member.objects.create(workspace=workspace, user=owner, role="owner")
        scopes = _scopes(project, sender_name=name, sender_address=f"hello@{slug}.example")
        workspace_id = scopes[0].workspace_id
        subscriptions.start(workspace_id=workspace_id, plan=plan, now=now, time_zone=time_zone)
        chain.record(
            scope=None,
            actor=SYSTEM,
            action="member.added",
            subject=chain.Subject("member", f"usr_{owner.pk}", owner.get_full_name()),
            now=now,
            after={"role": "owner"},
            workspace_id=workspace_id,
        )
    return {scope.environment: _open(scope, now) for scope in scopes}


def _workspace(name: str, slug: str, lamba_id: str | None) -> Workspace:
    taken = SlugTaken(f"A workspace {slug!r} exists already.", next_step="Choose another slug.")
    claimed = LambaIdTaken(f"A workspace is {lamba_id} already.", next_step="Use that one, or copy the right id.")
    named = {"public_id": lamba_id} if lamba_id else {}
    with translated({"projects_workspace_slug_key": taken, "projects_workspace_public_id_key": claimed}):
        return Workspace.objects.create(name=name, slug=slug, **named)


def _project(workspace: Workspace, name: str, time_zone: str, lamba_id: str | None) -> Project:
    claimed = LambaIdTaken(f"A project is {lamba_id} already.", next_step="Use that one, or copy the right id.")
    named = {"public_id": lamba_id} if lamba_id else {}
    with translated({"projects_project_public_id_key": claimed}):
        return Project.objects.create(workspace=workspace, name=name, slug="app", time_zone=time_zone, **named)


def _scopes(project: Project, *, sender_name: str, sender_address: str) -> list[Scope]:
    return [
        scope_of(
            Environment.objects.create(
                project=project, name=each, sender_name=sender_name, sender_address=sender_address
            )
        )
        for each in Environment.Name.values
    ]


def _open(scope: Scope, now: datetime) -> Opened:
    access = Access(scope, SYSTEM, frozenset(PERMISSIONS), "owner")
    _, key = keys.create(access=access, name="First key", permissions=PERMISSIONS, life=KEY_LIFE, now=now)
    lamba, lamba_secret = endpoints.create_inbound(scope=scope, actor=SYSTEM, name="Lamba", kind="lamba", now=now)
    provider, provider_secret = endpoints.create_inbound(
        scope=scope, actor=SYSTEM, name="Mail provider", kind="provider", now=now
    )
    return Opened(scope, key, lamba.public_id, lamba_secret, provider.public_id, provider_secret)
