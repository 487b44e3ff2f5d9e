"""Rings for a task after a commit. A ring is a hint: the beat sweep finds the same rows when it is lost."""

import logging
import threading
import time

from celery import current_app
from django.db import transaction

RING_SECONDS = 0.2  # at most one ring per task and process in this time; the sweep catches what falls between
EXPIRES_SECONDS = 30

_log = logging.getLogger(__name__)
_last: dict[str, float] = {}
_lock = threading.Lock()


def ring_after_commit(task: str) -> None:
    """Ring once the caller's transaction has committed; nothing on rollback."""
    transaction.on_commit(lambda: ring(task))


def ring(task: str) -> None:
    """Ask the workers to run `task` now. Never raises: without a broker the sweep does it seconds later."""
    if not _due(task):
        return
    try:
        current_app.send_task(task, queue="webhooks", expires=EXPIRES_SECONDS, retry=False)
    except Exception as problem:  # every transport has its own errors, and none of them may undo a committed row
        _log.warning("The doorbell of %s did not ring: %s", task, problem)


def _due(task: str) -> bool:
    moment = time.monotonic()
    with _lock:
        if moment - _last.get(task, -RING_SECONDS) < RING_SECONDS:
            return False
        _last[task] = moment
        return True
