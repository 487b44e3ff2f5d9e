"""What rings again when a doorbell was lost. Each sweep reads a partial index of campaigns that must move."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q

from audit import reconciliation
from audit.models import Book
from campaigns import books_outside, completion, launch
from campaigns.books_outside import SETTLEMENT
from campaigns.models import Campaign, State
from delivery.models import JobState
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.sql import durable
from projects.access import scope_by_id

RECONCILE_AGAIN: Final = timedelta(minutes=1)
REVIEWED_FOR: Final = timedelta(days=60)  # a receipt that comes later than that is found by the next report
BATCH_MAX: Final = 100  # campaigns moved by one ring
log = logging.getLogger(__name__)


def ring_launches(*, now: datetime) -> None:
    """Scheduled campaigns that are due are launching afterwards; launching ones that nobody holds are rung for."""
    due = Campaign.objects.across_environments("the schedule serves every environment").filter(
        state=State.SCHEDULED, scheduled_at__lte=now
    )
    for row in due.order_by("scheduled_at")[:BATCH_MAX]:
        _alone(row, lambda row=row: launch.fire(scope=scope_by_id(row.environment_id), campaign_id=row.pk, now=now))  # type: ignore[misc]
    free = Q(launch_lease_until=None) | Q(launch_lease_until__lte=now)
    waiting = Campaign.objects.across_environments("a lost doorbell may be anybody's").filter(
        free, state=State.LAUNCHING
    )
    for row in waiting.order_by("updated_at")[:BATCH_MAX]:
        launch.ring(row)


def settle_finished(*, now: datetime) -> None:
    """Campaigns whose job ended or stopped are in the state that the job is in."""
    lost = Campaign.objects.across_environments("a lost event may be anybody's").filter(
        Q(
            state__in=[State.SENDING, State.PAUSING, State.PAUSED, State.CANCELLING],
            job__state__in=[JobState.FINISHED, JobState.CANCELLED],
        )
        | Q(state__in=[State.PAUSING, State.SENDING], job__state=JobState.PAUSED)
    )
    for row in lost.select_related("job").order_by("updated_at")[:BATCH_MAX]:
        _alone(row, lambda row=row: _follow(row, now))  # type: ignore[misc]


def close_books(*, now: datetime) -> None:
    """Ended campaigns whose last open message got an outcome have closed books. Looks at each once a minute."""
    waiting = Campaign.objects.across_environments("books wait in every environment").filter(
        finished_at__isnull=False, books_closed_at=None, job__isnull=False
    )
    for row in waiting.order_by("finished_at")[:BATCH_MAX]:
        if _worth_closing(row, now):
            _alone(row, lambda row=row: _close(row, now))  # type: ignore[misc]


def review_books(*, now: datetime) -> None:
    """Closed books that something came to since, or whose time to hear from the outside just ended."""
    where = {"now": now, "settlement": SETTLEMENT, "since": now - REVIEWED_FOR, "most": BATCH_MAX}
    for environment_id, subject in sql.rows("campaigns", "books_to_review", where):
        row = Campaign.objects.across_environments("the sweep serves them all").get(
            environment_id=environment_id, public_id=subject
        )
        _alone(row, lambda row=row: _review(row, now))  # type: ignore[misc]


def review_environments(*, now: datetime) -> None:
    """What came in and belongs to no job stands as a difference of its environment."""
    for (environment_id,) in sql.rows("campaigns", "environments_to_review"):
        scope = scope_by_id(environment_id)
        others = books_outside.of_environment(scope=scope)
        with durable():
            reconciliation.note(scope=scope, others=others, now=now)


def _review(row: Campaign, now: datetime) -> None:
    with durable():
        completion.review(scope=scope_by_id(row.environment_id), campaign_id=row.public_id, now=now)


def _worth_closing(row: Campaign, now: datetime) -> bool:
    book = Book.objects.across_environments("one row by its job").filter(job_id=row.job_id).first()
    return book is not None and (book.reconciled_at is None or book.reconciled_at <= now - RECONCILE_AGAIN)


def _close(row: Campaign, now: datetime) -> None:
    with durable():
        completion.close_late(scope=scope_by_id(row.environment_id), campaign_id=row.public_id, now=now)


def _follow(row: Campaign, now: datetime) -> None:
    scope = scope_by_id(row.environment_id)
    with durable():
        if row.job.state == JobState.PAUSED:
            completion.settle_pause(scope=scope, campaign_id=row.public_id, reason="", now=now)
        else:
            completion.settle(scope=scope, campaign_id=row.public_id, now=now)


def _alone(row: Campaign, work: Callable[[], None]) -> None:
    """One campaign's fault never stops the others; the next ring tries it again."""
    try:
        work()
    except Exception:
        log.exception("campaign %s was not moved", row.public_id)
