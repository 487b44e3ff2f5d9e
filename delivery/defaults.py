"""What holds for every campaign of an environment unless it says otherwise: stop limits, domain limits, connections.

Stop limits and connections hold at once, also for what is being sent. Domain limits are frozen with a job.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import F

from audit import chain
from delivery import stop_limits
from delivery.channels.relay import CONNECTIONS_MAX
from delivery.defaults_models import SendingDefaults
from delivery.pacing import rules
from delivery.pacing.rules import Rules
from lamba_campaigns.lib.errors import FieldProblem, Invalid, Stale
from lamba_campaigns.lib.sql import durable
from projects.scoping import Actor, Scope

SUBJECT = chain.Subject("sending_defaults", "sending-defaults", "Sending")


class DefaultsChanged(Stale):
    """Somebody else changed them since they were read."""

    code = "STALE_VERSION"


@dataclass(frozen=True, slots=True)
class Defaults:
    """`version` 0: nobody changed anything yet."""

    stop_limits: Mapping[str, Any] = field(default_factory=dict)
    domain_limits: Mapping[str, int] = field(default_factory=dict)
    connections: int | None = None
    version: int = 0
    updated_at: datetime | None = None
    updated_by: str = ""


def of(*, scope: Scope) -> Defaults:
    """What holds in this environment."""
    row: SendingDefaults | None = SendingDefaults.objects.within(scope).first()
    if row is None:
        return Defaults()
    return Defaults(
        row.stop_limits, row.domain_limits, row.connections, row.state_version, row.updated_at, row.updated_by
    )


def change(
    *,
    scope: Scope,
    actor: Actor,
    stop_limits: Mapping[str, Any],
    domain_limits: Mapping[str, Any],
    connections: int | None,
    version: int,
    now: datetime,
) -> Defaults:
    """These hold from now on. Invalid names every wrong place; DefaultsChanged on an old version."""
    values = _checked(stop_limits, domain_limits, connections)
    with durable():
        before = of(scope=scope)
        rows = SendingDefaults.objects.within(scope).filter(state_version=version)
        about: dict[str, Any] = {"updated_at": now, "updated_by": actor.label[:200]}
        if before.version == version == 0:
            SendingDefaults(environment_id=scope.environment_id, **values, **about).save(force_insert=True)
        elif not rows.update(**values, **about, state_version=F("state_version") + 1):
            raise DefaultsChanged("These settings changed since you read them.", next_step="Read them again.")
        after = of(scope=scope)
        chain.record(
            scope=scope,
            actor=actor,
            action="sending.defaults_changed",
            subject=SUBJECT,
            now=now,
            before=_told(before),
            after=_told(after),
        )
    return after


def with_domains(found: Rules, *, scope: Scope) -> Rules:
    """The rules of a campaign with the environment's domain limits; those of the campaign itself win."""
    return rules.limited(found, of(scope=scope).domain_limits)


def _checked(stops: Mapping[str, Any], domains: Mapping[str, Any], connections: int | None) -> dict[str, Any]:
    problems: list[FieldProblem] = []
    values = {
        "stop_limits": stop_limits.read(stops, pointer="#/stopLimits", problems=problems),
        "domain_limits": rules.read_domains(domains, problems=problems),
        "connections": connections,
    }
    if connections is not None and not 1 <= connections <= CONNECTIONS_MAX:
        problems.append(FieldProblem("#/connections", "range", f"Use 1 to {CONNECTIONS_MAX}."))
    if problems:
        detail = "Some of these can't hold. Nothing was changed."
        raise Invalid(detail, next_step="Correct the places named.", problems=tuple(problems))
    return values


def _told(found: Defaults) -> dict[str, Any]:
    return {
        "stopLimits": " · ".join(stop_limits.sentences(found.stop_limits)) or None,
        "domainLimits": " · ".join(f"{domain} {rate:,}" for domain, rate in found.domain_limits.items()) or None,
        "connections": found.connections,
    }
