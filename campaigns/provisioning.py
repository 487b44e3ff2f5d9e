"""A workspace with everything that a first campaign needs: project, both environments, owner, plan, keys, endpoints."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.contrib.auth.models import User

from audit import chain
from lamba_campaigns.lib.constraints import translated
from lamba_campaigns.lib.errors import Conflict
from lamba_campaigns.lib.sql import durable
from limits import subscriptions
from projects import keys
from projects.access import Access, scope_of
from projects.models import Environment, Member, Project, Workspace
from projects.roles import PERMISSIONS
from projects.scoping import SYSTEM, Scope
from webhooks import endpoints

KEY_LIFE: Final = timedelta(days=90)


class SlugTaken(Conflict):
    """Another workspace has this slug."""

    code = "SLUG_TAKEN"


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
    *, name: str, slug: str, project_name: str, owner: User, plan: str, time_zone: str, now: datetime
) -> Mapping[str, Opened]:
    """The new workspace's environments by name. SlugTaken, and nothing is created, if the slug is in use."""
    with durable():
        scopes = _rows(name=name, slug=slug, project_name=project_name, owner=owner, time_zone=time_zone)
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


def _rows(*, name: str, slug: str, project_name: str, owner: User, time_zone: str) -> list[Scope]:
    taken = SlugTaken(f"A workspace {slug!r} exists already.", next_step="Choose another slug.")
    with translated({"projects_workspace_slug_key": taken}):
        workspace = Workspace.objects.create(name=name, slug=slug)
    project = Project.objects.create(workspace=workspace, name=project_name, slug="app", time_zone=time_zone)
    Member.objects.create(workspace=workspace, user=owner, role="owner")
    return [
        scope_of(
            Environment.objects.create(
                project=project, name=each, sender_name=name, sender_address=f"hello@{slug}.example"
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
