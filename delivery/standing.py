"""What stands for one person on every channel and topic, and the evidence behind it: who, when, how, by which event."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from audiences import facts
from audiences.channels import CHANNEL_BITS
from audiences.models import Person
from delivery import decisions, topics
from delivery.decisions import Action, Decision, How
from delivery.models import ConsentEvent, Topic
from lamba_campaigns.lib import clocks
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from lamba_campaigns.lib.ids import new_id
from lamba_campaigns.lib.sql import durable
from projects.scoping import Actor, Scope

SOURCE_CHARS_MAX = 80
REASON_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Fact:
    """One standing fact with its origin. `source` is the event, import or decision that told it."""

    holds: bool
    source: str = ""
    since: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class TopicStanding:
    topic: Topic
    wanted: bool
    decided: bool  # False: what stands for everybody who never chose


@dataclass(frozen=True, slots=True)
class ChannelStanding:
    """Whether this channel may be used for the person, and why (not)."""

    channel: str
    consent: Fact
    unsubscribed: Fact
    suppressed: Fact
    topics: tuple[TopicStanding, ...]

    @property
    def reachable(self) -> bool:
        return self.consent.holds and not self.unsubscribed.holds and not self.suppressed.holds


def of(*, scope: Scope, person: Person) -> tuple[ChannelStanding, ...]:
    """Every channel, in the order of the product."""
    known = {each.field: each for each in facts.of_person(scope=scope, person_id=person.pk)}
    chosen = topics.choices(scope=scope, person_id=person.pk)
    offered = topics.offered(scope=scope)

    def fact(name: str) -> Fact:
        told = known.get(name)
        if told is None:
            return Fact(False)
        note = told.value if isinstance(told.value, str) else ""
        return Fact(bool(told.value), told.source, told.occurred_at, note)

    return tuple(
        ChannelStanding(
            channel=channel,
            consent=fact(f"consent.{channel}"),
            unsubscribed=fact(f"unsubscribed.{channel}"),
            suppressed=fact(f"suppressed.{channel}"),
            topics=tuple(
                TopicStanding(topic, chosen.get((topic.pk, bit), not topic.opt_in), (topic.pk, bit) in chosen)
                for topic in offered
            ),
        )
        for channel, bit in CHANNEL_BITS.items()
    )


def evidence(*, scope: Scope, person: Person) -> QuerySet[ConsentEvent]:
    """Every decision about this person that was recorded here."""
    return ConsentEvent.objects.filter(environment_id=scope.environment_id, person_id=person.pk)


def record(
    *,
    scope: Scope,
    actor: Actor,
    person: Person,
    action: Action,
    channel: str,
    topic: str,
    how: How,
    source: str,
    reason: str,
    occurred_at: datetime | None,
    now: datetime,
) -> bool:
    """Write down what this person decided somewhere else. False when the same source told it before."""
    if channel not in CHANNEL_BITS:
        raise _invalid("channel", f"A channel is one of {', '.join(CHANNEL_BITS)}.")
    if topic and action in ("consented", "withdrawn"):
        raise _invalid("decision", "A topic is subscribed and unsubscribed; consent is given for a whole channel.")
    if occurred_at is not None and clocks.is_ahead(occurred_at, received_at=now):
        raise _invalid("occurredAt", "A decision can't lie in the future.")
    if actor.kind == "user" and not reason.strip():
        raise _invalid("reason", "Say how you know what this person wants.")
    with durable():
        decision = Decision(
            action=action,
            channel=channel,
            how=how,
            source=source[:SOURCE_CHARS_MAX] or new_id("cns"),
            occurred_at=occurred_at or now,
            topic=topics.named(scope=scope, slug=topic) if topic else None,
            actor=actor,
            reason=reason[:REASON_CHARS_MAX],
        )
        address = person.email or person.external_id
        return bool(decisions.take(scope=scope, people={person.pk: address}, decision=decision, now=now))


def _invalid(name: str, detail: str) -> Invalid:
    return Invalid(detail, problems=(FieldProblem(f"#/{name}", "invalid", detail),))
