"""The counters row of a job: one UPDATE that adds, guarded by the constraints that it stays whole and not negative."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from psycopg.types.json import Jsonb

from delivery.accounts import Account, Overlay, Rank
from lamba_campaigns.lib.sql import execute, require_transaction

_RANKS: Mapping[Account, Rank] = {
    Account.EXCLUDED: Rank.CLOSED,
    Account.IN_FLIGHT: Rank.CLAIMED,
    Account.UNCERTAIN: Rank.UNKNOWN,
    Account.ACCEPTED: Rank.ACCEPTED,
    Account.DEFERRED: Rank.DEFERRED,
    Account.DELIVERED: Rank.FINAL,
    Account.REJECTED: Rank.FINAL,
    Account.FAILED: Rank.FINAL,
    Account.BOUNCED: Rank.BOUNCED,
    Account.CANCELLED: Rank.CLOSED,
}
_MOVABLE = tuple(account for account in Account if account != Account.EXCLUDED)


def rank_of(account: Account, *, retrying: bool = False) -> Rank:
    """How much is known of a message in this account. Waiting for our own attempt says no more than uncertain."""
    return Rank.UNKNOWN if retrying else _RANKS[account]


def move(
    *,
    job_id: int,
    changes: Mapping[Account, int],
    now: datetime,
    retrying: int = 0,
    overlays: Mapping[Overlay, int] | None = None,
    late: Mapping[str, int] | None = None,
) -> None:
    """Add `changes` to the counters of a job. They sum to zero: a message only ever moves.

    `late` counts new exclusions by reason. Take this lock after the messages' and the ledger's: it is the hottest row.
    """
    require_transaction()
    assert sum(changes.values()) == 0, f"messages appeared or vanished: {changes}"
    values = {account.ledger: changes.get(account, 0) for account in Account}
    values |= {overlay.column: (overlays or {}).get(overlay, 0) for overlay in Overlay}
    params = values | {"job": job_id, "now": now, "retrying": retrying, "late": Jsonb(dict(late or {}))}
    assert execute("delivery", "move_counters", params) == 1


def minute(*, environment_id: int, job_id: int, outcomes: Counter[Account], now: datetime) -> None:
    """Add outcomes to the minute of `now`, for the chart."""
    if not outcomes:
        return
    names = ("accepted", "deferred", "rejected", "failed", "uncertain", "excluded")
    params = {name: outcomes[Account[name.upper()]] for name in names}
    where = {"environment": environment_id, "job": job_id, "minute": now.replace(second=0, microsecond=0)}
    execute("delivery", "add_minute", params | where)
