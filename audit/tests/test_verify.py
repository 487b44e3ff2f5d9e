"""Every way to tamper with the history, tried as a superuser, is named by the verifier."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from audit import chain, checkpoints, ledger, sealing
from audit.models import AuditEntry, Chain, EntryLabel
from audit.verify import verify_chain
from audit.verify_ledger import verify_ledger
from lamba_campaigns.lib.canonical import canonical_bytes
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db

CONSTRAINTS = ("audit_chain_has_no_second_entry_of_a_number", "audit_chain_does_not_fork")


@pytest.fixture
def key(scope: Scope, actor: Actor, now: datetime) -> str:
    """A chain of five decisions and one checkpoint at the fourth (the checkpoint's own entry is the fifth)."""
    for number in range(1, 5):
        write(scope, actor, number, now)
    checkpoints.sign(chain_id=Chain.objects.get(key=chain.chain_key(scope=scope)).pk, now=now)
    write(scope, actor, 6, now)
    return chain.chain_key(scope=scope)


def write(scope: Scope, actor: Actor, number: int, now: datetime) -> AuditEntry:
    with transaction.atomic():
        return chain.record(
            scope=scope,
            actor=actor,
            action="campaign.updated",
            subject=chain.Subject("campaign", f"cmp_{number}", f"Campaign {number}"),
            now=now + timedelta(seconds=number),
            before={"name": "old"},
            after={"name": "new", "share": 0.5},
        )


@contextmanager
def superuser() -> Iterator[Any]:
    """Triggers are off and the constraints of the chain are gone, as for somebody who owns the database."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for name in CONSTRAINTS:
            cursor.execute(f"ALTER TABLE audit_auditentry DROP CONSTRAINT {name}")
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        cursor.execute("SET LOCAL session_replication_role = origin")


def rehash(cursor: Any, sequence: int) -> None:
    """What a careful forger does: make the changed entry consistent in itself."""
    entry = AuditEntry.objects.get(sequence=sequence)
    changes = {"before": entry.before, "after": entry.after}
    said = chain.content({**vars(entry), **changes}, commitment=chain.commitment(*_label(entry)))
    canonical = canonical_bytes(said)
    content_hash = hashlib.sha256(canonical).digest()
    link = chain.link_hash(bytes(entry.previous_hash), sequence, content_hash)
    cursor.execute(
        "UPDATE audit_auditentry SET canonical = %s, content_hash = %s, hash = %s WHERE id = %s",
        [canonical, content_hash, link, entry.pk],
    )


def _label(entry: AuditEntry) -> tuple[bytes, dict[str, str]]:
    label = EntryLabel.objects.get(entry=entry)
    return bytes(label.salt), chain.label_words(label.actor_label, label.actor_ip, label.subject_name)


def test_an_untouched_chain_is_whole(key: str) -> None:
    report = verify_chain(key=key)
    assert (report.ok, report.entries, report.checkpoints, report.erased) == (True, 6, 1, 0)


def test_a_chain_without_entries_is_whole() -> None:
    assert verify_chain(key="environment:0").ok


COPY = """
INSERT INTO audit_auditentry (public_id, chain_id, sequence, previous_hash, content_hash, hash, canonical,
    environment_id, workspace_public_id, project_public_id, environment_name, actor_kind, actor_id, origin, action,
    subject_type, subject_id, trace_id, reason, outcome, occurred_at)
SELECT 'ent_forged', chain_id, {sequence}, previous_hash, content_hash, hash, canonical,
    environment_id, workspace_public_id, project_public_id, environment_name, actor_kind, actor_id, origin, action,
    subject_type, subject_id, trace_id, reason, outcome, occurred_at
FROM audit_auditentry WHERE sequence = {source}
"""
NAMES = (
    "INSERT INTO audit_entrylabel SELECT id, '\\x00', '', '', '' FROM audit_auditentry WHERE public_id = 'ent_forged'"
)
HEAD_OF = "UPDATE audit_chain SET head = (SELECT hash FROM audit_auditentry WHERE sequence = {0}), sequence = {0}"


def copy(cursor: Any, *, sequence: int, source: int) -> None:
    cursor.execute(COPY.format(sequence=sequence, source=source))
    cursor.execute(NAMES)


def edit_column(cursor: Any) -> None:
    cursor.execute("UPDATE audit_auditentry SET actor_id = 'usr_9' WHERE sequence = 3")


def edit_content(cursor: Any) -> None:
    cursor.execute("UPDATE audit_auditentry SET canonical = canonical || ' ' WHERE sequence = 3")


def edit_and_rehash(cursor: Any) -> None:
    cursor.execute("UPDATE audit_auditentry SET actor_id = 'usr_9' WHERE sequence = 3")
    rehash(cursor, 3)


def edit_the_last_and_rehash(cursor: Any) -> None:
    cursor.execute("UPDATE audit_auditentry SET actor_id = 'usr_9' WHERE sequence = 6")
    rehash(cursor, 6)


def edit_names(cursor: Any) -> None:
    cursor.execute(
        "UPDATE audit_entrylabel SET actor_label = 'Mallory' "
        "WHERE entry_id = (SELECT id FROM audit_auditentry WHERE sequence = 2)"
    )


def rewrite_everything_from_the_third_on(cursor: Any) -> None:
    cursor.execute("UPDATE audit_auditentry SET actor_id = 'usr_9' WHERE sequence = 3")
    for number in range(3, 7):
        rehash(cursor, number)
        cursor.execute(
            "UPDATE audit_auditentry SET previous_hash = (SELECT hash FROM audit_auditentry WHERE sequence = %s) "
            "WHERE sequence = %s",
            [number, number + 1],
        )
    cursor.execute(HEAD_OF.format(6))


def remove(cursor: Any) -> None:
    cursor.execute("DELETE FROM audit_auditentry WHERE sequence = 3")


def remove_the_first(cursor: Any) -> None:
    cursor.execute("DELETE FROM audit_auditentry WHERE sequence = 1")


def remove_and_renumber(cursor: Any) -> None:
    cursor.execute("DELETE FROM audit_auditentry WHERE sequence = 3")
    cursor.execute("UPDATE audit_auditentry SET sequence = sequence - 1 WHERE sequence > 3")
    cursor.execute("UPDATE audit_chain SET sequence = sequence - 1")


def insert(cursor: Any) -> None:
    cursor.execute("UPDATE audit_auditentry SET sequence = sequence + 100 WHERE sequence >= 3")
    cursor.execute("UPDATE audit_auditentry SET sequence = sequence - 99 WHERE sequence > 100")
    copy(cursor, sequence=3, source=4)
    rehash(cursor, 3)


def append_behind_the_head(cursor: Any) -> None:
    copy(cursor, sequence=7, source=6)
    cursor.execute(
        "UPDATE audit_auditentry SET previous_hash = (SELECT hash FROM audit_auditentry WHERE sequence = 6) "
        "WHERE sequence = 7"
    )
    rehash(cursor, 7)


def reorder(cursor: Any) -> None:
    cursor.execute("UPDATE audit_auditentry SET sequence = 5 - sequence WHERE sequence IN (2, 3)")


def fork(cursor: Any) -> None:
    copy(cursor, sequence=3, source=3)


def truncate(cursor: Any) -> None:
    cursor.execute("DELETE FROM audit_auditentry WHERE sequence = 6")


def truncate_and_move_the_head(cursor: Any) -> None:
    cursor.execute("DELETE FROM audit_auditentry WHERE sequence > 3")
    cursor.execute(HEAD_OF.format(3))


def forge_a_checkpoint(cursor: Any) -> None:
    cursor.execute("UPDATE audit_checkpoint SET signature = decode(repeat('00', 64), 'hex')")


@pytest.mark.parametrize(
    ("tamper", "kind", "sequence"),
    [
        (edit_column, "edited", 3),
        (edit_content, "edited", 3),
        (edit_and_rehash, "edited", 3),
        (edit_the_last_and_rehash, "edited", 6),
        (edit_names, "edited", 2),
        (rewrite_everything_from_the_third_on, "edited", 4),
        (remove, "removed", 3),
        (remove_the_first, "removed", 1),
        (remove_and_renumber, "removed", 3),
        (insert, "inserted", 3),
        (append_behind_the_head, "inserted", 7),
        (reorder, "reordered", 2),
        (fork, "forked", 3),
        (truncate, "truncated", 6),
        (truncate_and_move_the_head, "truncated", 4),
        (forge_a_checkpoint, "forged", 4),
    ],
)
def test_the_first_break_is_named(key: str, tamper: Callable[[Any], None], kind: str, sequence: int) -> None:
    with superuser() as cursor:
        tamper(cursor)

    flaw = verify_chain(key=key).flaw
    assert flaw is not None and (flaw.kind, flaw.sequence) == (kind, sequence)


def test_erasing_the_names_of_an_entry_leaves_the_chain_whole(key: str) -> None:
    EntryLabel.objects.filter(entry__sequence=2).delete()

    report = verify_chain(key=key)
    assert (report.ok, report.erased) == (True, 1)


@pytest.fixture
def sealed(scope: Scope, now: datetime) -> Scope:
    with transaction.atomic():
        ledger.open_book(
            scope=scope, job_id=1, subject="cmp_1", planned=10, pending=9, excluded={"no_consent": 1}, now=now
        )
        ledger.post(scope=scope, job_id=1, postings=[ledger.Posting("a", "pending", "in_flight", 4)], now=now)
    assert sealing.seal(scope=scope, now=now) is not None
    with transaction.atomic():
        ledger.post(scope=scope, job_id=1, postings=[ledger.Posting("b", "in_flight", "accepted", 4)], now=now)
    return scope


def test_an_untouched_ledger_is_whole(sealed: Scope) -> None:
    report = verify_ledger(scope=sealed)
    assert (report.ok, report.postings, report.batches, report.unsealed) == (True, 4, 3, 1)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("UPDATE audit_ledgerentry SET quantity = 5 WHERE posting_key = 'a'", "edited"),
        ("DELETE FROM audit_ledgerentry WHERE posting_key = 'open'", "removed"),
        ("DELETE FROM audit_ledgerbatch WHERE seal_id IS NOT NULL AND entry_count = 1", "inserted"),
        ("UPDATE audit_ledgerbatch SET seal_id = NULL WHERE entry_count = 1", "removed"),
        ("DELETE FROM audit_ledgerseal", "removed"),
        ("UPDATE audit_ledgerseal SET digest = decode(repeat('00', 32), 'hex')", "edited"),
        (
            "INSERT INTO audit_ledgerentry SELECT environment_id, job_id, 'x', source, target, quantity, reason, "
            "occurred_at, batch_id FROM audit_ledgerentry WHERE posting_key = 'a'",
            "inserted",
        ),
    ],
)
def test_a_changed_ledger_is_named(sealed: Scope, change: str, kind: str) -> None:
    with superuser() as cursor:
        cursor.execute(change)

    flaw = verify_ledger(scope=sealed).flaw
    assert flaw is not None and flaw.kind == kind


def test_the_command_says_ok_and_exits_with_1_on_a_break(
    key: str, scope: Scope, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("audit_verify", environment=scope.path, json=True)
    assert '"ok": true' in capsys.readouterr().out

    with superuser() as cursor:
        remove(cursor)
    with pytest.raises(CommandError, match="tampered") as failed:
        call_command("audit_verify")
    assert failed.value.returncode == 1
    assert "removed at 3" in capsys.readouterr().out


def test_the_command_refuses_an_unknown_environment(db: None) -> None:
    with pytest.raises(CommandError) as failed:
        call_command("audit_verify", environment="no/such/place")
    assert failed.value.returncode == 2
