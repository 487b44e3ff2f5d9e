"""What scheduled campaigns will ask of the email volume: told to limits, which stands below and can't look."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet

from campaigns import holds, listing
from campaigns.models import Campaign, Channel, State
from lamba_campaigns.web import navigation
from limits.forecasts import Planned
from projects.models import Environment
from projects.scoping import Scope

PLANNED_MAX: Final = 200


def volume(scope: Scope, since: datetime, until: datetime) -> Sequence[Planned]:
    """The e-mail campaigns that are scheduled in this time and share the counters of `scope`."""
    rows = list(
        Campaign.objects.across_environments("all production environments of a workspace share one plan")
        .filter(
            environment_id__in=_sharing(scope),
            state=State.SCHEDULED,
            channel=Channel.EMAIL,
            scheduled_at__gte=since,
            scheduled_at__lt=until,
        )
        .order_by("scheduled_at", "id")[:PLANNED_MAX]
    )
    counted, held = listing.counted(rows), holds.held_volume(rows)
    return [
        Planned(
            row.name,
            navigation.url_of(scope, "campaign-detail", row.public_id)
            if row.environment_id == scope.environment_id
            else "",
            row.scheduled_at,
            _messages(row, counted.get(row.pk)),
            held.get(holds.purpose(row), 0),
        )
        for row in rows
        if row.scheduled_at
    ]


def _sharing(scope: Scope) -> Sequence[int] | QuerySet[Environment, Any]:
    if not scope.is_production:
        return [scope.environment_id]
    return Environment.objects.filter(project__workspace_id=scope.workspace_id, name=scope.environment).values("pk")


def _messages(campaign: Campaign, people: int | None) -> int | None:
    return people if people is None or campaign.total_cap is None else min(people, campaign.total_cap)
