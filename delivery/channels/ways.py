"""Ways out other than SMTP. A way gets the members of a window and says of each, honestly, what became of it.

Rendering is part of it, because every channel has a shape of its own. A window is over well within its lease.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from delivery import connections, installation, tokens
from delivery.channels.base import Handed, Outcome
from delivery.content.rendering import Content, RenderFailed
from delivery.models import SendJob
from delivery.unsubscribing import link
from delivery.windows import Member
from projects.scoping import Scope

_T = TypeVar("_T")
WINDOW_SECONDS_MAX = 10.0  # of one hand-over: less than a lease, with room for the outcomes


class Way(Protocol):
    """One way out for one job. Used by one thread at a time."""

    def ready(self) -> None:
        """Returns when something can be sent now; else ChannelDown. Asked before anybody is claimed."""

    def hand_over(self, members: Sequence[Member], *, now: datetime) -> Handed:
        """One outcome for each member, in order. What the other side does never raises."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One member with the opaque name of the message and the link to the person's preferences."""

    member: Member
    token: str
    unsubscribe_url: str

    @property
    def fields(self) -> dict[str, Any]:
        return {"person": self.member.fields}


def of(*, scope: Scope, job: SendJob) -> Way | None:
    """The way of the job's channel; None for mail that leaves by SMTP."""
    make = _ways().get(job.channel)
    if make is None:
        return _provider(scope, job)
    if scope.is_production:
        installation.require_own()
    return make(scope, job, Content(**job.content))


def _provider(scope: Scope, job: SendJob) -> Way | None:
    """Mail of production by its connected provider. A sandbox's mail never leaves by one: it is captured."""
    from delivery.channels.esp import EspWay

    connection = connections.find(scope=scope, channel="email") if scope.is_production else None
    if connection is None:
        return None
    installation.require_own()
    return EspWay(scope, job, Content(**job.content), connection)


def pieces(*, scope: Scope, job: SendJob, members: Sequence[Member]) -> list[Piece]:
    """The members with their tokens, in order."""
    where = {"environment_id": scope.environment_id, "job_id": job.pk}
    marks = tokens.tokens("message", numbers=[member.position for member in members], **where)
    ends = tokens.tokens("unsubscribe", numbers=[member.person_id for member in members], **where)
    return [Piece(member, mark, link(end)) for member, mark, end in zip(members, marks, ends, strict=True)]


def rendered(
    found: Sequence[Piece], render: Callable[[Piece], _T]
) -> tuple[list[tuple[Piece, _T]], dict[int, Outcome]]:
    """What could be filled, and the outcomes (by position) of those that could not."""
    made: list[tuple[Piece, _T]] = []
    failed: dict[int, Outcome] = {}
    for piece in found:
        try:
            made.append((piece, render(piece)))
        except RenderFailed as problem:
            failed[piece.member.position] = Outcome("failed", "template", str(problem))
    return made, failed


def _ways() -> dict[str, Callable[[Scope, SendJob, Content], Way]]:
    """Here and not above: each way imports this module."""
    from delivery.channels.inapp import InboxWay
    from delivery.channels.sms import SmsWay
    from delivery.channels.webhook import WebhookWay

    return {"in_app": InboxWay, "sms": SmsWay, "webhook": WebhookWay}
