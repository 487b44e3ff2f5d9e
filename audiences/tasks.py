"""Doorbells. Each finds its work in Postgres, may run twice, and may be lost."""

import logging
from typing import Any

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from audiences import imports
from audiences.backfill import runs

RING_EXPIRES_SECONDS = 30
_log = logging.getLogger(__name__)


@shared_task(name="audiences.tasks.ring_imports")
def ring_imports(**_: Any) -> int:
    """Ring for every waiting import; drop files that nobody needs any more."""
    imports.forget_files(now=timezone.now())
    found = imports.waiting()
    for run_id in found:
        run_import.apply_async(kwargs={"run_id": run_id}, expires=RING_EXPIRES_SECONDS)
    return len(found)


@shared_task(name="audiences.tasks.run_import")
def run_import(*, run_id: int, **_: Any) -> None:
    """Work on one import."""
    imports.run(run_id=run_id, now=timezone.now())


def ring_import(run_id: int) -> None:
    _ring(run_import, run_id)


def ring_backfill(run_id: int) -> None:
    _ring(run_backfill, run_id)


def _ring(task: Any, run_id: int) -> None:
    """Ring after the commit. A broker that is down costs seconds: the sweep rings again."""

    def ring() -> None:
        try:
            task.apply_async(kwargs={"run_id": run_id}, expires=RING_EXPIRES_SECONDS, retry=False)
        except Exception as problem:  # every transport has its own errors, and none may undo a stored row
            _log.warning("The doorbell %s of run %s did not ring: %s", task.name, run_id, problem)

    transaction.on_commit(ring)


@shared_task(name="audiences.tasks.ring_backfills")
def ring_backfills(**_: Any) -> int:
    """Ring for every run over Lamba's members that is due."""
    found = runs.due(now=timezone.now())
    for run_id in found:
        run_backfill.apply_async(kwargs={"run_id": run_id}, expires=RING_EXPIRES_SECONDS)
    return len(found)


@shared_task(name="audiences.tasks.run_backfill")
def run_backfill(*, run_id: int, **_: Any) -> None:
    """Read pages for a while, then ring again."""
    if runs.work(run_id=run_id, now=timezone.now()):
        run_backfill.apply_async(kwargs={"run_id": run_id}, expires=RING_EXPIRES_SECONDS)
