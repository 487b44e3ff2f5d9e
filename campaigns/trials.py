"""A message tried out: to oneself or to a seed list, by the channel that campaigns use, marked as a test.

Nobody of the audience is involved: no job, no book, no plan volume, no consent. What the audit trail keeps is who sent
which version to how many mailboxes; the addresses stay out of it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.contrib.auth.models import User

from audit import chain
from campaigns import previews, templates
from campaigns.models import Template
from campaigns.templates import Message
from delivery import tokens
from delivery.channels import email_channel
from delivery.channels.base import ChannelDown, NoRoom, Outcome
from delivery.content import rendering
from delivery.content.mime import BadAddress, Envelope, Letterhead
from delivery.installation import OtherInstallation
from lamba_campaigns.lib.errors import DomainError, FieldProblem, Invalid
from lamba_campaigns.lib.sql import durable
from projects.scoping import Actor, Scope

MARK: Final = "[Test] "
TRIAL_RATE: Final = "20/hour"  # of one person or key
NO_JOB: Final = 0  # a test belongs to no send job; its Message-ID says so
POSITIONS: Final = 2**31 - 1


class TrialNotSent(DomainError):
    """The channel takes nothing now."""

    code = "TEST_NOT_SENT"
    status = 503
    title = "The test was not sent"


@dataclass(frozen=True, slots=True)
class Trial:
    """What the channel said about each mailbox."""

    address: str
    outcome: str
    detail: str

    def as_json(self) -> dict[str, Any]:
        return {"address": self.address, "outcome": self.outcome, "detail": self.detail}


def send(
    *,
    scope: Scope,
    actor: Actor,
    template: Template,
    message: Message,
    addresses: Sequence[str],
    person_id: str | None,
    now: datetime,
) -> list[Trial]:
    """Hand the message over once to each address, filled as for a person of this environment."""
    _require_addresses(addresses)
    templates.require_clean(scope=scope, message=message)
    content = templates.content_of(scope=scope, message=message)
    rendered = _marked(previews.rendered(scope=scope, content=content, person_id=person_id))
    letterhead = Letterhead(content=content, feedback_id=f"test:{scope.project}:email:lamba")
    batch = []
    for place, address in enumerate(addresses):
        mark = tokens.token(
            environment_id=scope.environment_id, job_id=NO_JOB, position=secrets.randbelow(POSITIONS - 1) + 1
        )
        try:
            made = letterhead.envelope(
                position=place,
                recipient=address,
                rendered=rendered,
                token=mark,
                unsubscribe_url=previews.UNSUBSCRIBE_SAMPLE,
                now=now,
            )
        except BadAddress as problem:
            raise _invalid(f"{address}: {problem}") from None
        batch.append(made)
    with durable():
        chain.record(
            scope=scope,
            actor=actor,
            action="template.tested",
            subject=templates.subject_of(template),
            now=now,
            after={"mailboxes": len(batch), "version": template.latest_number},
        )
    try:
        outcomes = _sent(scope, batch)
    except (ChannelDown, OtherInstallation) as down:
        raise TrialNotSent(
            f"The mail provider takes nothing: {down}", next_step="Try again, or check the relay."
        ) from None
    except NoRoom as full:
        raise TrialNotSent(str(full), next_step="Try again in a moment.") from None
    return [
        Trial(address, each.kind, each.detail or each.code) for address, each in zip(addresses, outcomes, strict=True)
    ]


def _sent(scope: Scope, batch: Sequence[Envelope]) -> Sequence[Outcome]:
    channel = email_channel(scope)
    try:
        channel.ready()
        return channel.send_batch(batch).outcomes
    finally:
        channel.leave()


def own_address(actor: Actor) -> list[str]:
    """The address that a person signs in with; none for a key."""
    if actor.kind != "user":
        return []
    found = User.objects.filter(pk=actor.id.removeprefix("usr_")).values_list("email", flat=True)
    return [address for address in found if address]


def _marked(rendered: rendering.Rendered) -> rendering.Rendered:
    return replace(rendered, subject=f"{MARK}{rendered.subject}")


def _require_addresses(addresses: Sequence[str]) -> None:
    if not addresses:
        raise _invalid("There is no address of your own to send to. Choose a seed list.")


def _invalid(detail: str) -> Invalid:
    return Invalid(detail, problems=(FieldProblem("#/to", "no_address", detail),))
