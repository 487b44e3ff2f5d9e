"""What a plan keeps no longer loses its content, never its hash: the chain still verifies from its first entry on.

Only whole runs up to a signed checkpoint are emptied, and an entry that says so is in the chain before the first
content goes. Seals, checkpoints and the like stay (`KEPT_ACTIONS`): other evidence is proven by the digests in them.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F

from audit import chain
from audit.models import KEPT_ACTIONS, Chain, Checkpoint
from lamba_campaigns.lib import sql
from projects import access
from projects.scoping import SYSTEM

DAYS_WITHOUT_PLAN: Final = 400  # chains of no workspace, and plans that say nothing
ENTRIES_PER_STEP: Final = 5_000
_days_of_plan: list[Callable[[int, datetime], int | None]] = []


def register(days_of: Callable[[int, datetime], int | None]) -> None:
    """`days_of(workspace id, moment)` says how long a workspace's plan keeps its trail; None: no limit."""
    _days_of_plan[:] = [days_of]


def days_of(row: Chain, now: datetime) -> int | None:
    """How many days of this chain are kept."""
    workspace_id = row.workspace_id
    if row.environment_id is not None:
        workspace_id = access.scope_by_id(row.environment_id).workspace_id
    if workspace_id is None or not _days_of_plan:
        return DAYS_WITHOUT_PLAN
    return _days_of_plan[0](workspace_id, now)


def apply(*, chain_id: int, days: int, now: datetime) -> int:
    """Entries older than `days` have no content afterwards; how many were emptied now.

    It goes on where a crash left off.
    """
    _declare(chain_id, days, now)
    emptied = 0
    while True:
        with sql.durable():
            row = Chain.objects.select_for_update().get(pk=chain_id)
            through = min(row.emptied_through + ENTRIES_PER_STEP, row.kept_from - 1)
            if through <= row.emptied_through:
                return emptied
            run = {"chain_id": chain_id, "after": row.emptied_through, "through": through, "kept": list(KEPT_ACTIONS)}
            emptied += sql.execute("audit", "empty_entries", run)
            Chain.objects.filter(pk=chain_id).update(emptied_through=through)


def _declare(chain_id: int, days: int, now: datetime) -> None:
    """The chain says what will be emptied, if there is anything."""
    with sql.durable():
        row = Chain.objects.select_for_update().get(pk=chain_id)
        signed = Checkpoint.objects.filter(chain=row, signed_at__lt=now - timedelta(days=days)).order_by("-pk").first()
        if signed is None or signed.sequence < row.kept_from:
            return
        scope = access.scope_by_id(row.environment_id) if row.environment_id else None
        chain.record(
            scope=scope,
            workspace_id=row.workspace_id,
            actor=SYSTEM,
            action="retention.applied",
            subject=chain.Subject("chain", row.key),
            now=now,
            after={"from": row.kept_from, "through": signed.sequence, "days": days},
        )
        Chain.objects.filter(pk=chain_id, kept_from__lt=F("sequence")).update(kept_from=signed.sequence + 1)
