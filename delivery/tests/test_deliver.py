"""The engine against a real SMTP server: everybody once, every outcome named, the books closed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from audiences import facts
from audit import ledger
from delivery import deliver as engine
from delivery import jobs, leases, ringing, statements, windows
from delivery.models import Chunk, SendJob
from delivery.tests.conftest import Postbox, counters, messages, state
from projects.scoping import Actor, Scope
from webhooks.models import InboundEvent

pytestmark = pytest.mark.django_db
FIRST = windows.MICRO_BATCH_FIRST


def balanced(scope: Scope, job: SendJob) -> None:
    """Counters, ledger and rows say the same."""
    found = ledger.balance(scope=scope, job_id=job.pk)
    assert found.residual == 0
    assert {name: count for name, count in found.accounts.items() if count} == counters(job)


def test_everybody_gets_the_message_once_and_the_books_close(
    scope: Scope, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    job = make_job(700, {"no_consent": 3})

    deliver(job)

    assert postbox.addresses() == sorted(f"u{number}@example.com" for number in range(1, 701))
    assert counters(job) == {"excluded": 3, "accepted": 700}
    assert state(job) == "finished"
    balanced(scope, job)
    news = InboundEvent.objects.within(scope).filter(type="delivery.job_finished")
    assert news.count() == 1


def test_a_second_ring_sends_nothing(
    make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    job = make_job(20)
    deliver(job)
    deliver(job)
    assert len(postbox.received) == 20


def test_the_message_is_personal_and_can_be_unsubscribed_with_one_click(
    make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    deliver(make_job(1))

    (message,) = postbox.messages()
    assert message["Subject"] == "Hello U1"
    assert message["From"] == "Acme <hello@acme.example>"
    assert message["To"] == "u1@example.com"
    assert message["List-Unsubscribe"].startswith("<http://localhost:8000/u/")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text = message.get_body(("plain",))
    html = message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "Hi U1, look (https://acme.example/?u=u1@example.com)." in text.get_content()
    assert "Hi <strong>U1</strong>" in html.get_content()


def test_who_lost_eligibility_since_the_snapshot_is_left_out_late(
    scope: Scope,
    now: datetime,
    make_people: Callable[..., list[int]],
    make_job: Callable[..., SendJob],
    deliver: Callable[..., None],
    postbox: Postbox,
) -> None:
    people = make_people(5)
    job = make_job(5, people=people)
    later = now + timedelta(seconds=1)
    changes = [
        facts.Change(people[0], "unsubscribed.email", True, later, "evt_a"),
        facts.Change(people[1], "membership", "removed", later, "evt_b"),
        facts.Change(people[2], "consent.email", False, later, "evt_c"),
        facts.Change(people[3], "suppressed.email", "complaint", later, "evt_d"),
    ]
    with transaction.atomic():
        facts.apply(scope=scope, changes=changes, now=later)

    deliver(job)

    assert postbox.addresses() == ["u5@example.com"]
    assert counters(job) == {"excluded": 4, "accepted": 1}
    reasons = jobs.progress(scope=scope, job=job, now=now).excluded_by_reason
    assert reasons == {"late:unsubscribed": 1, "late:membership_lost": 1, "late:no_consent": 1, "late:suppressed": 1}
    assert ledger.balance(scope=scope, job_id=job.pk).excluded_by_reason == reasons
    balanced(scope, job)


def test_each_outcome_lands_in_its_account(
    scope: Scope, now: datetime, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    answers = {
        "u1@example.com": "550 5.1.1 No such mailbox",
        "u2@example.com": "451 4.7.1 Greylisted, come back",
        "u3@example.com": "552 5.2.2 Mailbox full",
    }
    postbox.rcpt = answers.get

    job = make_job(6)
    deliver(job)

    assert postbox.addresses() == ["u4@example.com", "u5@example.com", "u6@example.com"]
    assert counters(job) == {"accepted": 3, "deferred": 1, "rejected": 2}
    first, second, third, *_ = messages(job)
    assert (first.code, first.detail) == ("5.1.1", "550 No such mailbox")
    assert second.next_attempt_at == now + timedelta(minutes=1)
    assert third.code == "5.2.2"
    assert state(job) == "sending"  # one waits for its next attempt
    balanced(scope, job)


def test_a_mailbox_that_does_not_exist_is_suppressed_and_a_full_one_is_not(
    scope: Scope, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    postbox.rcpt = {"u1@example.com": "550 5.1.1 Unknown", "u2@example.com": "552 5.2.2 Full"}.get
    first = make_job(2)
    deliver(first)
    people = [message.person_id for message in messages(first)]

    postbox.rcpt = lambda address: None
    second = make_job(2, people=people)
    deliver(second)

    assert postbox.addresses() == ["u2@example.com"]
    assert counters(second) == {"excluded": 1, "accepted": 1}


def test_a_transient_refusal_is_tried_again_until_it_is_taken(
    scope: Scope, now: datetime, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    postbox.rcpt = lambda address: "451 4.7.1 Greylisted"
    job = make_job(3)
    deliver(job)
    assert counters(job) == {"deferred": 3}

    deliver(job, at=now + timedelta(seconds=30))
    assert not postbox.received, "not before it is due"
    postbox.rcpt = lambda address: None
    deliver(job, at=now + timedelta(seconds=61))

    assert len(postbox.received) == 3
    assert counters(job) == {"accepted": 3}
    assert {message.attempts for message in messages(job)} == {2}
    assert state(job) == "finished"
    balanced(scope, job)


def test_the_ladder_ends_in_failed(
    scope: Scope, now: datetime, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    postbox.rcpt = lambda address: "451 4.7.1 Greylisted"
    job = make_job(1)
    for day in range(10):
        deliver(job, at=now + timedelta(days=day))
    assert counters(job) == {"failed": 1}
    assert messages(job)[0].attempts == 7
    assert state(job) == "finished"
    balanced(scope, job)


def test_failed_ones_can_be_tried_again_by_an_operator(
    scope: Scope,
    actor: Actor,
    now: datetime,
    make_job: Callable[..., SendJob],
    deliver: Callable[..., None],
    postbox: Postbox,
) -> None:
    postbox.rcpt = lambda address: "451 4.7.1 Greylisted"
    job = make_job(2)
    for day in range(10):
        deliver(job, at=now + timedelta(days=day))
    postbox.rcpt = lambda address: None
    later = now + timedelta(days=11)

    with transaction.atomic():
        assert jobs.retry_failed(scope=scope, actor=actor, job=job, now=later) == 2
    assert state(job) == "sending"
    deliver(job, at=later)

    assert len(postbox.received) == 2
    assert counters(job) == {"accepted": 2}
    assert state(job) == "finished"
    balanced(scope, job)


def test_a_template_that_can_not_be_filled_fails_that_person_only(
    scope: Scope, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    from dataclasses import replace

    from delivery.tests.conftest import CONTENT

    job = make_job(3, content=replace(CONTENT, subject="{{ person.nothing }}"))
    deliver(job)
    assert counters(job) == {"failed": 3}
    assert messages(job)[0].code == "template"
    balanced(scope, job)


def test_pausing_stops_before_the_next_micro_batch_and_resuming_repeats_nobody(
    scope: Scope, now: datetime, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    job = make_job(1200)
    real = engine._hand_over

    def pausing(desk: Any, window: Any) -> Any:
        outcomes = real(desk, window)
        if len(postbox.received) >= 300 and state(job) == "sending":
            with transaction.atomic():
                jobs.pause(scope=scope, job=job, now=now)
        return outcomes

    engine._hand_over = pausing
    try:
        deliver(job)
    finally:
        engine._hand_over = real
    stopped = len(postbox.received)
    assert 300 <= stopped <= 300 + windows.MICRO_BATCH_MESSAGES
    assert counters(job) == {"accepted": stopped, "pending": 1200 - stopped}
    assert state(job) == "paused"

    with transaction.atomic():
        jobs.resume(scope=scope, job=job, now=now)
    deliver(job)

    assert len(set(postbox.addresses())) == len(postbox.received) == 1200
    assert state(job) == "finished"
    balanced(scope, job)


def test_cancelling_ends_with_everything_that_waited_cancelled(
    scope: Scope, now: datetime, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    postbox.rcpt = {"u1@example.com": "451 4.7.1 Later"}.get
    job = make_job(10)
    deliver(job)
    second = make_job(10)
    for each in (job, second):
        with transaction.atomic():
            jobs.cancel(scope=scope, job=each, now=now)
        assert each.pk not in ringing.due(now=now + timedelta(seconds=3))
        assert state(each) == "cancelled"
        balanced(scope, each)
    assert counters(job) == {"accepted": 9, "cancelled": 1}
    assert counters(second) == {"cancelled": 10}
    news = InboundEvent.objects.within(scope).filter(type="delivery.job_finished")
    assert news.count() == 2


def test_a_rate_limit_spreads_the_sending(make_job: Callable[..., SendJob], postbox: Postbox) -> None:
    job = make_job(100, rate_per_minute=600)
    engine.deliver(job_id=job.pk, seconds=1.5)
    assert 10 <= len(postbox.received) <= 40  # ten a second, and the burst of one second
    assert counters(job)["pending"] == 100 - len(postbox.received)


def test_a_worker_that_lost_its_lease_writes_nothing_and_its_window_is_uncertain(
    scope: Scope,
    actor: Actor,
    now: datetime,
    make_job: Callable[..., SendJob],
    deliver: Callable[..., None],
    postbox: Postbox,
) -> None:
    job = make_job(600)
    real = engine._hand_over
    lost: list[int] = []

    def slow(desk: Any, window: Any) -> Any:
        outcomes = real(desk, window)
        if not lost:
            lost.append(1)
            Chunk.objects.within(scope).filter(job=job).update(lease_until=now - timedelta(days=1))
            assert leases.expire(now=now) == FIRST
        return outcomes

    engine._hand_over = slow
    try:
        deliver(job)
    finally:
        engine._hand_over = real
    assert counters(job) == {"uncertain": FIRST, "pending": 600 - FIRST}
    assert messages(job)[0].code == "lease_lost"
    assert "stopped between hand-off and outcome" in messages(job)[0].detail

    deliver(job)
    assert counters(job) == {"uncertain": FIRST, "accepted": 600 - FIRST}
    assert len(set(postbox.addresses())) == len(postbox.received) == 600, "nobody was mailed twice"
    assert state(job) == "finished"
    balanced(scope, job)

    with transaction.atomic():
        resolved = jobs.resolve_uncertain(scope=scope, actor=actor, job=job, decision="accepted", now=now)
    assert resolved == FIRST
    assert counters(job) == {"accepted": 600}
    balanced(scope, job)


def test_uncertain_ones_can_be_sent_once_more_or_given_up(
    scope: Scope,
    actor: Actor,
    now: datetime,
    make_job: Callable[..., SendJob],
    deliver: Callable[..., None],
    postbox: Postbox,
) -> None:
    postbox.data = lambda server, envelope: "drop"
    job = make_job(2)
    deliver(job)
    assert counters(job) == {"uncertain": 2}
    postbox.data = lambda server, envelope: None

    with transaction.atomic():
        jobs.resolve_uncertain(scope=scope, actor=actor, job=job, decision="failed", now=now, positions=[1])
        jobs.resolve_uncertain(scope=scope, actor=actor, job=job, decision="resend", now=now, positions=[2])
    deliver(job)

    assert counters(job) == {"failed": 1, "accepted": 1}
    assert state(job) == "finished"
    balanced(scope, job)


def test_a_provider_that_is_down_holds_the_job_and_claims_nobody(
    scope: Scope, now: datetime, settings: Any, make_job: Callable[..., SendJob], deliver: Callable[..., None]
) -> None:
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    job = make_job(5)
    deliver(job)
    job.refresh_from_db()
    assert counters(job) == {"pending": 5}
    stuck = jobs.why_stuck(scope=scope, job=job, now=now)
    assert stuck is not None
    assert stuck.code == "provider_down"
    assert ringing.due(now=now + timedelta(seconds=3)) == []
    assert ringing.due(now=now + timedelta(seconds=30)) == [job.pk]


def test_a_copied_database_sends_no_production_mail(
    world: Any, settings: Any, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    deliver(make_job(1))
    settings.INSTALLATION_ID = "elsewhere"
    job = make_job(1)
    deliver(job)
    assert len(postbox.received) == 1
    assert counters(job) == {"pending": 1}
    deliver(make_job(1, within=world.sandbox))
    assert len(postbox.received) == 2


def test_sql_names_are_complete() -> None:
    """Every statement that the code names exists."""
    assert statements.rows("leases", {"environment": 1, "job": 1}) == [(0, 0)]
