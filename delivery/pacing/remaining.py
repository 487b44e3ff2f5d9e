"""Who of a running job still waits for a first or another turn, counted as the simulator counts people."""

from datetime import date

from delivery import statements
from delivery.models import SendJob
from delivery.pacing.forecast import Group
from delivery.pacing.rules import of_job
from projects.scoping import Scope


def by_turn(*, scope: Scope, job: SendJob) -> dict[Group, int]:
    """Everybody whom the job has yet to contact. Reads the job's key range once."""
    rules = of_job(job.pacing)
    found = statements.rows(
        "waiting_turns",
        {
            "environment": scope.environment_id,
            "job": job.pk,
            "month": job.snapshot_month,
            "snapshot": job.snapshot_id,
            "cap": job.total_cap,
            "domains": list(rules.limits) if rules else [],
        },
    )
    return {Group(zone or "", domain): count for zone, domain, count in found}


def taken(*, job: SendJob) -> dict[date, int]:
    """How many people it began to contact, by day."""
    return dict(statements.rows("taken_days", {"job": job.pk}))
