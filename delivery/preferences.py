"""What one person wants to get, as the holder of a link from a mail sees and changes it, without signing in.

The link names the person and the job it came with. It never expires and can be used again (RFC 8058). Consent that
was never given is not given here, except for a topic, which asks for exactly that.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from audiences.channels import CHANNEL_BITS
from audiences.models import Person, PersonFacts
from delivery import balances, consent, statements, tokens, topics
from delivery.accounts import Overlay
from delivery.decisions import How
from delivery.models import Message, SendJob, Topic
from lamba_campaigns.lib.errors import NotFound
from lamba_campaigns.lib.ids import new_id
from lamba_campaigns.lib.sql import durable
from projects.access import scope_by_id
from projects.models import Environment
from projects.scoping import Scope

Wish = Literal["unsubscribe", "resubscribe", "save", "nothing"]
CHANNEL_NAMES = {"email": "Email", "in_app": "In-app messages", "sms": "Text messages", "webhook": "Webhook messages"}


@dataclass(frozen=True, slots=True)
class TopicLine:
    """One topic on one channel. `name` is the value of its box in the form."""

    topic: Topic
    name: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class ChannelBlock:
    """One channel that this person can be reached by, and what it carries."""

    channel: str
    label: str
    wanted: bool
    topics: tuple[TopicLine, ...]


@dataclass(frozen=True, slots=True)
class Preferences:
    """Whose page it is, what the link was about, and what stands."""

    scope: Scope
    person_id: int
    address: str
    sender: str
    channel: str
    topic: Topic | None  # what the message was about, if it said
    job_id: int
    blocks: tuple[ChannelBlock, ...]

    @property
    def unsubscribed(self) -> bool:
        """What the link is about is not sent to this person."""
        return self._about is not None and not self._about

    @property
    def nothing(self) -> bool:
        """Every channel is off."""
        return not any(block.wanted for block in self.blocks)

    @property
    def has_topics(self) -> bool:
        return any(block.topics for block in self.blocks)

    @property
    def _about(self) -> bool:
        block = next(each for each in self.blocks if each.channel == self.channel)
        lines = [line.wanted for line in block.topics if self.topic is not None and line.topic.pk == self.topic.pk]
        return block.wanted and all(lines)


def read(*, token: str) -> Preferences:
    """What the holder of this link may see and change. NotFound for anything that is not ours."""
    reference = tokens.read("unsubscribe", token)
    if reference is None or not Environment.objects.filter(pk=reference.environment_id).exists():
        raise NotFound("This link is not complete.", next_step="Copy the whole link from the message.")
    scope = scope_by_id(reference.environment_id)
    person = Person.objects.within(scope).filter(pk=reference.number).first()
    if person is None:
        raise NotFound("There is nobody behind this link any more.", next_step="No more messages will come.")
    job = SendJob.objects.within(scope).filter(pk=reference.job_id).select_related("topic").first()
    channel = job.channel if job else "email"
    return Preferences(
        scope=scope,
        person_id=person.pk,
        address=_address(scope, reference.job_id, person),
        sender=(job.content.get("from_name") if job else "") or _sender(scope),
        channel=channel,
        topic=job.topic if job else None,
        job_id=reference.job_id,
        blocks=_blocks(scope, person.pk, channel, job.topic if job else None),
    )


def act(*, token: str, wish: Wish, chosen: Collection[str] = (), how: How, ip: str, now: datetime) -> Preferences:
    """What the person wishes stands from this commit on; what stood already is left alone.

    `unsubscribe` and `resubscribe` are about the link's topic, or its channel where it has none; `nothing` ends every
    channel; `save` makes `chosen` (`email`, `email:news`, …) what is wanted.
    """
    found = read(token=token)
    with durable():
        changed = sum(_turn(found, *each, how=how, ip=ip, now=now) for each in _turns(found, wish, frozenset(chosen)))
        if changed and wish == "unsubscribe" and found.job_id:
            _note_overlay(found, now)
    return read(token=token)


def link_of(*, scope: Scope, person_id: int) -> str:
    """The token of a person's page that comes with no message."""
    return tokens.unsubscribe_token(environment_id=scope.environment_id, job_id=0, person_id=person_id)


def _turns(found: Preferences, wish: Wish, chosen: frozenset[str]) -> list[tuple[str, Topic | None, bool]]:
    """(channel, topic, wanted) for everything that is to change."""
    if wish == "nothing":
        return [(block.channel, None, False) for block in found.blocks if block.wanted]
    if wish == "save":
        return [*_saved(found, chosen)]
    block = next(each for each in found.blocks if each.channel == found.channel)
    if wish == "unsubscribe":
        return [(found.channel, found.topic, False)] if not found.unsubscribed else []
    turns: list[tuple[str, Topic | None, bool]] = [] if block.wanted else [(found.channel, None, True)]
    lines = [line for line in block.topics if found.topic is not None and line.topic.pk == found.topic.pk]
    return turns + [(found.channel, line.topic, True) for line in lines if not line.wanted]


def _saved(found: Preferences, chosen: frozenset[str]) -> list[tuple[str, Topic | None, bool]]:
    turns: list[tuple[str, Topic | None, bool]] = []
    for block in found.blocks:
        if block.wanted != (block.channel in chosen):
            turns.append((block.channel, None, not block.wanted))
        turns += [
            (block.channel, line.topic, not line.wanted)
            for line in block.topics
            if line.wanted != (line.name in chosen)
        ]
    return turns


def _turn(
    found: Preferences, channel: str, topic: Topic | None, wanted: bool, *, how: How, ip: str, now: datetime
) -> int:
    decide = consent.resubscribe if wanted else consent.unsubscribe
    return decide(
        scope=found.scope,
        people={found.person_id: found.address},
        channel=channel,
        topic=topic,
        how=how,
        source=new_id("cns"),
        job_id=found.job_id or None,
        ip=ip,
        occurred_at=now,
        now=now,
    )


def _blocks(scope: Scope, person_id: int, channel: str, about: Topic | None) -> tuple[ChannelBlock, ...]:
    """The channels that this person agreed to, and the one that the message came by."""
    masks = PersonFacts.objects.within(scope).filter(pk=person_id).values_list("consent_mask", "unsubscribed_mask")
    agreed, ended = masks.first() or (0, 0)
    chosen = topics.choices(scope=scope, person_id=person_id)
    offered = list(topics.offered(scope=scope))
    if about is not None and about.pk not in {topic.pk for topic in offered}:
        offered.append(about)
    return tuple(
        ChannelBlock(
            channel=name,
            label=CHANNEL_NAMES[name],
            wanted=not ended & bit,
            topics=tuple(
                TopicLine(topic, f"{name}:{topic.slug}", chosen.get((topic.pk, bit), not topic.opt_in))
                for topic in offered
            ),
        )
        for name, bit in CHANNEL_BITS.items()
        if name == channel or (agreed | ended) & bit
    )


def _note_overlay(found: Preferences, now: datetime) -> None:
    where = {"environment": found.scope.environment_id, "person": found.person_id, "job": found.job_id}
    if statements.count("note_unsubscribed", where | {"now": now}):
        balances.move(job_id=found.job_id, changes={}, overlays={Overlay.UNSUBSCRIBED: 1}, now=now)


def _address(scope: Scope, job_id: int, person: Person) -> str:
    """The address that the message went to; the person's own where the message is gone."""
    sent = Message.objects.filter(environment_id=scope.environment_id, person_id=person.pk, job_id=job_id)
    found: str | None = sent.values_list("address", flat=True).first()
    return found or person.email or person.external_id


def _sender(scope: Scope) -> str:
    name: str = Environment.objects.values_list("sender_name", flat=True).get(pk=scope.environment_id)
    return name or scope.workspace_name
