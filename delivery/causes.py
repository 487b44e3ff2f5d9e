"""What most of a job's failures say: the one line that tells an operator where to look."""

from typing import Final

from delivery import statements
from delivery.accounts import Account
from delivery.models import SendJob
from projects.scoping import Scope

FAILURES_READ_MAX: Final = 1_000


def commonest(*, scope: Scope, job: SendJob) -> str:
    """The detail that most of the first refused or failed messages carry; '' where there are none."""
    where = {
        "environment": scope.environment_id,
        "job": job.pk,
        "accounts": [int(Account.REJECTED), int(Account.FAILED), int(Account.BOUNCED)],
        "most": FAILURES_READ_MAX,
    }
    found = statements.rows("commonest_failure", where)
    return str(found[0][0]) if found else ""
