"""What a campaign holds of the plan, attempt by attempt: a slot, one campaign of the month, and its volume."""

from datetime import datetime
from typing import Final

from campaigns.models import Campaign
from lamba_campaigns.lib.sql import require_transaction
from limits import reservations
from limits.reservations import Ask
from projects.scoping import Actor, Scope

ACTIVE: Final = "active_campaigns"
AUDIENCE: Final = "audience_per_campaign"
VOLUME: Final = "included_email_volume"
_COUNTED: Final = {"email": "email_campaigns_per_month"}
_COUNTED_ELSE: Final = "notification_campaigns_per_month"
_PARTS: Final = ("active", "launch", "send")


def count_key(channel: str) -> str:
    """The monthly limit that a launch on this channel counts against."""
    return _COUNTED.get(channel, _COUNTED_ELSE)


def asks_of(*, channel: str, audience: int | None) -> list[Ask]:
    """Everything that a launch to `audience` people asks of the plan; None while the audience is not known."""
    asks = [Ask(ACTIVE, 1), Ask(count_key(channel), 1)]
    if audience is not None:
        asks += _volume_asks(channel, audience)
    return asks


def purpose(part: str, campaign: Campaign) -> str:
    """The unique name of a hold: one for each part of each attempt, so that a repeated step finds its own."""
    return f"{part}:{campaign.public_id}:{campaign.launch_number}"


def take_counts(*, scope: Scope, actor: Actor, campaign: Campaign, at: datetime, now: datetime) -> None:
    """Hold an active slot and one campaign of the month of `at`, or PlanLimitExceeded."""
    require_transaction()
    for part, key in (("active", ACTIVE), ("launch", count_key(campaign.channel))):
        reservations.reserve(
            scope=scope,
            actor=actor,
            purpose=purpose(part, campaign),
            asks=[Ask(key, 1)],
            at=at,
            accept_overage=None,
            now=now,
        )


def take_volume(
    *, scope: Scope, actor: Actor, campaign: Campaign, quantity: int, at: datetime, now: datetime
) -> None:
    """Hold exactly the frozen audience, or PlanLimitExceeded."""
    require_transaction()
    reservations.reserve(
        scope=scope,
        actor=actor,
        purpose=purpose("send", campaign),
        asks=_volume_asks(campaign.channel, quantity),
        at=at,
        accept_overage=campaign.accept_overage,
        now=now,
    )


def count_launch(*, scope: Scope, campaign: Campaign, now: datetime) -> None:
    """The month's campaign is used from the moment that sending begins."""
    key = count_key(campaign.channel)
    held = purpose("launch", campaign)
    reservations.settle(scope=scope, purpose=held, key=key, quantity=1, event_key=f"{held}:started", now=now)


def settle(*, scope: Scope, campaign: Campaign, accepted: int, now: datetime) -> None:
    """Use what was accepted, free everything else. Idempotent."""
    require_transaction()
    if campaign.channel == "email":
        held = purpose("send", campaign)
        reservations.settle(
            scope=scope, purpose=held, key=VOLUME, quantity=accepted, event_key=f"{held}:closed", now=now
        )
    release(scope=scope, campaign=campaign, now=now)


def release(*, scope: Scope, campaign: Campaign, now: datetime) -> None:
    """Free what this attempt still holds. Idempotent."""
    require_transaction()
    for part in _PARTS:
        reservations.release(scope=scope, purpose=purpose(part, campaign), now=now)


def _volume_asks(channel: str, quantity: int) -> list[Ask]:
    asks = [Ask(AUDIENCE, quantity)]
    return [*asks, Ask(VOLUME, quantity)] if channel == "email" else asks
