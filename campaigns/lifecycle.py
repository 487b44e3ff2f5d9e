"""The life of a campaign as one table. Every change is a compare-and-swap, one audit entry and at most one event."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from django.db.models import F

from audit import chain
from campaigns.models import Campaign, State
from lamba_campaigns.lib.errors import Conflict, NotFound, Stale
from lamba_campaigns.lib.sql import require_transaction
from projects.scoping import Actor, Scope
from webhooks import outbox

Action = Literal[
    "schedule",
    "unschedule",
    "launch",
    "fire",
    "start",
    "refuse",
    "pause",
    "settle_pause",
    "stop",
    "resume",
    "cancel",
    "settle_cancel",
    "complete",
    "complete_with_exceptions",
    "fail",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """From each state that allows the action to the state after it; the audit action and event that tell of it."""

    moves: Mapping[State, State]
    audit: str
    event: str | None = None


def _all(*sources: State, to: State) -> dict[State, State]:
    return dict.fromkeys(sources, to)


TABLE: Final[dict[Action, Rule]] = {
    # decided by a person
    "schedule": Rule(_all(State.DRAFT, to=State.SCHEDULED), "campaign.scheduled", "campaign.scheduled"),
    "unschedule": Rule(_all(State.SCHEDULED, to=State.DRAFT), "campaign.unscheduled"),
    "launch": Rule(_all(State.DRAFT, to=State.LAUNCHING), "campaign.launched"),
    "pause": Rule(_all(State.SENDING, to=State.PAUSING), "campaign.paused", "campaign.paused"),
    "resume": Rule(_all(State.PAUSED, to=State.SENDING), "campaign.resumed", "campaign.resumed"),
    "cancel": Rule(
        _all(State.SCHEDULED, State.LAUNCHING, to=State.CANCELLED)
        | _all(State.SENDING, State.PAUSING, State.PAUSED, to=State.CANCELLING),
        "campaign.cancelled",
        "campaign.cancelled",
    ),
    # followed by the machine
    "fire": Rule(_all(State.SCHEDULED, to=State.LAUNCHING), "campaign.launched"),
    "start": Rule(_all(State.LAUNCHING, to=State.SENDING), "campaign.updated", "campaign.launched"),
    "refuse": Rule(_all(State.SCHEDULED, State.LAUNCHING, to=State.DRAFT), "campaign.launched", "campaign.failed"),
    "settle_pause": Rule(_all(State.PAUSING, to=State.PAUSED), "campaign.updated"),
    "stop": Rule(_all(State.SENDING, to=State.PAUSED), "campaign.paused", "campaign.paused"),
    "settle_cancel": Rule(_all(State.CANCELLING, to=State.CANCELLED), "campaign.updated", "campaign.cancelled"),
    "complete": Rule(
        _all(State.SENDING, State.PAUSING, State.PAUSED, to=State.COMPLETED), "campaign.completed", "campaign.sent"
    ),
    "complete_with_exceptions": Rule(
        _all(State.SENDING, State.PAUSING, State.PAUSED, to=State.COMPLETED_WITH_EXCEPTIONS),
        "campaign.completed",
        "campaign.sent",
    ),
    "fail": Rule(
        _all(State.LAUNCHING, State.SENDING, State.PAUSING, State.PAUSED, to=State.FAILED),
        "campaign.failed",
        "campaign.failed",
    ),
}
ENDED: Final = (State.CANCELLED, State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS, State.FAILED)
RUNNING: Final = (State.LAUNCHING, State.SENDING, State.PAUSING, State.PAUSED, State.CANCELLING)
PERSON_ACTIONS: Final[tuple[Action, ...]] = ("schedule", "unschedule", "launch", "pause", "resume", "cancel")


class WrongState(Conflict):
    """The campaign is in a state that has no such move."""

    code = "CAMPAIGN_STATE"
    title = "The campaign is in another state"


class CampaignChanged(Stale):
    """Somebody else moved or edited the campaign since it was read."""

    code = "STALE_VERSION"


@dataclass(frozen=True, slots=True)
class Move:
    """One change of state that is written but not yet told."""

    action: Action
    before: State
    campaign: Campaign
    changed: Mapping[str, Any] = field(default_factory=dict)


def allowed(state: str) -> list[Action]:
    """What a person may do with a campaign in this state, in the order of the table."""
    return [action for action in PERSON_ACTIONS if state in TABLE[action].moves]


def swap(
    *,
    scope: Scope,
    campaign_id: int,
    action: Action,
    actor: Actor,
    now: datetime,
    version: int | None = None,
    **changes: Any,
) -> Move:
    """Move the campaign by `action`, or WrongState / CampaignChanged and nothing is changed.

    The row stays locked until the caller's transaction ends. `announce` must follow in the same transaction.
    """
    require_transaction()
    mine = Campaign.objects.within(scope).filter(pk=campaign_id)
    found = mine.select_for_update(no_key=True).values("state", "state_version").first()
    if found is None:
        raise NotFound("There is no such campaign here.")
    before = State(found["state"])
    _check(before, found["state_version"], action, version)
    after = TABLE[action].moves[before]
    touched = mine.filter(state=before, state_version=found["state_version"]).update(
        state=after, state_version=F("state_version") + 1, updated_at=now, updated_by=actor.label, **changes
    )
    assert touched == 1, "the row was locked when its state was read"
    return Move(action, before, load(scope=scope, pk=campaign_id), changes)


def announce(
    *,
    scope: Scope,
    move: Move,
    actor: Actor,
    now: datetime,
    reason: str = "",
    refused: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the one audit entry of a move and publish its event. Call it last: it locks the head of the chain."""
    require_transaction()
    rule, campaign = TABLE[move.action], move.campaign
    chain.record(
        scope=scope,
        actor=actor,
        action=rule.audit,
        subject=subject_of(campaign),
        now=now,
        before={"state": str(move.before)},
        after={"state": str(campaign.state), **(facts or {})},
        reason=reason,
        outcome="refused" if refused else "done",
    )
    if rule.event and campaign.state != State.CANCELLING:  # told once, when the last message has stopped
        outbox.publish(scope=scope, type=rule.event, data=event_data(campaign, reason, facts or {}), now=now)


def subject_of(campaign: Campaign) -> chain.Subject:
    return chain.Subject("campaign", campaign.public_id, campaign.name)


def event_data(campaign: Campaign, reason: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The body of every public campaign event."""
    named = {"id": campaign.public_id, "name": campaign.name, "channel": campaign.channel}
    data: dict[str, Any] = {"campaign": named, "state": str(campaign.state), **facts}
    return data | ({"reason": reason} if reason else {})


def load(*, scope: Scope, pk: int) -> Campaign:
    """The campaign with everything that pages and events name."""
    found: Campaign = (
        Campaign.objects.within(scope)
        .select_related("template_version__template", "split_version__template")
        .select_related("audience", "audience_version", "snapshot", "job")
        .get(pk=pk)
    )
    return found


def require(*, campaign: Campaign, action: Action) -> None:
    """WrongState unless the campaign, as it was read, could make the move."""
    _check(State(campaign.state), campaign.state_version, action, None)


def _check(before: State, current: int, action: Action, version: int | None) -> None:
    if version is not None and version != current:
        raise CampaignChanged(
            f"You acted on version {version}; the campaign is now at version {current} ({_words(before)}).",
            next_step="Look at what changed, then decide again.",
            etag=f'"{current}"',
        )
    moves = TABLE[action].moves
    if before not in moves:
        raise WrongState(
            f"A campaign can't {_words(action)} while it is {_words(before)}.",
            next_step=f"It can from: {', '.join(_words(state) for state in moves)}.",
            state=str(before),
            allowedFrom=[str(state) for state in moves],
        )


def _words(name: str) -> str:
    return str(name).replace("_", " ")
