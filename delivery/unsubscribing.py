"""Unsubscribe links: whoever holds one may end (or take up again) the mail of exactly one person, without signing in.

The link names the person and the job it came with. It never expires and can be used again (RFC 8058).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.conf import settings

from audiences.models import Person
from delivery import balances, consent, statements, tokens
from delivery.accounts import Overlay
from delivery.models import Message, SendJob
from lamba_campaigns.lib.errors import NotFound
from lamba_campaigns.lib.ids import new_id
from lamba_campaigns.lib.sql import durable
from projects.access import scope_by_id
from projects.models import Environment
from projects.scoping import Scope


@dataclass(frozen=True, slots=True)
class Preference:
    """What the page shows: whose mail it is about, and what stands."""

    scope: Scope
    person_id: int
    address: str
    sender: str
    channel: str
    unsubscribed: bool
    job_id: int


def link(token: str) -> str:
    """The address of the page; short, so that no relay folds the header it stands in."""
    return f"{settings.PUBLIC_URL}/u/{token}"


def preference(*, token: str) -> Preference:
    """What the holder of this link may see and change. NotFound for anything that is not ours."""
    reference = tokens.read("unsubscribe", token)
    if reference is None or not Environment.objects.filter(pk=reference.environment_id).exists():
        raise NotFound("This link is not complete.", next_step="Copy the whole link from the message.")
    scope = scope_by_id(reference.environment_id)
    person = Person.objects.within(scope).filter(pk=reference.number).first()
    if person is None:
        raise NotFound("There is nobody behind this link any more.", next_step="No more mail will come.")
    job = SendJob.objects.within(scope).filter(pk=reference.job_id).first()
    channel = job.channel if job else "email"
    return Preference(
        scope=scope,
        person_id=person.pk,
        address=_address(scope, reference.job_id, person),
        sender=job.content["from_name"] if job else scope.project_name,
        channel=channel,
        unsubscribed=consent.is_unsubscribed(scope=scope, person_id=person.pk, channel=channel),
        job_id=reference.job_id,
    )


def act(
    *, token: str, wish: Literal["unsubscribe", "resubscribe"], how: consent.How, ip: str, now: datetime
) -> Preference:
    """The person's mail ends, or begins again. What stands already is left alone."""
    found = preference(token=token)
    if found.unsubscribed == (wish == "unsubscribe"):
        return found
    with durable():
        if wish == "unsubscribe":
            _note_overlay(found, now)
        decide = consent.unsubscribe if wish == "unsubscribe" else consent.resubscribe
        decide(
            scope=found.scope,
            people={found.person_id: found.address},
            channel=found.channel,
            how=how,
            source=new_id("cns"),
            job_id=found.job_id,
            ip=ip,
            occurred_at=now,
            now=now,
        )
    return preference(token=token)


def _note_overlay(found: Preference, now: datetime) -> None:
    where = {"environment": found.scope.environment_id, "person": found.person_id, "job": found.job_id}
    if statements.count("note_unsubscribed", where | {"now": now}):
        balances.move(job_id=found.job_id, changes={}, overlays={Overlay.UNSUBSCRIBED: 1}, now=now)


def _address(scope: Scope, job_id: int, person: Person) -> str:
    """The address that the message went to; the person's own where the message is gone."""
    sent = Message.objects.filter(environment_id=scope.environment_id, person_id=person.pk, job_id=job_id)
    found: str | None = sent.values_list("address", flat=True).first()
    return found or person.email or ""
