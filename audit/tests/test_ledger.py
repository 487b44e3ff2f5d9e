"""The ledger: any postings, in any order, any number of times, and the accounts still sum to the plan."""

from datetime import datetime
from itertools import pairwise

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import ledger, reconciliation, sealing
from audit.chain import Subject
from audit.ledger import ACCOUNTS, Posting
from audit.models import AuditEntry, Book, Break, LedgerBatch, LedgerEntry
from audit.reconciliation import BooksStayOpen
from conftest import World
from lamba_campaigns.lib.errors import NotFound
from lamba_campaigns.lib.sql import NoTransaction
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db

PLANNED, EXCLUDED = 100, {"no_consent": 6, "suppressed": 4}
postings = st.lists(
    st.builds(
        Posting,
        key=st.text("abcdefgh", min_size=1, max_size=3),
        source=st.sampled_from(ACCOUNTS),
        target=st.sampled_from(ACCOUNTS),
        quantity=st.integers(1, 50),
        reason=st.sampled_from(["", "late"]),
    ).filter(lambda posting: posting.source != posting.target),
    max_size=20,
)


def open_book(scope: Scope, now: datetime, job_id: int = 1) -> None:
    with transaction.atomic():
        ledger.open_book(
            scope=scope, job_id=job_id, subject="cmp_1", planned=PLANNED, pending=90, excluded=EXCLUDED, now=now
        )


def post(scope: Scope, now: datetime, *given: Posting, job_id: int = 1) -> list[str]:
    with transaction.atomic():
        return ledger.post_new(scope=scope, job_id=job_id, postings=given, now=now)


def test_a_new_book_holds_what_was_planned(scope: Scope, now: datetime) -> None:
    open_book(scope, now)
    open_book(scope, now)

    found = ledger.balance(scope=scope, job_id=1)
    assert (found.planned, found.residual, found.accounts["pending"]) == (100, 0, 90)
    assert found.accounts["excluded"] == 10 and found.excluded_by_reason == EXCLUDED
    assert Book.objects.within(scope).count() == 1


def test_only_new_postings_count(scope: Scope, now: datetime) -> None:
    open_book(scope, now)
    claim = Posting("claim:1", "pending", "in_flight", 30)

    assert post(scope, now, claim, Posting("claim:2", "pending", "in_flight", 5), claim) == ["claim:1", "claim:2"]
    assert post(scope, now, claim, Posting("sent:1", "in_flight", "accepted", 30)) == ["sent:1"]
    assert post(scope, now, claim) == []
    found = ledger.balance(scope=scope, job_id=1)
    assert (found.accounts["in_flight"], found.accounts["accepted"], found.open) == (5, 30, 60)
    assert (found.handed_over, found.residual) == (30, 0)


def test_late_exclusions_keep_their_reason(scope: Scope, now: datetime) -> None:
    open_book(scope, now)
    post(scope, now, Posting("late:1", "pending", "excluded", 3, "unsubscribed"))
    assert ledger.balance(scope=scope, job_id=1).excluded_by_reason == {**EXCLUDED, "unsubscribed": 3}


def test_one_key_in_two_jobs_or_environments_is_two_postings(world: World, now: datetime) -> None:
    for scope, job_id in ((world.production, 1), (world.production, 2), (world.sandbox, 1)):
        open_book(scope, now, job_id)
        assert post(scope, now, Posting("a", "pending", "failed", 1), job_id=job_id) == ["a"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_postings=postings, cuts=st.lists(st.integers(0, 20), max_size=3), again=st.randoms())
def test_any_postings_conserve_and_repeats_change_nothing(
    scope: Scope, now: datetime, given_postings: list[Posting], cuts: list[int], again: object
) -> None:
    with transaction.atomic():
        open_book(scope, now)
        edges = sorted({0, len(given_postings), *(cut for cut in cuts if cut < len(given_postings))})
        new = [key for start, end in pairwise(edges) for key in post(scope, now, *given_postings[start:end])]
        before = ledger.balance(scope=scope, job_id=1)

        repeated = list(given_postings)
        again.shuffle(repeated)  # type: ignore[attr-defined]
        assert post(scope, now, *repeated) == []

        found = ledger.balance(scope=scope, job_id=1)
        assert found == before and found.residual == 0
        assert sum(found.accounts.values()) == PLANNED
        assert sum(found.excluded_by_reason.values()) == found.accounts["excluded"]
        first = {posting.key: posting for posting in reversed(given_postings)}
        assert sorted(new) == sorted(first), "each key once, and the first posting of it counts"
        for account in ACCOUNTS:
            start = {"pending": 90, "excluded": 10}.get(account, 0)
            moved = sum(
                posting.quantity * ((posting.target == account) - (posting.source == account))
                for posting in first.values()
            )
            assert found.accounts[account] == start + moved
        transaction.set_rollback(True)


def test_posting_needs_the_callers_transaction(scope: Scope, now: datetime, transactional_db: None) -> None:
    with pytest.raises(NoTransaction):
        ledger.post(scope=scope, job_id=1, postings=[], now=now)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_ledgerentry SET quantity = 1",
        "DELETE FROM audit_ledgerentry",
        "DELETE FROM audit_ledgerbatch",
        "UPDATE audit_ledgerbatch SET entry_count = 9",
    ],
)
def test_the_ledger_is_append_only(scope: Scope, now: datetime, change: str) -> None:
    open_book(scope, now)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def test_batches_are_sealed_into_the_chain_once(scope: Scope, now: datetime) -> None:
    open_book(scope, now)
    post(scope, now, Posting("a", "pending", "failed", 1))

    assert sealing.environments_to_seal() == [scope.environment_id]
    found = sealing.seal(scope=scope, now=now)
    assert found is not None and (found.batch_count, found.entry_count) == (2, 4)
    assert sealing.seal(scope=scope, now=now) is None and sealing.environments_to_seal() == []
    entry = AuditEntry.objects.get(action="ledger.sealed")
    assert entry.after == {"batches": 2, "entries": 4, "digest": bytes(found.digest).hex()}
    assert LedgerBatch.objects.within(scope).filter(seal=found).count() == 2
    assert LedgerEntry.objects.count() == 4


# --- reconciliation -------------------------------------------------------------------------------------------------
def reconcile(
    scope: Scope, now: datetime, evidence: dict[str, dict[str, int]] | None = None
) -> reconciliation.Reconciliation:
    with transaction.atomic():
        return reconciliation.reconcile(scope=scope, job_id=1, subject="cmp_1", evidence=evidence or {}, now=now)


def test_agreeing_records_balance(scope: Scope, now: datetime) -> None:
    open_book(scope, now)
    found = reconcile(scope, now, {"messages": {"pending": 90, "excluded": 10}, "metering": {"handed_over": 0}})

    assert found.balances and (found.residual, found.breaks, found.score) == (0, 0, 100)
    book = Book.objects.within(scope).get()
    assert (book.residual, book.score, book.accounts["pending"]) == (0, 100, 90)


def test_a_difference_opens_one_break_follows_it_and_closes_it(scope: Scope, now: datetime) -> None:
    open_book(scope, now)
    assert reconcile(scope, now, {"messages": {"pending": 88}, "metering": {"handed_over": 3}}).score == 95
    assert reconcile(scope, now, {"messages": {"pending": 85}, "metering": {"handed_over": 3}}).breaks == 2

    rows = Break.objects.within(scope).order_by("pk").values_list("type", "source", "account", "quantity")
    assert list(rows) == [
        ("count_mismatch", "messages", "pending", 5),
        ("metering_drift", "metering", "handed_over", 3),
    ]
    assert reconcile(scope, now, {"messages": {"pending": 90}, "metering": {"handed_over": 0}}).balances
    states = Break.objects.within(scope).values_list("state", "resolved_by", "reason").distinct()
    assert list(states) == [("resolved", "system", "The difference is gone.")]


def test_an_overdrawn_account_is_a_break(scope: Scope, now: datetime) -> None:
    open_book(scope, now)
    post(scope, now, Posting("a", "in_flight", "accepted", 7))
    (finding,) = reconcile(scope, now).findings
    assert (finding.type, finding.account, finding.quantity) == ("negative_balance", "in_flight", 7)


def test_an_explained_difference_stays_closed_until_it_changes(scope: Scope, actor: Actor, now: datetime) -> None:
    open_book(scope, now)
    (finding,) = reconcile(scope, now, {"messages": {"pending": 88}}).findings
    with transaction.atomic():
        reconciliation.resolve(
            scope=scope, actor=actor, break_id=finding.public_id, reason="Two were removed by hand.", now=now
        )

    assert reconcile(scope, now, {"messages": {"pending": 88}}).balances
    assert reconcile(scope, now, {"messages": {"pending": 87}}).breaks == 1


def test_books_close_once_and_only_when_nothing_is_open(scope: Scope, now: datetime) -> None:
    open_book(scope, now)
    subject = Subject("campaign", "cmp_1", "Spring")
    with pytest.raises(BooksStayOpen, match="90 messages have no outcome"), transaction.atomic():
        reconciliation.close(scope=scope, job_id=1, subject=subject, now=now)

    post(scope, now, Posting("all", "pending", "delivered", 90))
    for _ in range(2):
        with transaction.atomic():
            assert reconciliation.close(scope=scope, job_id=1, subject=subject, now=now).closed_at == now
    assert AuditEntry.objects.filter(action="books.closed").count() == 1


def test_a_book_of_elsewhere_is_not_there(world: World, now: datetime) -> None:
    open_book(world.production, now)
    with pytest.raises(NotFound):
        reconcile(world.sandbox, now)
