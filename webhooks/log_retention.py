"""The log of requests that left has an age. What was published and whether it was taken stays for good."""

from datetime import datetime, timedelta

from django.conf import settings

from lamba_campaigns.lib import sql

ATTEMPTS_PER_STEP = 5_000
STEPS_MAX = 100  # of one call; the next ring goes on


def forget_attempts(*, now: datetime) -> int:
    """Delete attempts older than WEBHOOK_LOG_DAYS, a step in each transaction; how many."""
    values = {"before": now - timedelta(days=settings.WEBHOOK_LOG_DAYS), "limit": ATTEMPTS_PER_STEP}
    forgotten = 0
    for _ in range(STEPS_MAX):
        with sql.durable():
            step = sql.execute("webhooks", "forget_attempts", values)
        forgotten += step
        if step < ATTEMPTS_PER_STEP:
            break
    return forgotten
