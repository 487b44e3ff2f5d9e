"""What a project is called, whose name its mail carries, and whom its sandbox may really mail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from audit import chain
from audit.chain import Subject
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid
from projects.models import Environment, Project
from projects.scoping import Actor, Scope


@dataclass(frozen=True, slots=True)
class Profile:
    """The rows behind the settings page of one environment."""

    project: Project
    environment: Environment


def profile(*, scope: Scope) -> Profile:
    environment = Environment.objects.select_related("project__workspace").get(pk=scope.environment_id)
    return Profile(environment.project, environment)


def rename(*, scope: Scope, actor: Actor, name: str, time_zone: str, now: datetime) -> None:
    """The project has this name and zone, in both environments. What is scheduled keeps the zone it was said in."""
    if time_zone not in available_timezones():
        detail = f"{time_zone!r} is no time zone."
        raise Invalid(detail, problems=(FieldProblem("#/timeZone", "invalid_choice", detail),))
    with sql.durable():
        project = Project.objects.select_for_update().get(pk=scope.project_id)
        before = {"name": project.name, "timeZone": project.time_zone}
        after = {"name": name, "timeZone": time_zone}
        if before == after:
            return
        Project.objects.filter(pk=project.pk).update(name=name, time_zone=time_zone)
        _record(scope, actor, "project", before, after, now)


def set_sender(*, scope: Scope, actor: Actor, name: str, address: str, now: datetime) -> None:
    """Mail of this environment says it is from `name <address>`."""
    with sql.durable():
        row = Environment.objects.select_for_update().get(pk=scope.environment_id)
        before = {"senderName": row.sender_name, "senderAddress": row.sender_address}
        after = {"senderName": name, "senderAddress": address}
        if before == after:
            return
        Environment.objects.filter(pk=row.pk).update(sender_name=name, sender_address=address)
        _record(scope, actor, "sender", before, after, now)


def set_allow_list(*, scope: Scope, actor: Actor, addresses: Sequence[str], now: datetime) -> None:
    """The sandbox may really mail these addresses and nobody else. The chain keeps how many, never whom."""
    if scope.is_production:
        raise Conflict("Production has no allow list.", next_step="Open the settings of the sandbox.")
    with sql.durable():
        row = Environment.objects.select_for_update().get(pk=scope.environment_id)
        if row.sandbox_allow_list == list(addresses):
            return
        Environment.objects.filter(pk=row.pk).update(sandbox_allow_list=list(addresses))
        before, after = {"allowListCount": len(row.sandbox_allow_list)}, {"allowListCount": len(addresses)}
        _record(scope, actor, "allow_list", before, after, now)


def _record(
    scope: Scope, actor: Actor, what: str, before: Mapping[str, Any], after: Mapping[str, Any], now: datetime
) -> None:
    chain.record(
        scope=scope,
        actor=actor,
        action="settings.changed",
        subject=Subject("settings", what, scope.project_name),
        now=now,
        before=before,
        after=after,
    )
