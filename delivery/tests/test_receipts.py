"""Receipts: any order and any repetition ends in the same balance, and what they mean for people is done at once."""

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from audit import ledger
from delivery import evidence, receipts, tokens
from delivery.accounts import Account, Rank
from delivery.merging import TYPES, Fact, Standing, merge
from delivery.models import ConsentEvent, JobCounters, Message, Receipt, SendJob, Suppression
from delivery.tests.conftest import Postbox, counters, messages, state
from projects.scoping import Actor, Scope
from webhooks import catalog
from webhooks.models import OutboxEvent
from webhooks.registry import Event, NotYet

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
Tell = Callable[..., int]


def event(scope: Scope, job: SendJob, position: int, kind: str, minute: int = 1, **data: str) -> Event:
    mark = tokens.token(environment_id=scope.environment_id, job_id=job.pk, position=position)
    moment = T0 + timedelta(minutes=minute)
    details = {"messageId": f"<{mark}@acme.example>", "recipient": "u@example.com", **data}
    return Event(f"evt_{job.pk}_{position}_{kind}_{minute}", f"message.{kind}", moment, moment, details, "provider")


@pytest.fixture
def tell(scope: Scope) -> Tell:
    """tell(events) -> how many were new, in a transaction of their own as the queue gives them one."""

    def record(events: Sequence[Event], where: Scope | None = None) -> int:
        with transaction.atomic():
            return receipts.record(scope=where or scope, events=events, now=T0 + timedelta(hours=1))

    return record


# --- the merge alone ------------------------------------------------------------------------------------------------
MOMENTS = st.integers(0, 5).map(lambda minute: T0 + timedelta(minutes=minute))
KINDS = st.sampled_from(sorted(TYPES))
FACTS = st.lists(st.tuples(KINDS, MOMENTS), max_size=7)
STARTS = st.sampled_from(
    [
        Standing(Account.ACCEPTED, Rank.ACCEPTED, T0, 0, False, "", ""),
        Standing(Account.UNCERTAIN, Rank.UNKNOWN, T0, 0, False, "", ""),
        Standing(Account.DEFERRED, Rank.UNKNOWN, T0, 0, True, "", ""),
        Standing(Account.REJECTED, Rank.FINAL, T0 + timedelta(minutes=2), 0, False, "", ""),
        Standing(Account.CANCELLED, Rank.CLOSED, T0, 0, False, "", ""),
    ]
)


@given(start=STARTS, facts=FACTS, data=st.data())
def test_any_order_and_repetition_of_facts_ends_the_same(start: Standing, facts: Any, data: Any) -> None:
    told = [Fact(TYPES[kind][0], TYPES[kind][1], moment, TYPES[kind][2]) for kind, moment in facts]
    again = data.draw(st.permutations(told + told[: data.draw(st.integers(0, len(told)))]))
    one, other = merge(start, told), merge(start, again)
    assert (one.account, one.rank, one.settled_at, one.overlays) == (
        other.account,
        other.rank,
        other.settled_at,
        other.overlays,
    )


@pytest.mark.parametrize(
    ("told", "account"),
    [
        (["deferred", "delivered"], Account.DELIVERED),
        (["delivered", "bounced"], Account.BOUNCED),
        (["bounced", "delivered"], Account.BOUNCED),
        (["opened"], Account.DELIVERED),
        (["complained", "failed"], Account.FAILED),
        (["accepted", "deferred", "accepted"], Account.DEFERRED),
    ],
)
def test_the_fact_that_knows_more_stands(told: list[str], account: Account) -> None:
    start = Standing(Account.ACCEPTED, Rank.ACCEPTED, T0, 0, False, "", "")
    facts = [Fact(*TYPES[f"message.{kind}"][:2], T0 + timedelta(minutes=number)) for number, kind in enumerate(told, 1)]
    assert merge(start, facts).account is account


# --- with the books -------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_every_order_and_duplication_of_receipts_closes_the_same_books(
    scope: Scope, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox, tell: Tell
) -> None:
    told = [(1, "deferred", 1), (1, "delivered", 2), (1, "bounced", 3), (2, "failed", 2), (2, "delivered", 4)]
    ends = set()
    for order in itertools.islice(itertools.permutations(told), 0, 120, 17):
        job = make_job(3)
        deliver(job)
        events = [event(scope, job, *each) for each in order]
        for one in events:
            assert tell([one]) == 1
        assert tell(events) == 0, "a second time changes nothing"
        rows = tuple((message.account, message.rank, message.settled_at) for message in messages(job))[:2]
        ends.add((rows, tuple(sorted(counters(job).items()))))
        balance = ledger.balance(scope=scope, job_id=job.pk)
        assert balance.residual == 0
        assert {name: count for name, count in balance.accounts.items() if count} == counters(job)
        assert evidence.messages(scope=scope, job=job) == balance.accounts
    assert len(ends) == 1
    assert dict(ends.pop()[1]) == {"accepted": 1, "bounced": 1, "failed": 1}


@pytest.mark.django_db
def test_a_batch_moves_many_and_is_published_once(
    scope: Scope, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox, tell: Tell
) -> None:
    job = make_job(50)
    deliver(job)
    assert tell([event(scope, job, position, "delivered") for position in range(1, 51)]) == 50
    assert counters(job) == {"delivered": 50}
    published = OutboxEvent.objects.within(scope).filter(type="message.delivered")
    assert published.count() == 1


@pytest.mark.django_db
def test_a_receipt_of_a_message_in_flight_waits(
    scope: Scope, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox, tell: Tell
) -> None:
    job = make_job(1)
    deliver(job)
    Message.objects.filter(job_id=job.pk).update(account=Account.IN_FLIGHT, rank=Rank.CLAIMED)
    with pytest.raises(NotYet):
        tell([event(scope, job, 1, "delivered")])
    assert not Receipt.objects.exists()


@pytest.mark.django_db
def test_a_receipt_settles_an_uncertain_message_and_stops_a_retry(
    scope: Scope, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox, tell: Tell
) -> None:
    postbox.data = lambda server, envelope: "drop"
    job = make_job(1)
    deliver(job)
    assert counters(job) == {"uncertain": 1}
    tell([event(scope, job, 1, "accepted")])
    assert counters(job) == {"accepted": 1}

    postbox.data = lambda server, envelope: "451 4.3.0 Later"
    second = make_job(1)
    deliver(second)
    assert counters(second) == {"deferred": 1}
    tell([event(scope, second, 1, "delivered")])
    assert counters(second) == {"delivered": 1}
    assert messages(second)[0].next_attempt_at is None
    deliver(second)
    assert state(second) == "finished"


@pytest.mark.django_db
def test_an_operators_giving_up_yields_to_a_receipt(
    scope: Scope,
    actor: Actor,
    now: datetime,
    make_job: Callable[..., SendJob],
    deliver: Callable[..., None],
    postbox: Postbox,
    tell: Tell,
) -> None:
    from delivery import jobs

    postbox.data = lambda server, envelope: "drop"
    job = make_job(1)
    deliver(job)
    with transaction.atomic():
        jobs.resolve_uncertain(scope=scope, actor=actor, job=job, decision="failed", now=now)
    tell([event(scope, job, 1, "delivered")])
    assert counters(job) == {"delivered": 1}


@pytest.mark.django_db
def test_complaints_and_hard_bounces_suppress_the_address_and_soft_bounces_do_not(
    scope: Scope,
    make_people: Callable[..., list[int]],
    make_job: Callable[..., SendJob],
    deliver: Callable[..., None],
    postbox: Postbox,
    tell: Tell,
) -> None:
    people = make_people(5)
    job = make_job(5, people=people)
    deliver(job)
    tell(
        [
            event(scope, job, 1, "complained", detail="abuse"),
            event(scope, job, 2, "bounced", code="5.1.1"),
            event(scope, job, 3, "bounced", code="4.2.2"),
            event(scope, job, 4, "unsubscribed"),
        ]
    )
    assert counters(job) == {"accepted": 1, "bounced": 2, "delivered": 2}
    row = JobCounters.objects.within(scope).get(pk=job.pk)
    assert (row.complained, row.unsubscribed) == (1, 1)
    reasons = Suppression.objects.within(scope).values_list("address", "reason").order_by("address")
    assert list(reasons) == [("u1@example.com", "complaint"), ("u2@example.com", "hard_bounce")]
    assert ConsentEvent.objects.filter(action="unsubscribed", how="receipt").count() == 1

    postbox.received.clear()
    deliver(make_job(5, people=people))
    assert postbox.addresses() == ["u3@example.com", "u5@example.com"]


@pytest.mark.django_db
def test_five_soft_bounces_in_a_row_end_it_and_a_delivery_in_between_does_not(
    scope: Scope,
    make_people: Callable[..., list[int]],
    make_job: Callable[..., SendJob],
    deliver: Callable[..., None],
    postbox: Postbox,
    tell: Tell,
) -> None:
    people = make_people(2)
    for turn in range(1, 6):
        assert not Suppression.objects.within(scope).exists()
        job = make_job(2, people=people)
        deliver(job)
        tell(
            [
                event(scope, job, 1, "bounced", turn, code="4.2.2", detail="Full"),
                event(scope, job, 2, "delivered" if turn == 3 else "bounced", turn, code="4.2.2"),
            ]
        )
    (row,) = Suppression.objects.within(scope)
    assert (row.address, row.reason, row.detail) == ("u1@example.com", "hard_bounce", "Bounced 5 times in a row. Full")


@pytest.mark.django_db
def test_receipts_that_match_nothing_here_are_kept_and_move_nothing(
    world: Any,
    scope: Scope,
    make_job: Callable[..., SendJob],
    deliver: Callable[..., None],
    postbox: Postbox,
    tell: Tell,
) -> None:
    job = make_job(1)
    deliver(job)
    strange = Event("evt_strange", "message.delivered", T0, T0, {"messageId": "<x@elsewhere.example>"}, "provider")
    assert tell([strange]) == 1
    assert tell([event(scope, job, 1, "delivered")], world.sandbox) == 1, "of another environment"
    assert evidence.unmatched(scope=scope) == 1
    assert evidence.unmatched(scope=world.sandbox) == 1
    assert counters(job) == {"accepted": 1}
    assert evidence.foreign_rows() == 0


def test_types_are_exactly_the_receipts_of_the_catalogue() -> None:
    known = {kind.name for kind in catalog.every() if kind.name.startswith("message.")}
    assert set(TYPES) == known
