"""record(): one entry per decision, in the caller's transaction, in a chain that can't fork."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import DatabaseError

from audit import chain, refusals
from audit.actions import ACTIONS, label, sentence
from audit.models import AuditEntry, Chain
from audit.verify import verify_chain
from conftest import World
from lamba_campaigns.lib.errors import Conflict, DomainError, NotFound
from projects.scoping import Actor, Scope

THREADS, RECORDS = 8, 25


def write(scope: Scope | None, actor: Actor, now: datetime, **given: Any) -> AuditEntry:
    options: dict[str, Any] = {"action": "campaign.launched", "subject": chain.Subject("campaign", "cmp_1", "Spring")}
    with transaction.atomic():
        return chain.record(scope=scope, actor=actor, now=now, **(options | given))


@pytest.mark.django_db
class TestRecord:
    def test_an_entry_follows_from_the_one_before(self, scope: Scope, actor: Actor, now: datetime) -> None:
        first, second = write(scope, actor, now), write(scope, actor, now)

        assert (first.sequence, bytes(first.previous_hash)) == (1, chain.GENESIS)
        assert (second.sequence, bytes(second.previous_hash)) == (2, bytes(first.hash))
        head = Chain.objects.get(key=chain.chain_key(scope=scope))
        assert (head.sequence, bytes(head.head)) == (2, bytes(second.hash))

    def test_it_vanishes_with_the_callers_transaction(self, scope: Scope, actor: Actor, now: datetime) -> None:
        with transaction.atomic():
            write(scope, actor, now)
            transaction.set_rollback(True)
        assert not AuditEntry.objects.exists() and not Chain.objects.exists()

    def test_environments_workspaces_and_the_platform_have_chains_of_their_own(
        self, world: World, actor: Actor, now: datetime
    ) -> None:
        entries = [
            write(world.production, actor, now),
            write(world.sandbox, actor, now),
            write(None, actor, now, workspace_id=world.workspace.pk),
            write(None, actor, now),
        ]
        assert [entry.sequence for entry in entries] == [1, 1, 1, 1]
        assert [entry.workspace_public_id for entry in entries] == [*[world.workspace.public_id] * 3, ""]
        assert [entry.environment_name for entry in entries] == ["production", "sandbox", "", ""]

    def test_an_unknown_action_is_a_bug(self, scope: Scope, actor: Actor, now: datetime) -> None:
        with pytest.raises(AssertionError, match="no action"):
            write(scope, actor, now, action="campaign.exploded")

    def test_secrets_and_addresses_never_enter(self, scope: Scope, actor: Actor, now: datetime) -> None:
        after = {
            "apiKey": "lmb_live_abc",
            "note": "use lmb_live_0123456789ab_x or write to ada@example.com",
            "nested": [{"webhook_secret": "whsec_123", "address": "bob@example.com"}],
            "big": 2**60,
            "kept": {1, 2},
        }
        entry = write(scope, actor, now, after=after, reason="asked by eve@example.com")

        assert entry.after == {
            "apiKey": "[secret]",
            "note": "use [secret] or write to [address]",
            "nested": [{"webhook_secret": "[secret]", "address": "[address]"}],
            "big": str(2**60),
            "kept": [1, 2],
        }
        for word in (b"example.com", b"whsec", b"lmb_live", b"Alice", b"127.0.0.1", b"Spring"):
            assert word not in bytes(entry.canonical or b"")

    def test_a_huge_change_is_kept_as_its_digest(self, scope: Scope, actor: Actor, now: datetime) -> None:
        entry = write(scope, actor, now, after={"text": "x" * 20_000})
        assert entry.after is not None and entry.after["shortened"] is True and len(entry.after["sha256"]) == 64

    @pytest.mark.parametrize("change", ["UPDATE audit_auditentry SET reason = 'x'", "DELETE FROM audit_auditentry"])
    def test_entries_are_append_only(self, scope: Scope, actor: Actor, now: datetime, change: str) -> None:
        write(scope, actor, now)
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)

    def test_an_entry_of_one_environment_cannot_stand_in_the_chain_of_another(
        self, world: World, actor: Actor, now: datetime
    ) -> None:
        write(world.production, actor, now)
        other = write(world.sandbox, actor, now)
        other.pk, other.public_id, other.sequence, other.previous_hash = None, "ent_strange", 99, b"strange"
        other.chain = Chain.objects.get(key=chain.chain_key(scope=world.production))
        with pytest.raises(IntegrityError, match="chain_scope"), transaction.atomic():
            other.save()


@pytest.mark.django_db
class TestRefusals:
    def attempt(self, scope: Scope, actor: Actor, now: datetime, error: Exception) -> None:
        subject = chain.Subject("campaign", "cmp_1", "Spring")
        with (
            refusals.recording(scope=scope, actor=actor, action="campaign.launched", subject=subject, now=now),
            transaction.atomic(),
        ):
            write(scope, actor, now)
            raise error

    def test_a_refusal_outlives_the_rollback(self, scope: Scope, actor: Actor, now: datetime) -> None:
        with pytest.raises(Conflict):
            self.attempt(scope, actor, now, Conflict("It is sending."))

        entry = AuditEntry.objects.get()
        assert (entry.outcome, entry.reason) == ("refused", "It is sending.")
        assert entry.after == {"errorCode": "CONFLICT", "status": 409}

    @pytest.mark.parametrize("error", [NotFound("Nothing here."), RuntimeError("a bug")])
    def test_what_was_not_there_and_bugs_are_no_refusals(
        self, scope: Scope, actor: Actor, now: datetime, error: Exception
    ) -> None:
        with pytest.raises((DomainError, RuntimeError)):
            self.attempt(scope, actor, now, error)
        assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_reads_well_done_and_refused(action: str) -> None:
    assert sentence(action)[0].islower() and label(action)[0].isupper()
    verb = sentence(action, "refused").split()[2]
    assert not verb.endswith("ed"), f"{action}: could not {verb}"


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("campaign.paused", "could not pause the campaign"),
        ("campaign.cancelled", "could not cancel the campaign"),
        ("snapshot.taken", "could not take a snapshot of the audience"),
        ("signed_out", "could not sign out"),
    ],
)
def test_a_refused_action_in_words(action: str, words: str) -> None:
    assert sentence(action, "refused") == words


@pytest.fixture
def committed(transactional_db: None, world: World) -> World:
    return world


def race(scope: Scope, actor: Actor, now: datetime) -> tuple[int, int]:
    """(written, refused by a constraint) of THREADS times RECORDS concurrent entries."""

    def work(_: int) -> int:
        written = 0
        for _ in range(RECORDS):
            try:
                write(scope, actor, now)
            except IntegrityError:
                continue
            written += 1
        connection.close()
        return written

    with ThreadPoolExecutor(THREADS) as pool:
        written = sum(pool.map(work, range(THREADS)))
    return written, THREADS * RECORDS - written


@pytest.mark.django_db(transaction=True)
def test_the_chain_cannot_fork_under_threads(committed: World, actor: Actor, now: datetime) -> None:
    scope = committed.production
    assert race(scope, actor, now) == (THREADS * RECORDS, 0)

    report = verify_chain(key=chain.chain_key(scope=scope))
    assert (report.ok, report.entries) == (True, THREADS * RECORDS)


@pytest.fixture
def unlocked(committed: World) -> Iterator[None]:
    """The database function that appends, without its lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef('audit_append'::regproc)")
        locked = cursor.fetchone()[0]
        assert locked.count("FOR UPDATE") == 1
        cursor.execute(locked.replace("FOR UPDATE", ""))
        yield
        cursor.execute(locked)


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_writers_collide(
    committed: World, unlocked: None, actor: Actor, now: datetime
) -> None:
    scope = committed.production
    write(scope, actor, now)

    written, collided = race(scope, actor, now)

    assert collided > 0, "the lock is what the test before proves"
    report = verify_chain(key=chain.chain_key(scope=scope))
    assert (report.flaw is None or report.flaw.kind != "forked") and report.entries <= written + 1
