"""Doorbells. Each finds its own work in Postgres, may run twice, and may be lost."""

import time
from typing import Any

from celery import shared_task
from django.utils import timezone

from webhooks import log_retention, process, sender

TASK_SECONDS_MAX = 20.0  # then the next ring goes on


@shared_task(name="webhooks.tasks.process_events")
def process_events(**_: Any) -> int:
    """Process stored events until none is due."""
    started, total = time.monotonic(), 0
    while (claimed := process.run(now=timezone.now())) and time.monotonic() - started < TASK_SECONDS_MAX:
        total += claimed
    return total + claimed


@shared_task(name="webhooks.tasks.send_deliveries")
def send_deliveries(**_: Any) -> int:
    """Send due deliveries until none is due."""
    return sender.drain(seconds=TASK_SECONDS_MAX)


@shared_task(name="webhooks.tasks.forget_attempts")
def forget_attempts(**_: Any) -> int:
    """Forget requests that left longer ago than the log is kept."""
    return log_retention.forget_attempts(now=timezone.now())
