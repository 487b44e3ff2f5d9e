"""Stop rules: what does harm pauses itself, says why, and needs a person to go on."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from audit.models import AuditEntry
from delivery import breaker, jobs, receipts
from delivery.breaker import Tally
from delivery.models import JobDomain, Message, SendJob
from delivery.tests.conftest import Postbox, counters, state
from delivery.tokens import token
from projects.scoping import Scope
from webhooks.models import InboundEvent
from webhooks.registry import Event

pytestmark = pytest.mark.django_db


def audited(scope: Scope) -> Any:
    """What the one entry says."""
    entry = AuditEntry.objects.get(environment_id=scope.environment_id, action="delivery.auto_paused")
    assert entry.canonical is not None
    return json.loads(bytes(entry.canonical))["after"]


def codes(*tallies: Tally) -> list[tuple[str, str, str]]:
    return [(found.level, found.code, found.domain) for found in breaker.judge(tallies)]


@pytest.mark.parametrize(
    ("tally", "level"),
    [
        (Tally("", 1000, bounced=49), ""),
        (Tally("", 1000, bounced=50), "warn"),
        (Tally("", 1000, bounced=100), "stop"),
        (Tally("", 199, bounced=199), ""),  # too few to say
        (Tally("a.example", 200, bounced=20), "stop"),
        (Tally("", 1000, refused=100), "warn"),
        (Tally("", 1000, refused=250), "stop"),
        (Tally("", 10_000, complained=9), ""),
        (Tally("", 10_000, complained=10), "warn"),
        (Tally("", 10_000, complained=30), "stop"),
        (Tally("", 600, complained=4), ""),  # a handful of people is no rate
        (Tally("", 5_000, uncertain=500), ""),  # one killed worker
        (Tally("", 5_000, uncertain=750), "stop"),
        (Tally("a.example", 5_000, uncertain=5_000), ""),
    ],
)
def test_rules_speak_at_their_limits(tally: Tally, level: str) -> None:
    assert [found[0] for found in codes(tally)] == ([level] if level else [])


def test_the_gravest_comes_first_and_says_what_it_saw() -> None:
    found = breaker.judge([Tally("a.example", 1000, bounced=60), Tally("", 1000, refused=300, complained=2)])
    assert [(each.level, each.code) for each in found] == [
        ("stop", "error_rate"),
        ("warn", "bounce_rate"),
    ]
    assert found[0].sentence == "30.0% of 1,000 messages were refused or failed (300); the stop limit is 25.0%."
    assert found[1].sentence == "6.0% of 1,000 messages to a.example bounced (60); the warn limit is 5.0%."


def test_a_job_that_is_refused_everywhere_pauses_itself_once_and_goes_on_when_resumed(
    scope: Scope, now: datetime, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    postbox.rcpt = lambda address: "554 5.7.1 Blocked" if int(address[1:].partition("@")[0]) % 2 else None
    job = make_job(2000)

    deliver(job)

    assert state(job) == "paused"
    stopped = counters(job)
    assert stopped["pending"] > 0
    assert stopped["rejected"] == stopped["accepted"]
    after = audited(scope)
    assert after["rule"] == "error_rate"
    assert after["cases"] * 2 == after["attempted"]
    assert InboundEvent.objects.within(scope).filter(type="delivery.job_paused").count() == 1
    job.refresh_from_db()
    stuck = jobs.why_stuck(scope=scope, job=job, now=now)
    assert stuck is not None
    assert stuck.code == "stopped"
    assert "were refused or failed" in stuck.detail

    postbox.rcpt = lambda address: None
    with transaction.atomic():
        jobs.resume(scope=scope, job=job, now=now)
    assert breaker.findings(scope=scope, job=job) == [], "what was counted before is no reason any more"
    deliver(job)
    assert state(job) == "finished"
    assert counters(job)["accepted"] == 2000 - stopped["rejected"]
    job.refresh_from_db()
    assert job.stop_code == ""


def test_one_domain_alone_stops_a_job_that_is_fine_elsewhere(
    scope: Scope,
    now: datetime,
    make_people: Callable[..., list[int]],
    make_job: Callable[..., SendJob],
    deliver: Callable[..., None],
    postbox: Postbox,
) -> None:
    people = make_people(2000)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE audiences_person SET email = replace(email, 'example.com', 'angry.example')"
            " WHERE id = ANY(%s) AND id %% 5 = 0",
            [people],
        )
    postbox.rcpt = lambda address: "550 5.7.1 No" if address.endswith("@angry.example") else None
    job = make_job(2000, people=people)
    deliver(job)
    assert state(job) == "paused"
    after = audited(scope)
    assert (after["rule"], after["domain"]) == ("error_rate", "angry.example")
    tally = JobDomain.objects.get(job_id=job.pk, domain="angry.example")
    assert tally.refused == tally.attempted == counters(job)["rejected"]


def test_complaints_that_arrive_later_stop_a_job_at_the_next_sweep(
    scope: Scope, now: datetime, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    job = make_job(600)
    deliver(job)
    Message.objects.filter(job_id=job.pk, position=600).update(next_attempt_at=now + timedelta(days=1))
    SendJob.objects.across_environments("the test's own").filter(pk=job.pk).update(state="sending", finished_at=None)
    events = [_complaint(scope, job, position, now) for position in range(1, 7)]
    with transaction.atomic():
        receipts.record(scope=scope, events=events[:4], now=now)
    assert breaker.sweep(now=now) == 0
    with transaction.atomic():
        receipts.record(scope=scope, events=events, now=now)
        receipts.record(scope=scope, events=events, now=now)
    assert breaker.sweep(now=now) == 1
    assert breaker.sweep(now=now) == 0, "only once"
    assert state(job) == "pausing"
    assert JobDomain.objects.get(job_id=job.pk, domain="example.com").complained == 6


def _complaint(scope: Scope, job: SendJob, position: int, now: datetime) -> Any:
    mark = token(environment_id=scope.environment_id, job_id=job.pk, position=position)
    data = {"messageId": f"<{mark}@acme.example>", "recipient": "x@example.com"}
    return Event(
        id=f"evt_c{position}", type="message.complained", occurred_at=now, data=data, received_at=now, source="provider"
    )
