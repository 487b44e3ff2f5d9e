"""The doorbells: they find the work in Postgres, and a ring too many changes nothing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from delivery import ringing, tasks
from delivery.models import Chunk, SendJob
from delivery.tests.conftest import Postbox, counters, state
from projects.scoping import Scope

pytestmark = pytest.mark.django_db


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Job ids that somebody rang for, instead of a broker."""
    found: list[int] = []
    monkeypatch.setattr(tasks, "ring", found.append)
    return found


def test_the_sweep_rings_once_for_each_missing_worker(
    now: datetime, make_job: Callable[..., SendJob], rung: list[int]
) -> None:
    small, large = make_job(10), make_job(5000)
    tasks.ring_jobs()
    assert sorted(rung) == sorted([small.pk] + [large.pk] * ringing.WORKERS_PER_JOB_MAX)
    tasks.ring_jobs()
    assert len(rung) == 5, "not again within two seconds"


def test_a_job_at_work_is_rung_for_what_is_missing_only(
    scope: Scope, now: datetime, make_job: Callable[..., SendJob]
) -> None:
    job = make_job(2000)
    Chunk.objects.within(scope).filter(job=job, number=1).update(state=1, lease_until=datetime.now(UTC))
    assert ringing.due(now=now) == [job.pk]
    assert ringing.due(now=now + timedelta(seconds=1)) == []


def test_the_task_delivers_and_may_run_twice(
    make_job: Callable[..., SendJob], rung: list[int], postbox: Postbox
) -> None:
    job = make_job(5)
    for _ in range(2):
        tasks.deliver(job_id=job.pk, unknown="of a newer release")
    assert len(postbox.received) == 5
    assert counters(job) == {"accepted": 5}
    assert state(job) == "finished"
    assert rung == []
    tasks.deliver(job_id=999_999)
    tasks.expire_leases()


def test_a_job_for_nobody_finishes_by_the_sweep(
    now: datetime, make_job: Callable[..., SendJob], rung: list[int]
) -> None:
    job = make_job(0, {"no_consent": 2})
    assert ringing.due(now=now) == []
    assert state(job) == "finished"
    assert counters(job) == {"excluded": 2}
