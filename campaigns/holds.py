"""What one launch holds of the plan: its channel, an active slot, one campaign of the month, and its volume.

Every attempt has one reservation under its own purpose, so that a repeated step finds its own hold and a refused
attempt leaves nothing.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from audit import chain
from campaigns.models import Campaign, State
from lamba_campaigns.lib.sql import require_transaction
from limits import arithmetic, entitlements, reservations
from limits.keys import CHANNEL_PREFIX
from limits.models import ReservationLine
from limits.reservations import Ask, PlanLimitExceeded
from projects.scoping import Actor, Scope

ACTIVE: Final = "active_campaigns"
AUDIENCE: Final = "audience_per_campaign"
VOLUME: Final = "included_email_volume"
PREFIX: Final = "launch:"
NOT_HOLDING: Final = (
    State.DRAFT,
    State.CANCELLED,
    State.COMPLETED,
    State.COMPLETED_WITH_EXCEPTIONS,
    State.FAILED,
)


def count_key(channel: str) -> str:
    """The monthly limit that a launch on this channel counts against."""
    return "email_campaigns_per_month" if channel == "email" else "notification_campaigns_per_month"


def asks_of(*, channel: str, audience: int | None, cap: int | None = None) -> list[Ask]:
    """Everything that a launch to `audience` people asks of the plan; None while the audience is not known.
    With a send limit it asks for no more people than that: everybody behind it is cancelled from the start.
    """
    asks = [Ask(f"{CHANNEL_PREFIX}{channel}", 1), Ask(ACTIVE, 1), Ask(count_key(channel), 1)]
    if audience is not None:
        people = audience if cap is None else min(audience, cap)
        asks.append(Ask(AUDIENCE, people))
        if channel == "email":
            asks.append(Ask(VOLUME, people))
    return asks


def purpose(campaign: Campaign) -> str:
    """The unique name of this attempt's hold, and of its snapshot."""
    return f"{PREFIX}{campaign.public_id}:{campaign.launch_number}"


def take(*, scope: Scope, actor: Actor, campaign: Campaign, audience: int, at: datetime, now: datetime) -> None:
    """Hold all that a send to `audience` people at `at` asks of the plan, in place of what was held before.

    PlanLimitExceeded: the old hold stays. Counted people are held when it is scheduled or launched, the frozen ones
    exactly when it starts.
    """
    require_transaction()
    with _naming_actions(campaign):
        reservations.adjust(
            scope=scope,
            actor=actor,
            purpose=purpose(campaign),
            asks=asks_of(channel=campaign.channel, audience=audience, cap=campaign.total_cap),
            at=at,
            accept_overage=campaign.accept_overage,
            now=now,
        )


def name_actions(campaign: Campaign, refusal: PlanLimitExceeded) -> None:
    """Every remedy that changes the campaign says the REST call that does it. A draft that has no id yet has none.

    Waiting schedules the campaign where time alone mends everything, else it proposes the time.
    """
    if not campaign.pk:
        return
    path = f"/api/v1/campaigns/{campaign.public_id}"
    limits = {each["limit"] for each in refusal.extra["violations"]}
    for way in refusal.extra["remedies"]:
        if way["kind"] == "wait" and limits == set(way["resolves"]):
            way["action"] = {"method": "POST", "path": f"{path}/schedule", "body": {"at": way["until"]}}
        elif "change" in way:
            way["action"] = {"method": "PATCH", "path": path, "body": way["change"]}


@contextmanager
def _naming_actions(campaign: Campaign) -> Iterator[None]:
    try:
        yield
    except PlanLimitExceeded as refusal:
        name_actions(campaign, refusal)
        raise


def record_acceptance(*, scope: Scope, actor: Actor, campaign: Campaign, now: datetime) -> None:
    """Who agreed to pay for how many messages over the plan, when, and what it may cost at most."""
    messages = campaign.accept_overage or 0
    found = entitlements.effective(scope=scope, at=max(campaign.scheduled_at or now, now))
    chain.record(
        scope=scope,
        actor=actor,
        action="limit.overage_accepted",
        subject=chain.Subject("campaign", campaign.public_id, campaign.name),
        now=now,
        after={
            "messages": messages,
            "estimate": str(arithmetic.price_of(found, messages)),
            "currency": found.catalogue.currency,
            "plan": found.plan_id,
        },
    )


def is_needed(scope: Scope, held: str) -> bool:
    """Whether the attempt behind this purpose may still send: its hold must not expire."""
    _, campaign_id, number = held.split(":")
    return bool(
        Campaign.objects.within(scope)
        .filter(public_id=campaign_id, launch_number=int(number))
        .exclude(state__in=NOT_HOLDING)
        .exists()
    )


def settle(*, scope: Scope, campaign: Campaign, accepted: int, now: datetime) -> None:
    """What was accepted is used, everything else is free. A launch that reached nobody costs nothing.

    Repeating it changes nothing; with a larger number, when a late receipt says more went out, it uses the difference.
    """
    require_transaction()
    held = purpose(campaign)
    key = VOLUME if campaign.channel == "email" else count_key(campaign.channel)
    owed = accepted if campaign.channel == "email" else min(accepted, 1)
    more = owed - used(scope=scope, campaign=campaign, key=key)
    if more > 0:
        reservations.settle(scope=scope, purpose=held, key=key, quantity=more, event_key=f"{held}:{owed}", now=now)
    release(scope=scope, campaign=campaign, now=now)


def used(*, scope: Scope, campaign: Campaign, key: str = VOLUME) -> int:
    """How much of a limit this attempt was charged."""
    lines = ReservationLine.objects.within(scope).filter(
        reservation__purpose=purpose(campaign), reservation__state__in=["held", "settled"], limit_key=key
    )
    return sum(lines.values_list("used", flat=True))


def held_volume(campaigns: Collection[Campaign]) -> dict[str, int]:
    """How many messages each of them holds, by the purpose of its attempt."""
    lines = ReservationLine.objects.across_environments("production environments of a workspace share one plan").filter(
        environment_id__in={campaign.environment_id for campaign in campaigns},
        reservation__purpose__in=[purpose(campaign) for campaign in campaigns],
        reservation__state="held",
        limit_key=VOLUME,
    )
    return dict(lines.values_list("reservation__purpose", "held"))


def release(*, scope: Scope, campaign: Campaign, now: datetime) -> None:
    """Free what this attempt still holds. Idempotent."""
    require_transaction()
    reservations.release(scope=scope, purpose=purpose(campaign), now=now)
