"""Topics: what a person can end without ending everything. Who does not want one is left out before any hand-off."""

import re
from collections.abc import Collection, Sequence
from datetime import datetime

from django.db.models import F

from audiences.channels import CHANNEL_BITS
from audit import chain
from delivery import statements
from delivery.models import Topic, TopicChoice
from lamba_campaigns.lib.constraints import translated
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, NotFound, Stale
from lamba_campaigns.lib.sql import durable, require_transaction
from projects.scoping import Actor, Scope

TOPICS_MAX = 50
NAME_CHARS_MAX = 80
DESCRIPTION_CHARS_MAX = 200
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
SLUG_CHARS_MAX = 40


class TopicSlugTaken(Conflict):
    """Another topic of this environment has this short name, perhaps an archived one."""

    code = "TOPIC_SLUG_TAKEN"


class TopicChanged(Stale):
    """Somebody else changed the topic since it was read."""

    code = "STALE_VERSION"


def create(*, scope: Scope, actor: Actor, slug: str, name: str, description: str, opt_in: bool, now: datetime) -> Topic:
    """A topic that people can choose from now on."""
    _check(name, description)
    if not _SLUG.fullmatch(slug) or len(slug) > SLUG_CHARS_MAX:
        raise _invalid("slug", "Use lower-case letters, digits and single hyphens, at most 40.")
    with durable(), translated({"topic_slug_is_unique": TopicSlugTaken(f"There is a topic {slug!r} already.")}):
        if Topic.objects.within(scope).filter(archived_at=None).count() >= TOPICS_MAX:
            raise _invalid("slug", f"An environment has at most {TOPICS_MAX} topics. Archive one first.")
        topic = Topic(
            environment_id=scope.environment_id,
            slug=slug,
            name=name.strip(),
            description=description.strip(),
            opt_in=opt_in,
            created_at=now,
            created_by=actor.label[:200],
        )
        topic.save(force_insert=True)
        _audit(scope, actor, "topic.created", topic, now)
    return topic


def edit(
    *, scope: Scope, actor: Actor, public_id: str, name: str, description: str, version: int, now: datetime
) -> Topic:
    """Other words for the same topic. Its short name and its default never change: people decided about them."""
    _check(name, description)
    with durable():
        topic = _moved(scope, public_id, version, name=name.strip(), description=description.strip())
        _audit(scope, actor, "topic.updated", topic, now)
    return topic


def archive(*, scope: Scope, actor: Actor, public_id: str, version: int, now: datetime) -> Topic:
    """No longer offered to anybody, nor to new campaigns. What people chose stays."""
    with durable():
        topic = _moved(scope, public_id, version, archived_at=now)
        _audit(scope, actor, "topic.archived", topic, now)
    return topic


def get(*, scope: Scope, public_id: str) -> Topic:
    found: Topic | None = Topic.objects.within(scope).filter(public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such topic here.", next_step="List the topics to see their ids.")
    return found


def named(*, scope: Scope, slug: str) -> Topic:
    """The open topic with this short name; Invalid, as it is asked for in bodies."""
    found: Topic | None = Topic.objects.within(scope).filter(slug=slug, archived_at=None).first()
    if found is None:
        raise _invalid("topic", f"There is no topic {slug!r} here.")
    return found


def offered(*, scope: Scope) -> Sequence[Topic]:
    """The topics that people can choose, by name."""
    return list(Topic.objects.within(scope).filter(archived_at=None).order_by("name", "pk"))


def choose(
    *, scope: Scope, topic: Topic, channel: str, person_ids: Collection[int], wanted: bool, decided_at: datetime
) -> None:
    """The newest decision of each of these people stands, in whatever order they arrive."""
    require_transaction()
    assert topic.environment_id == scope.environment_id
    statements.count(
        "choose_topic",
        {
            "environment": scope.environment_id,
            "topic": topic.pk,
            "channel_bit": CHANNEL_BITS[channel],
            "people": sorted(person_ids),
            "wanted": wanted,
            "decided_at": decided_at,
        },
    )


def choices(*, scope: Scope, person_id: int) -> dict[tuple[int, int], bool]:
    """(topic, channel bit) -> wanted, for what this person ever decided about."""
    rows = TopicChoice.objects.filter(environment_id=scope.environment_id, person_id=person_id)
    return {(topic, bit): wanted for topic, bit, wanted in rows.values_list("topic_id", "channel_bit", "wanted")}


def _moved(scope: Scope, public_id: str, version: int, **changes: object) -> Topic:
    get(scope=scope, public_id=public_id)
    rows = Topic.objects.within(scope).filter(public_id=public_id)
    if not rows.filter(state_version=version, archived_at=None).update(state_version=F("state_version") + 1, **changes):
        raise TopicChanged("The topic changed since you read it, or is archived.", next_step="Read it again.")
    moved: Topic = rows.get()
    return moved


def _check(name: str, description: str) -> None:
    if not 1 <= len(name.strip()) <= NAME_CHARS_MAX:
        raise _invalid("name", f"Use 1 to {NAME_CHARS_MAX} characters.")
    if len(description) > DESCRIPTION_CHARS_MAX:
        raise _invalid("description", f"Use at most {DESCRIPTION_CHARS_MAX} characters.")


def _invalid(name: str, detail: str) -> Invalid:
    return Invalid(detail, problems=(FieldProblem(f"#/{name}", "invalid", detail),))


def _audit(scope: Scope, actor: Actor, action: str, topic: Topic, now: datetime) -> None:
    chain.record(
        scope=scope,
        actor=actor,
        action=action,
        subject=chain.Subject("topic", topic.public_id, topic.name),
        now=now,
        after={"slug": topic.slug, "name": topic.name, "optIn": topic.opt_in},
    )
