"""Reconcile one campaign: balances, every kind of break, the score. Floor: plain GROUP BY over the same tables.

A message has up to three receipts, and the provider drops 1 %, takes 5 % twice and contradicts itself now and then. The
floor counts messages by account, receipts by type and postings by flow, and compares nothing.
"""

import argparse
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from django.db import connection, transaction

from audit import ledger, reconciliation
from audit.models import Break
from benchmarks._scope import new_scope
from benchmarks.result import Result
from benchmarks.stage import step
from campaigns import books_outside
from lamba_campaigns.lib import sql
from projects.scoping import Scope

SIZE = ("messages", 1_000_000)
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
LATER = BEGAN + timedelta(days=10)
JOB = 1
DROPPED, TWICE, AGAINST, BOUNCED = 100, 20, 1_000, 50  # every so-manieth message; offsets keep them apart
_SEED = """
INSERT INTO delivery_message (environment_id, job_id, position, person_id, account, rank, attempts, overlays,
                              settled_at, last_event_at, address, code, detail)
SELECT {env}, {job}, n, n,
       CASE WHEN n % {dropped} = 0 THEN 4 WHEN n % {bounced} = 1 THEN 7 ELSE 6 END, 60, 1, 0, {at}, {at},
       'person' || n || '@' || (ARRAY['mail', 'post', 'home'])[1 + n % 3] || '.example', '', ''
FROM generate_series(1, {size}) n;

INSERT INTO delivery_receipt (environment_id, event_id, type, job_id, position, message_id, recipient, code, detail,
                              occurred_at, received_at)
SELECT {env}, kind || n, 'message.' || kind, {job}, n, '', '', '', '', {at} + delay, {at} + delay
FROM generate_series(1, {size}) n
CROSS JOIN LATERAL (VALUES ('accepted', interval '1 second', n % {dropped} <> 0),
                           ('delivered', interval '2 seconds', n % {dropped} <> 0 AND n % {bounced} <> 1),
                           ('bounced', interval '2 seconds', n % {bounced} = 1),
                           ('failed', interval '3 seconds', n % {against} = 7)) told (kind, delay, said)
WHERE said
ORDER BY n;

INSERT INTO delivery_receipt (environment_id, event_id, type, job_id, position, message_id, recipient, code, detail,
                              occurred_at, received_at)
SELECT {env}, 'again' || n, 'message.accepted', {job}, n, '', '', '', '', {at} + interval '5 s', {at} + interval '5 s'
FROM generate_series(3, {size}, {twice}) n;

INSERT INTO audit_ledgerentry (environment_id, job_id, posting_key, source, target, quantity, reason, occurred_at,
                               batch_id)
SELECT {env}, {job}, 'c' || n || ':' || step, step, step + 1 + (step = 3)::int, least(250, {size} - n), '', {at}, 0
FROM generate_series(0, {size} - 1, 250) n, (VALUES (2), (3)) steps (step);

INSERT INTO audit_ledgerentry (environment_id, job_id, posting_key, source, target, quantity, reason, occurred_at,
                               batch_id)
SELECT {env}, {job}, 'r' || n, 5, CASE WHEN n % {bounced} = 1 THEN 8 ELSE 7 END, 1, 'message.delivered', {at}, 0
FROM generate_series(1, {size}) n WHERE n % {dropped} <> 0;
"""
_FLOOR = (
    "SELECT account, count(*) FROM delivery_message WHERE environment_id = %s AND job_id = %s GROUP BY 1",
    "SELECT type, count(*) FROM delivery_receipt WHERE environment_id = %s AND job_id = %s GROUP BY 1",
    "SELECT source, target, reason, sum(quantity) FROM audit_ledgerentry WHERE environment_id = %s AND job_id = %s "
    "GROUP BY 1, 2, 3",
)


def measure(size: int, options: argparse.Namespace) -> Result:
    scope = new_scope(f"reconcile-{size}")
    with step(f"{size:,} messages with receipts and postings"):
        _seed(scope, size)
    with step("plain GROUP BY"):
        floor = min(_floor(scope) for _ in range(2))
    with step("reconciled"):
        began = time.perf_counter()
        found = _reconcile(scope)
        seconds = time.perf_counter() - began
    floor = min(floor, _floor(scope))
    checks = _checks(scope, size, found)
    return Result("messages/s", size, size / seconds, size / floor, checks, {}, {"seconds": round(seconds, 3)})


def _seed(scope: Scope, size: int) -> None:
    with transaction.atomic():
        ledger.open_book(
            scope=scope, job_id=JOB, subject="cmp_bench", planned=size, pending=size, excluded={}, now=BEGAN
        )
    # from accepted (its number in the ledger) everything goes on, as the last statement of _SEED says
    text = _SEED.format(
        env=scope.environment_id,
        job=JOB,
        size=size,
        at=f"'{BEGAN.isoformat()}'::timestamptz",
        dropped=DROPPED,
        twice=TWICE,
        against=AGAINST,
        bounced=BOUNCED,
    )
    with connection.cursor() as cursor:
        cursor.execute(text)
        for table in ("delivery_message", "delivery_receipt", "audit_ledgerentry"):
            cursor.execute(f"VACUUM ANALYZE {table}")


def _floor(scope: Scope) -> float:
    began = time.perf_counter()
    with connection.cursor() as cursor:
        for statement in _FLOOR:
            cursor.execute(statement, [scope.environment_id, JOB])
            cursor.fetchall()
    return time.perf_counter() - began


def _reconcile(scope: Scope) -> reconciliation.Reconciliation:
    """As campaigns.completion does it, on a campaign of which only the job is read."""
    job = SimpleNamespace(pk=JOB, created_at=BEGAN, finished_at=BEGAN)
    campaign: Any = SimpleNamespace(job=job, channel="email", topic=None)
    with sql.durable():
        outside = books_outside.of_job(scope=scope, campaign=campaign, now=LATER)
        return reconciliation.reconcile(
            scope=scope,
            job_id=JOB,
            subject="cmp_bench",
            evidence=outside.evidence,
            others=outside.findings,
            now=LATER,
        )


def _checks(scope: Scope, size: int, found: reconciliation.Reconciliation) -> dict[str, bool]:
    numbers = range(1, size + 1)
    silent = sum(n % DROPPED == 0 for n in numbers)
    again = len(range(3, size + 1, TWICE))
    against = sum(n % AGAINST == 7 for n in numbers)
    expected = {"missing_terminal": silent, "duplicate_send": again, "state_conflict": against}
    rows = Break.objects.within(scope).filter(job_id=JOB, state="open")
    accounts = {name: count for name, count in found.balance.accounts.items() if count}
    bounced = sum(n % BOUNCED == 1 for n in numbers)
    return {
        "the books sum to the plan": found.residual == 0,
        "balances are exact": accounts
        == {"accepted": silent, "bounced": bounced, "delivered": size - silent - bounced},
        "each break is exact": {row.type: row.quantity for row in rows} == expected,
        "the score is exact": found.score
        == reconciliation.score(planned=size, residual=0, differing=sum(expected.values())),
    }
