"""Runs over Lamba's members. The row holds the cursor, so a run goes on where it stopped, whoever works on it.

A page's members and the cursor after it commit together. A claim is a lease with a number: work that comes late writes
nothing. Nothing talks to Lamba inside a transaction.
"""

import random
import time
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError
from django.db.models import F, QuerySet

from audiences.backfill import connection as connections
from audiences.backfill import members
from audiences.backfill.client import Client, Page, Refused, Throttled, Unreachable
from audiences.models import BackfillRun
from audiences.models.backfill import CURSOR_LENGTH_MAX
from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, NotFound
from projects.access import scope_by_id
from projects.scoping import SYSTEM, Actor, Scope

LEASE: Final = timedelta(minutes=2)  # longer than a page may take
STEP_SECONDS: Final = 20.0  # of one task
FAILURES_MAX: Final = 8  # in a row
BACKOFF_SECONDS_FIRST, BACKOFF_SECONDS_MAX = 5, 600
RESTARTS_MAX: Final = 3
PROBLEMS_KEPT_MAX: Final = 50
FORGOTTEN_CURSOR: Final = (400, 404, 410, 422)
State = BackfillRun.State
_OPEN: Final = (State.QUEUED, State.RUNNING)


def start(*, scope: Scope, actor: Actor, now: datetime) -> BackfillRun:
    """Queue a run over everybody. Conflict while another one is open."""
    connections.get(scope=scope)
    try:
        with sql.durable():
            run = BackfillRun.objects.create(
                environment_id=scope.environment_id, due_at=now, created_at=now, created_by=actor.label[:200],
                created_by_id=actor.id[:64],
            )  # fmt: skip
            _record(scope, actor, "backfill.started", run, now)
            return run
    except IntegrityError:
        raise Conflict(
            "Lamba's members are being read already.", next_step="Wait for that run, or cancel it first."
        ) from None


def get(*, scope: Scope, public_id: str) -> BackfillRun:
    found: BackfillRun | None = BackfillRun.objects.within(scope).filter(public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such run in this environment.")
    return found


def cancel(*, scope: Scope, actor: Actor, public_id: str, now: datetime) -> BackfillRun:
    """No page after the current one is read. What was read stays: it is as true as an event."""
    with sql.durable():
        rows = BackfillRun.objects.within(scope).filter(public_id=public_id, state__in=_OPEN)
        stopped = rows.update(state=State.CANCELLED, finished_at=now)
        run = get(scope=scope, public_id=public_id)
        if not stopped:
            raise Conflict(f"This run is {run.get_state_display().lower()}: there is nothing left to stop.")
        _record(scope, actor, "backfill.cancelled", run, now, {"pages": run.page_count, "members": run.member_count})
        return run


def due(*, now: datetime) -> list[int]:
    """Ids of runs that a worker should go on with."""
    rows = BackfillRun.objects.across_environments("the sweep serves every environment")
    return list(rows.filter(state__in=_OPEN, due_at__lte=now).order_by("due_at").values_list("pk", flat=True)[:100])


def work(*, run_id: int, now: datetime) -> bool:
    """Read pages for a while; whether more are due at once. Does nothing when the run is over, or somebody has it."""
    run = _claim(run_id, now)
    if run is None:
        return False
    scope, began = scope_by_id(run.environment_id), time.monotonic()
    access = connections.get(scope=scope)
    with Client(scope=scope, connection=access) as client:
        if not run.page_count:
            connections.refresh_sms(scope=scope, connection=access, client=client, now=now)
        while time.monotonic() - began < STEP_SECONDS:
            moment = now + timedelta(seconds=time.monotonic() - began)
            if not _step(scope, run, client, moment):
                return False
            run.refresh_from_db()
    return bool(_mine(run).update(due_at=now))


def _claim(run_id: int, now: datetime) -> BackfillRun | None:
    rows = BackfillRun.objects.across_environments("one row by its primary key").filter(pk=run_id)
    with sql.durable():
        claimed = rows.filter(state__in=_OPEN, due_at__lte=now).update(
            state=State.RUNNING, due_at=now + LEASE, claim_count=F("claim_count") + 1
        )
    found: BackfillRun | None = rows.first() if claimed else None
    return found


def _step(scope: Scope, run: BackfillRun, client: Client, now: datetime) -> bool:
    """One page; whether the next one is due at once."""
    try:
        page = client.members(cursor=run.cursor)
        if page.next_cursor and (page.next_cursor == run.cursor or len(page.next_cursor) > CURSOR_LENGTH_MAX):
            raise Refused("Lamba gave a cursor that leads nowhere: the same one twice, or one too long.", status=200)
    except Throttled as wait:
        _wait(run, now + timedelta(seconds=wait.seconds * random.uniform(1.0, 1.1)), str(wait))  # noqa: S311
        return False
    except Unreachable as problem:
        _retry(scope, run, str(problem), now)
        return False
    except Refused as refusal:
        return _refused(scope, run, refusal, now)
    return _keep(scope, run, page, now)


def _keep(scope: Scope, run: BackfillRun, page: Page, now: datetime) -> bool:
    """The page's people and the next cursor, together; nothing if the claim is no longer ours."""
    last = not page.next_cursor
    with sql.durable():
        moved = _mine(run).update(
            cursor=page.next_cursor, page_count=F("page_count") + 1, failure_count=0, problem="", due_at=now + LEASE
        )
        if not moved:
            return False
        created, problems = members.apply(scope=scope, run=run, page=page, now=now)
        _mine(run).update(
            member_count=F("member_count") + len(page.items) - len(problems),
            created_count=F("created_count") + created,
            unreadable_count=F("unreadable_count") + len(problems),
            problems=[*run.problems, *problems][:PROBLEMS_KEPT_MAX],
        )
        if last:
            _finish(scope, run, State.DONE, now, "")
    return not last


def _refused(scope: Scope, run: BackfillRun, refusal: Refused, now: datetime) -> bool:
    """A cursor that Lamba forgot: from the beginning, which changes nobody twice. Anything else ends the run."""
    if run.cursor and refusal.status in FORGOTTEN_CURSOR and run.restart_count < RESTARTS_MAX:
        with sql.durable():
            note = f"Page {run.page_count + 1}: {refusal} The list was read from its beginning again."
            return bool(
                _mine(run).update(
                    cursor="", restart_count=F("restart_count") + 1, due_at=now + LEASE, page_count=0, member_count=0,
                    unreadable_count=0,
                    problems=[*run.problems, note[:300]][:PROBLEMS_KEPT_MAX],
                )
            )  # fmt: skip
    with sql.durable():
        _finish(scope, run, State.FAILED, now, str(refusal))
    return False


def _retry(scope: Scope, run: BackfillRun, problem: str, now: datetime) -> None:
    if run.failure_count + 1 >= FAILURES_MAX:
        with sql.durable():
            _finish(scope, run, State.FAILED, now, f"{problem} It was tried {FAILURES_MAX} times in a row.")
        return
    pause = min(BACKOFF_SECONDS_FIRST * 2**run.failure_count, BACKOFF_SECONDS_MAX) * random.uniform(0.8, 1.2)  # noqa: S311
    _wait(run, now + timedelta(seconds=pause), problem, failed=1)


def _wait(run: BackfillRun, due_at: datetime, problem: str, failed: int = 0) -> None:
    _mine(run).update(due_at=due_at, problem=problem[:500], failure_count=F("failure_count") + failed)


def _finish(scope: Scope, run: BackfillRun, state: str, now: datetime, problem: str) -> None:
    if _mine(run).update(state=state, finished_at=now, problem=problem[:500]):
        run.refresh_from_db()
        after = {"state": state, "pages": run.page_count, "members": run.member_count, "created": run.created_count}
        _record(scope, SYSTEM, "backfill.finished", run, now, after | {"unreadable": run.unreadable_count})


def _mine(run: BackfillRun) -> QuerySet[Any]:
    """The run, while it is open and our claim is the latest."""
    rows: QuerySet[Any] = BackfillRun.objects.across_environments("one row by its primary key")
    return rows.filter(pk=run.pk, state=State.RUNNING, claim_count=run.claim_count)


def _record(
    scope: Scope, actor: Actor, action: str, run: BackfillRun, now: datetime, after: dict[str, Any] | None = None
) -> None:
    chain.record(
        scope=scope, actor=actor, action=action, subject=chain.Subject("backfill", run.public_id), now=now, after=after
    )
