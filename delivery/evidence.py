"""What the rows themselves say, counted without the counters: the other side of every reconciliation."""

from delivery import statements
from delivery.accounts import Account
from delivery.models import SendJob
from projects.scoping import Scope


def messages(*, scope: Scope, job: SendJob) -> dict[str, int]:
    """Account name -> people of the job, counted from snapshot, chunks and messages."""
    where = {"environment": scope.environment_id, "job": job.pk}
    found = {account.ledger: 0 for account in Account}
    for account, count in statements.rows("count_messages", where):
        found[Account(account).ledger] += count
    for cancelled, count in statements.rows("count_unclaimed", where):
        found["cancelled" if cancelled else "pending"] += count
    found["excluded"] += job.snapshot.planned - job.snapshot.included
    return found


def unmatched(*, scope: Scope) -> int:
    """Receipts that belong to no message of this environment."""
    return int(statements.rows("unmatched_receipts", {"environment": scope.environment_id})[0][0])


def captured_twice(*, scope: Scope, job: SendJob) -> int:
    """Messages of the job that the capture server received more than once."""
    return int(statements.rows("captured_twice", {"environment": scope.environment_id, "job": job.pk})[0][0])


def foreign_rows() -> int:
    """Rows of mass tables that stand in another environment than what they belong to. Always 0."""
    return int(statements.rows("foreign_rows", {})[0][0])
