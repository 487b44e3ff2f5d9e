"""Reading the trail: which entries of an environment (or of its workspace) a person or a key asked for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db.models import F, QuerySet

from audit import chain
from audit.actions import ACTIONS
from audit.models import ROUTINE_ACTIONS, AuditEntry
from projects.scoping import Scope

Reach = Literal["environment", "workspace"]
FILTERS = ("action", "actor", "subject", "since", "until")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to show; empty means all. `routine` adds what the clock writes: seals and checkpoints."""

    action: str = ""  # "campaign.launched", or a family: "campaign"
    actor: str = ""  # an id: "usr_1", "key_…", "system"
    subject: str = ""  # an id: "cmp_…"
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive
    reach: Reach = "environment"
    routine: bool = False

    @property
    def filters(self) -> bool:
        """Whether anything but the reach was asked for."""
        return any(getattr(self, name) for name in FILTERS)


def entries(*, scope: Scope, wanted: Wanted) -> QuerySet[AuditEntry]:
    """The entries asked for, not ordered yet. Their numbers (`sequence`) are unique here and grow with time."""
    key = key_of(scope=scope, wanted=wanted)
    rows = AuditEntry.objects.filter(chain__key=key, sequence__gte=F("chain__kept_from")).select_related("label")
    if wanted.action in ACTIONS:
        rows = rows.filter(action=wanted.action)
    elif wanted.action:
        rows = rows.filter(action__in=of_family(wanted.action))
    elif not wanted.routine:
        rows = rows.exclude(action__in=ROUTINE_ACTIONS)
    if wanted.actor:
        rows = rows.filter(actor_id=wanted.actor)
    if wanted.subject:
        rows = rows.filter(subject_id=wanted.subject)
    if wanted.since:
        rows = rows.filter(occurred_at__gte=wanted.since)
    if wanted.until:
        rows = rows.filter(occurred_at__lt=wanted.until)
    return rows


def key_of(*, scope: Scope, wanted: Wanted) -> str:
    """The chain that was asked for: the environment's, or its workspace's."""
    workspace_id = scope.workspace_id if wanted.reach == "workspace" else None
    return chain.chain_key(scope=None if workspace_id else scope, workspace_id=workspace_id)


def of_family(family: str) -> list[str]:
    """The actions whose name begins with `family.`; none for a word that is no family."""
    return [action for action in ACTIONS if action.partition(".")[0] == family]


def families() -> list[str]:
    """The first words of all actions, each once."""
    return sorted({action.partition(".")[0] for action in ACTIONS})
