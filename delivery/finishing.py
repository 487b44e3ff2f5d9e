"""How a job ends: paused when nobody works on it, finished when nothing is left, cancelled when what flew has landed.

Each step is one compare-and-swap that the worker and the sweep may both try; the news is published by whoever won.
"""

from datetime import datetime

from delivery import statements
from delivery.accounts import Account
from delivery.models import SendJob
from delivery.windows import Changes
from lamba_campaigns.lib.sql import durable
from projects.scoping import Scope
from webhooks import outbox


def settle(*, scope: Scope, job_id: int, now: datetime) -> str:
    """Move the job to the state its rows have reached, if they have; returns its state."""
    where = {"job": job_id, "now": now}
    with durable():
        statements.count("paused_jobs", where)
        if statements.count("finish_job", where):
            _publish(scope, job_id, "finished", now)
        elif statements.rows("lock_cancelling_job", where):
            _cancel(scope, job_id, now)
            _publish(scope, job_id, "cancelled", now)
        state: str = SendJob.objects.within(scope).values_list("state", flat=True).get(pk=job_id)
    return state


def _cancel(scope: Scope, job_id: int, now: datetime) -> None:
    """Everything that waits is cancelled, in one posting for each account it waited in."""
    changes = Changes()
    statements.count("cancel_chunks", {"job": job_id})
    waiting = statements.count("cancel_waiting", {"environment": scope.environment_id, "job": job_id, "now": now})
    ((pending,),) = statements.rows("pending_of_job", {"job": job_id})
    changes.move("cancel:pending", Account.PENDING, Account.CANCELLED, pending)
    changes.move("cancel:deferred", Account.DEFERRED, Account.CANCELLED, waiting)
    changes.retrying = -waiting
    changes.flush(scope=scope, job_id=job_id, now=now)
    statements.count("end_cancelled_job", {"job": job_id, "now": now})


def _publish(scope: Scope, job_id: int, outcome: str, now: datetime) -> None:
    job = SendJob.objects.within(scope).get(pk=job_id)
    outbox.publish(
        scope=scope,
        type="delivery.job_finished",
        data={"job": job.public_id, "subject": job.subject, "ledgerJob": job.pk, "state": outcome},
        now=now,
    )
