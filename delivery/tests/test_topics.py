"""Topics: who does not want one is left out of its jobs, before the next micro-batch, and of nothing else."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiences.models import FactHistory
from audit.models import AuditEntry
from delivery import consent, topics
from delivery.models import ConsentEvent, JobCounters, SendJob, Topic, TopicChoice
from delivery.tests.conftest import Postbox, counters
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db
Jobs = Callable[..., SendJob]
People = Callable[..., list[int]]


@pytest.fixture
def news(scope: Scope, actor: Actor, now: datetime) -> Topic:
    return topics.create(
        scope=scope, actor=actor, slug="news", name="Product news", description="", opt_in=False, now=now
    )


def reasons(job: SendJob) -> dict[str, int]:
    found: dict[str, int] = (
        JobCounters.objects.across_environments("one row by its key").get(pk=job.pk).excluded_reasons
    )
    return found


def decline(scope: Scope, topic: Topic, person: int, address: str, now: datetime) -> None:
    with transaction.atomic():
        consent.unsubscribe(
            scope=scope, people={person: address}, channel="email", topic=topic, how="page", source="cns_1",
            occurred_at=now, now=now,
        )  # fmt: skip


def test_who_declined_the_topic_is_left_out_of_it_and_of_nothing_else(
    scope: Scope, now: datetime, news: Topic, make_people: People, make_job: Jobs, deliver: Any, postbox: Postbox
) -> None:
    people = make_people(2)
    decline(scope, news, people[0], "u1@example.com", now)

    about = make_job(2, people=people, topic=news)
    deliver(about)
    other = make_job(2, people=people)
    deliver(other)

    assert counters(about) == {"excluded": 1, "accepted": 1}
    assert reasons(about) == {"late:unsubscribed": 1}
    assert counters(other) == {"accepted": 2}
    assert postbox.addresses() == ["u1@example.com", "u2@example.com", "u2@example.com"]


def test_a_topic_for_those_who_asked_goes_to_nobody_else(
    scope: Scope, actor: Actor, now: datetime, make_people: People, make_job: Jobs, deliver: Any, postbox: Postbox
) -> None:
    beta = topics.create(scope=scope, actor=actor, slug="beta", name="Beta", description="", opt_in=True, now=now)
    people = make_people(3)
    with transaction.atomic():
        topics.choose(scope=scope, topic=beta, channel="email", person_ids=people[:1], wanted=True, decided_at=now)
        topics.choose(scope=scope, topic=beta, channel="sms", person_ids=people[1:2], wanted=True, decided_at=now)

    job = make_job(3, people=people, topic=beta)
    deliver(job)

    assert postbox.addresses() == ["u1@example.com"]
    assert reasons(job) == {"late:no_consent": 2}


def test_a_decision_leaves_evidence_a_line_in_the_history_and_an_audit_entry_once(
    scope: Scope, now: datetime, news: Topic, make_people: People
) -> None:
    (person,) = make_people(1)
    for _ in range(2):
        decline(scope, news, person, "U1@example.com", now)

    evidence = ConsentEvent.objects.get()
    assert (evidence.topic, evidence.channel, evidence.action, evidence.how) == (
        "news",
        "email",
        "unsubscribed",
        "page",
    )
    assert FactHistory.objects.within(scope).filter(field="topic.news.email", value=False).count() == 1
    entry = AuditEntry.objects.get(action="consent.changed")
    assert entry.after == {"channel": "email", "consent": "unsubscribed", "how": "page", "topic": "news"}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=6), st.randoms())
def test_the_newest_choice_stands_in_whatever_order_choices_arrive(
    scope: Scope, now: datetime, news: Topic, told: list[tuple[int, bool]], chance: Any
) -> None:
    TopicChoice.objects.filter(environment_id=scope.environment_id).delete()
    shown = [*told, *told]
    chance.shuffle(shown)
    with transaction.atomic():
        for hours, wanted in shown:
            moment = now + timedelta(hours=hours)
            topics.choose(scope=scope, topic=news, channel="email", person_ids=[7], wanted=wanted, decided_at=moment)
    stands = TopicChoice.objects.get(environment_id=scope.environment_id).wanted
    assert stands == min(wanted for hours, wanted in told if hours == max(hours for hours, _ in told))


@pytest.mark.parametrize("slug", ["", "News", "a b", "-a", "a" * 41])
def test_a_short_name_is_refused_unless_it_can_stand_in_an_address(
    scope: Scope, actor: Actor, now: datetime, slug: str
) -> None:
    with pytest.raises(Invalid) as refused:
        topics.create(scope=scope, actor=actor, slug=slug, name="N", description="", opt_in=False, now=now)
    assert refused.value.problems[0].pointer == "#/slug"
