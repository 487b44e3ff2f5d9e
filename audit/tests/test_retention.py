"""What a plan keeps no longer loses its content; numbers and hashes stay, and the chain says what was taken."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from audit import chain, checkpoints, export, offline_verifier, retention, tasks, trail
from audit.models import AuditEntry, Chain, EntryLabel
from audit.verify import verify_chain
from lamba_campaigns.lib import sql
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db(transaction=True)


def write(scope: Scope, actor: Actor, now: datetime, count: int) -> None:
    for number in range(count):
        with transaction.atomic():
            chain.record(
                scope=scope,
                actor=actor,
                action="campaign.updated",
                subject=chain.Subject("campaign", f"cmp_{number}", "Spring"),
                now=now,
                after={"name": f"private {number}"},
            )


@pytest.fixture
def aged(scope: Scope, actor: Actor, now: datetime) -> Chain:
    """Three old decisions under a checkpoint of that day, then two new ones."""
    write(scope, actor, now - timedelta(days=100), 3)
    row = Chain.objects.get(key=chain.chain_key(scope=scope))
    checkpoints.sign(chain_id=row.pk, now=now - timedelta(days=100))
    write(scope, actor, now, 2)
    return row


def test_old_contents_go_and_the_chain_stays_whole(aged: Chain, scope: Scope, actor: Actor, now: datetime) -> None:
    assert retention.apply(chain_id=aged.pk, days=90, now=now) == 3

    report = verify_chain(key=aged.key)
    assert (report.ok, report.entries, report.emptied) == (True, 7, 3)
    gone = AuditEntry.objects.filter(sequence__lte=3)
    assert {(row.canonical, row.actor_id, row.subject_id, row.reason) for row in gone} == {(None, "", "", "")}
    assert not EntryLabel.objects.filter(entry__sequence__lte=3).exists()
    entry = AuditEntry.objects.get(action="retention.applied")
    assert entry.after == {"from": 1, "through": 3, "days": 90}
    shown = trail.entries(scope=scope, wanted=trail.Wanted()).order_by("sequence")
    assert [row.sequence for row in shown] == [5, 6, 7]


def test_a_second_run_finds_nothing_to_do(aged: Chain, now: datetime) -> None:
    retention.apply(chain_id=aged.pk, days=90, now=now)
    assert retention.apply(chain_id=aged.pk, days=90, now=now) == 0
    assert AuditEntry.objects.filter(action="retention.applied").count() == 1


def test_a_run_that_died_goes_on(aged: Chain, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ENTRIES_PER_STEP", 1)
    steps = iter([None, None])

    def die(*args: Any, **given: Any) -> Any:
        if next(steps, "dead") == "dead":
            raise RuntimeError
        return real(*args, **given)

    real = sql.execute
    monkeypatch.setattr(sql, "execute", die)
    with pytest.raises(RuntimeError):
        retention.apply(chain_id=aged.pk, days=90, now=now)
    monkeypatch.setattr(sql, "execute", real)

    assert verify_chain(key=aged.key).ok, "half way is a state like any other"
    retention.apply(chain_id=aged.pk, days=90, now=now)
    assert verify_chain(key=aged.key).emptied == 3


def test_what_is_young_or_unsigned_stays(aged: Chain, now: datetime) -> None:
    assert retention.apply(chain_id=aged.pk, days=110, now=now) == 0
    assert not AuditEntry.objects.filter(action="retention.applied").exists()


def test_an_emptied_entry_that_no_retention_announced_is_a_break(aged: Chain, now: datetime) -> None:
    retention.apply(chain_id=aged.pk, days=90, now=now)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE audit_auditentry SET canonical = NULL WHERE sequence = 6")
        cursor.execute("SET session_replication_role = origin")
    flaw = verify_chain(key=aged.key).flaw
    assert flaw is not None and (flaw.kind, flaw.sequence) == ("removed", 6)


@pytest.mark.parametrize(
    "change",
    [
        "canonical = NULL",
        "canonical = NULL, hash = content_hash",
        "reason = 'other'",
        "canonical = NULL, actor_id = '', reason = 'kept'",
    ],
)
def test_nothing_else_of_an_entry_can_be_changed(aged: Chain, change: str) -> None:
    with pytest.raises(IntegrityError), connection.cursor() as cursor:
        cursor.execute("UPDATE audit_auditentry SET " + change + " WHERE sequence = 2")  # noqa: S608


def test_an_export_of_an_emptied_chain_verifies(
    aged: Chain, scope: Scope, actor: Actor, now: datetime, tmp_path: Any
) -> None:
    retention.apply(chain_id=aged.pk, days=90, now=now)
    path = tmp_path / "trail.ndjson"
    path.write_text("".join(export.ndjson_lines(scope=scope, actor=actor, wanted=trail.Wanted(), now=now)))
    found = offline_verifier.verify_file(str(path))
    assert (found.flaw, found.withheld, found.entries) == (None, 3, 8) and "private 2" not in path.read_text()


def test_the_plan_says_how_long(aged: Chain, now: datetime) -> None:
    assert retention.days_of(aged, now) == 90, "the free plan's"
    assert retention.days_of(Chain(key="platform"), now) == retention.DAYS_WITHOUT_PLAN
    tasks.apply_retention()
    assert verify_chain(key=aged.key).emptied == 3
