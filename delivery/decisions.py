"""One decision about being contacted: evidence, the fact that claims and rules read, and the audit entry, together.

A decision is about a channel or about one topic of it. Showing the same source again changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from audiences import facts
from audiences.models import Person
from audit import chain
from delivery import topics
from delivery.models import ConsentEvent, Topic
from lamba_campaigns.lib.sql import require_transaction
from projects.scoping import Actor, Scope

How = Literal["one_click", "page", "receipt", "console", "api", "import", "system"]
Action = Literal["unsubscribed", "resubscribed", "consented", "withdrawn"]
SOURCE_CHARS_MAX = 80


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decided (`actor` None: the person), what, how we learnt it, and the event or id that stands behind it."""

    action: Action
    channel: str
    how: How
    source: str
    occurred_at: datetime
    topic: Topic | None = None
    actor: Actor | None = None
    job_id: int | None = None
    ip: str = ""
    reason: str = ""

    @property
    def wanted(self) -> bool:
        return self.action in ("resubscribed", "consented")


def take(*, scope: Scope, people: Mapping[int, str], decision: Decision, now: datetime) -> int:
    """It stands for these people (id -> address) from this commit on. Returns for how many it is news."""
    require_transaction()
    known = dict(Person.objects.within(scope).filter(pk__in=people).values_list("pk", "public_id"))
    wanted = {person_id: address for person_id, address in people.items() if person_id in known}
    new = keep(scope=scope, evidence=[_evidence(scope, decision, *each, now) for each in wanted.items()])
    ids = sorted(row.person_id for row in new if row.person_id)
    if not ids:
        return 0
    _tell(scope, ids, decision, now)
    for person_id in ids:
        chain.record(
            scope=scope,
            actor=decision.actor or Actor("system", known[person_id], "The recipient", "system"),
            action="consent.changed",
            subject=chain.Subject("person", known[person_id]),
            now=now,
            after=_said(decision),
            reason=decision.reason,
        )
    return len(ids)


def keep(*, scope: Scope, evidence: list[ConsentEvent]) -> list[ConsentEvent]:
    """Insert the evidence; the rows that were new."""
    sources = {row.source for row in evidence}
    known = set(
        ConsentEvent.objects.filter(environment_id=scope.environment_id, source__in=sources).values_list(
            "source", "action", "address", "channel", "topic"
        )
    )
    new = [row for row in evidence if (row.source, row.action, row.address, row.channel, row.topic) not in known]
    ConsentEvent.objects.bulk_create(new, ignore_conflicts=True)
    return new


def _evidence(scope: Scope, decision: Decision, person_id: int, address: str, now: datetime) -> ConsentEvent:
    return ConsentEvent(
        environment_id=scope.environment_id,
        person_id=person_id,
        address=address.lower(),
        channel=decision.channel,
        topic=decision.topic.slug if decision.topic else "",
        action=decision.action,
        how=decision.how,
        source=decision.source,
        job_id=decision.job_id,
        actor=decision.actor.label[:200] if decision.actor else "The recipient",
        ip=decision.ip or (decision.actor.ip if decision.actor else ""),
        occurred_at=decision.occurred_at,
        recorded_at=now,
    )


def _tell(scope: Scope, ids: list[int], decision: Decision, now: datetime) -> None:
    """The fact of the channel, or the choice of the topic with its line in the person's history."""
    source = decision.source[:SOURCE_CHARS_MAX]
    if decision.topic is not None:
        topics.choose(
            scope=scope, topic=decision.topic, channel=decision.channel, person_ids=ids, wanted=decision.wanted,
            decided_at=decision.occurred_at,
        )  # fmt: skip
        name, value = f"topic.{decision.topic.slug}.{decision.channel}", decision.wanted
    elif decision.action in ("consented", "withdrawn"):
        name, value = f"consent.{decision.channel}", decision.wanted
    else:
        name, value = f"unsubscribed.{decision.channel}", not decision.wanted
    changes = [facts.Change(person_id, name, value, decision.occurred_at, source) for person_id in ids]
    facts.apply(scope=scope, changes=changes, now=now)


def _said(decision: Decision) -> dict[str, str]:
    said = {"channel": decision.channel, "consent": decision.action, "how": decision.how}
    return said | ({"topic": decision.topic.slug} if decision.topic else {})
