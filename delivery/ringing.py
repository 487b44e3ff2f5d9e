"""Which jobs need a worker now: one ring for each worker that is missing, never more than a few for one job."""

from datetime import datetime, timedelta

from delivery import finishing, statements
from delivery.models import JobState, SendJob
from lamba_campaigns.lib.sql import durable
from projects.access import scope_by_id

WORKERS_PER_JOB_MAX = 4
JOBS_AT_ONCE_MAX = 200
RING_AGAIN = timedelta(seconds=2)


def due(*, now: datetime) -> list[int]:
    """Job ids to ring, one entry for each worker wanted. Jobs without work are moved to the state they reached."""
    with durable():
        found = statements.rows("jobs_to_ring", {"now": now, "workers": WORKERS_PER_JOB_MAX, "jobs": JOBS_AT_ONCE_MAX})
        ids = [row[0] for row in found]
        SendJob.objects.across_environments("the sweep serves all").filter(pk__in=ids).update(
            next_ring_at=now + RING_AGAIN
        )
    rings: list[int] = []
    for job_id, environment_id, state, working, chunks, retries in found:
        wanted = min(WORKERS_PER_JOB_MAX - working, chunks + retries) if state == JobState.SENDING else 0
        rings += [job_id] * max(0, wanted)
        if wanted <= 0 and not working:
            finishing.settle(scope=scope_by_id(environment_id), job_id=job_id, now=now)
    return rings
