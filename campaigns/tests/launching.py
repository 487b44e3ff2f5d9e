"""What the tests of a launch look at: limits, decisions, news; and how they ask for one."""

from datetime import datetime

from audit.models import AuditEntry
from campaigns import launch
from campaigns.models import Campaign
from limits import usage
from projects.scoping import Actor, Scope
from webhooks.models import OutboxEvent


def limit(scope: Scope, key: str, now: datetime) -> tuple[int, int]:
    """(used, reserved) of one limit."""
    found = next(each for each in usage.usage(scope=scope, now=now) if each.key == key)
    return found.used, found.reserved


def actions(scope: Scope, campaign: Campaign) -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(environment_id=scope.environment_id, subject_id=campaign.public_id)
    return list(rows.order_by("sequence").values_list("action", "outcome"))


def events(scope: Scope) -> list[str]:
    return list(OutboxEvent.objects.within(scope).order_by("id").values_list("type", flat=True))


def request(scope: Scope, actor: Actor, draft: Campaign, now: datetime) -> Campaign:
    return launch.request_launch(
        scope=scope, actor=actor, campaign_id=draft.public_id, version=draft.state_version, now=now
    )
