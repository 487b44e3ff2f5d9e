"""Windows, waves and limits hold through real hand-offs, and a restart forgets nothing of them."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from audit import ledger
from delivery import deliver as engine
from delivery import finishing, jobs, ringing, statements
from delivery.models import PaceDay, SendJob
from delivery.pacing.rules import frozen
from delivery.tests.conftest import Postbox, counters, messages, state
from projects.scoping import Scope

BERLIN = "Europe/Berlin"
OFFICE = {"window": {"opens": "09:00", "closes": "17:00", "days": [1, 2, 3, 4, 5]}}
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)  # Berlin is an hour ahead
MakeJob = Callable[..., SendJob]
Deliver = Callable[..., None]


def ruled(document: dict[str, Any]) -> dict[str, Any]:
    return frozen(document, time_zone=BERLIN)


def zones(scope: Scope, *names: str) -> None:
    """The people of the environment, in order, live in these zones."""
    with connection.cursor() as cursor:
        for offset, name in enumerate(names):
            cursor.execute(
                "UPDATE audiences_person SET time_zone = %s WHERE id ="
                " (SELECT id FROM audiences_person WHERE environment_id = %s ORDER BY id OFFSET %s LIMIT 1)",
                [name, scope.environment_id, offset],
            )


def balanced(scope: Scope, job: SendJob) -> None:
    found = ledger.balance(scope=scope, job_id=job.pk)
    assert found.residual == 0
    assert {name: count for name, count in found.accounts.items() if count} == counters(job)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


def test_a_closed_window_holds_the_job_and_says_until_when(
    scope: Scope, make_job: MakeJob, deliver: Deliver, postbox: Postbox
) -> None:
    job = make_job(3, pacing=ruled(OFFICE))

    deliver(job, at=at(0, 17))
    job.refresh_from_db()

    assert counters(job) == {"pending": 3} and not postbox.received
    stuck = jobs.why_stuck(scope=scope, job=job, now=at(0, 17))
    assert stuck is not None and (stuck.code, stuck.until) == ("send_window", at(1, 8))
    assert ringing.due(now=at(1, 7, 59)) == []
    assert ringing.due(now=at(1, 8)) == [job.pk]
    deliver(job, at=at(1, 8))
    assert counters(job) == {"accepted": 3} and state(job) == "finished"


def test_people_in_other_zones_wait_for_their_own_morning(
    scope: Scope, make_job: MakeJob, deliver: Deliver, postbox: Postbox
) -> None:
    job = make_job(4, pacing=ruled(OFFICE | {"zone": "recipient"}))
    zones(scope, "America/New_York", "Asia/Tokyo", BERLIN, "")

    deliver(job, at=at(0, 9))

    assert postbox.addresses() == ["u3@example.com", "u4@example.com"]
    assert counters(job) == {"accepted": 2, "deferred": 2}
    first, second, *_ = messages(job)
    assert (first.next_attempt_at, first.code, first.attempts) == (at(0, 14), "send_window", 0)
    assert second.next_attempt_at == at(1, 0)
    balanced(scope, job)
    stuck = jobs.why_stuck(scope=scope, job=job, now=at(0, 9))
    assert stuck is not None and (stuck.code, stuck.until) == ("turns_waiting", at(0, 14))

    deliver(job, at=at(0, 13, 59))
    assert len(postbox.received) == 2
    deliver(job, at=at(0, 14))
    deliver(job, at=at(1, 0))
    assert counters(job) == {"accepted": 4} and [each.attempts for each in messages(job)] == [1, 1, 1, 1]
    assert state(job) == "finished" and len(set(postbox.addresses())) == 4
    balanced(scope, job)


def test_somebody_whose_turn_comes_late_again_waits_again(
    scope: Scope, make_job: MakeJob, deliver: Deliver, postbox: Postbox
) -> None:
    job = make_job(1, pacing=ruled(OFFICE | {"zone": "recipient"}))
    zones(scope, "Asia/Tokyo")
    deliver(job, at=at(0, 9))

    deliver(job, at=at(1, 12))  # no worker came while Tokyo was open

    assert not postbox.received and counters(job) == {"deferred": 1}
    assert messages(job)[0].next_attempt_at == at(2, 0)
    balanced(scope, job)


@pytest.mark.parametrize(
    ("past", "expected"), [("skip", {"excluded": 2, "accepted": 1}), ("send_now", {"accepted": 3})]
)
def test_already_past_follows_the_policy(
    scope: Scope, make_job: MakeJob, deliver: Deliver, postbox: Postbox, past: str, expected: dict[str, int]
) -> None:
    job = make_job(3, pacing=ruled(OFFICE | {"zone": "recipient", "past": past}))
    zones(scope, "Asia/Tokyo", "Australia/Sydney", BERLIN)

    deliver(job, at=at(0, 12))

    assert counters(job) == expected and state(job) == "finished"
    balanced(scope, job)
    if past == "skip":
        found = jobs.progress(scope=scope, job=job, now=at(0, 12))
        assert found.excluded_by_reason == {"late:window_passed": 2}
        assert messages(job)[0].detail == "Left out: the send window was over when their turn came."


def test_waves_leave_day_by_day_and_a_restart_exceeds_none(
    scope: Scope, make_job: MakeJob, deliver: Deliver, postbox: Postbox
) -> None:
    job = make_job(10, pacing=ruled({"waves": [2, 3]}))

    for _ in range(3):  # every turn is a worker that knows nothing of the one before
        deliver(job, at=at(0, 9))
    assert len(postbox.received) == 2
    job.refresh_from_db()
    stuck = jobs.why_stuck(scope=scope, job=job, now=at(0, 9))
    assert stuck is not None and (stuck.code, stuck.until) == ("wave", at(0, 23))
    assert "2 people of today's wave" in stuck.detail

    with transaction.atomic():
        jobs.pause(scope=scope, job=job, now=at(0, 10))
    finishing.settle(scope=scope, job_id=job.pk, now=at(0, 10))
    with transaction.atomic():
        jobs.resume(scope=scope, job=job, now=at(0, 11))  # takes the hold away, not the limit
    deliver(job, at=at(0, 11))
    assert len(postbox.received) == 2

    deliver(job, at=at(3, 9))  # two days without anybody do not count
    assert len(postbox.received) == 5
    deliver(job, at=at(4, 9))
    assert len(postbox.received) == 10 and state(job) == "finished"
    days = PaceDay.objects.within(scope).filter(job=job).order_by("day").values_list("day__day", "taken")
    assert list(days) == [(23, 2), (26, 3), (27, 5)]
    balanced(scope, job)


def test_second_attempts_count_in_the_wave_of_their_day(
    scope: Scope, make_job: MakeJob, deliver: Deliver, postbox: Postbox
) -> None:
    postbox.rcpt = lambda address: "451 4.7.1 Try again later"
    job = make_job(5, pacing=ruled({"waves": [2, 2, 2]}))
    deliver(job, at=at(0, 9))
    postbox.rcpt = lambda address: None

    deliver(job, at=at(0, 10))  # both are due again, but the day is used up
    assert not postbox.received
    deliver(job, at=at(1, 9))
    assert postbox.addresses() == ["u1@example.com", "u2@example.com"]
    deliver(job, at=at(2, 9))
    assert len(postbox.received) == 4
    balanced(scope, job)


def test_a_domain_takes_its_rate_and_everybody_else_goes_on(
    scope: Scope, make_people: Callable[..., list[int]], make_job: MakeJob, deliver: Deliver, postbox: Postbox
) -> None:
    people = make_people(6)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE audiences_person SET email = replace(email, 'example.com', 'Slow.Example') WHERE id = ANY(%s)",
            [people[2:]],
        )
    job = make_job(6, people=people, pacing=ruled({"domainLimits": {"slow.example": 2}}))

    deliver(job, at=at(0, 9))
    assert len(postbox.received) == 3  # two elsewhere, one there
    assert [each.next_attempt_at for each in messages(job)[3:]] == [
        at(0, 9) + timedelta(seconds=30 * number) for number in (1, 2, 3)
    ]
    assert messages(job)[5].code == "domain_limit"

    sent = []
    for seconds in range(0, 121, 5):
        deliver(job, at=at(0, 9) + timedelta(seconds=seconds))
        sent.append(len(postbox.received))
    assert sent[5] == 3 and sent[6] == 4 and sent[12] == 5 and sent[18] == 6
    assert state(job) == "finished"
    balanced(scope, job)


def test_two_campaigns_share_what_a_domain_takes(
    scope: Scope, make_job: MakeJob, deliver: Deliver, postbox: Postbox
) -> None:
    rules = ruled({"domainLimits": {"example.com": 1}})
    first, second = make_job(1, pacing=rules), make_job(1, pacing=rules)

    deliver(first, at=at(0, 9))
    deliver(second, at=at(0, 9))

    assert counters(first) == {"accepted": 1} and counters(second) == {"deferred": 1}


def test_people_beyond_the_send_limit_are_cancelled_with_the_reason_and_the_books_close(
    scope: Scope, make_job: MakeJob, deliver: Deliver, postbox: Postbox
) -> None:
    job = make_job(5, {"no_consent": 2}, total_cap=3)
    assert counters(job) == {"excluded": 2, "pending": 3, "cancelled": 2}

    deliver(job, at=at(0, 9))

    assert counters(job) == {"excluded": 2, "accepted": 3, "cancelled": 2} and state(job) == "finished"
    balanced(scope, job)
    found = statements.rows("count_unclaimed", {"environment": scope.environment_id, "job": job.pk})
    assert found == [(True, 2)]


def test_a_send_limit_above_the_audience_changes_nothing(scope: Scope, make_job: MakeJob) -> None:
    assert counters(make_job(3, total_cap=3)) == {"pending": 3}


def test_cancelling_ends_people_who_wait_for_their_turn(
    scope: Scope, make_job: MakeJob, deliver: Deliver, postbox: Postbox
) -> None:
    job = make_job(2, pacing=ruled(OFFICE | {"zone": "recipient"}))
    zones(scope, "Asia/Tokyo", BERLIN)
    deliver(job, at=at(0, 9))

    with transaction.atomic():
        jobs.cancel(scope=scope, job=job, now=at(0, 10))
    finishing.settle(scope=scope, job_id=job.pk, now=at(0, 10))

    assert counters(job) == {"accepted": 1, "cancelled": 1} and state(job) == "cancelled"
    balanced(scope, job)


def test_people_who_wait_use_nothing_of_the_rate(scope: Scope, make_job: MakeJob, postbox: Postbox) -> None:
    job = make_job(40, pacing=ruled(OFFICE | {"zone": "recipient"}), rate_per_minute=60)
    zones(scope, *["Asia/Tokyo"] * 30)

    began = time.monotonic()

    engine.deliver(job_id=job.pk, seconds=1.5, clock=lambda: at(0, 9) + timedelta(seconds=time.monotonic() - began))

    assert counters(job)["deferred"] == 30  # alone they would have used half a minute
    assert 1 <= len(postbox.received) <= 4
