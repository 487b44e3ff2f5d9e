"""Parts that several campaign pages share: what is set up, and what a person may do next."""

from collections.abc import Sequence
from typing import Final

from campaigns import lifecycle
from campaigns.models import Campaign, State
from limits.keys import CHANNEL_LABELS
from projects.access import Access
from projects.models import Environment
from projects.scoping import Scope

CHANNEL_ICONS: Final = {"email": "mail", "in_app": "bell", "webhook": "webhook", "sms": "message-square"}


def sender_of(scope: Scope, row: Environment) -> str:
    """`Acme <hello@acme.example>`, or '' while nobody set it."""
    return f"{row.sender_name or scope.workspace_name} <{row.sender_address}>" if row.sender_address else ""


def channel_label(channel: str) -> str:
    return CHANNEL_LABELS.get(channel, channel)


def channel_icon(channel: str) -> str:
    return CHANNEL_ICONS.get(channel, "send")


def moves(*, access: Access, campaign: Campaign) -> Sequence[str]:
    """What this person may do with the campaign now."""
    if not access.may("campaigns.launch"):
        return []
    return [str(action) for action in lifecycle.allowed(campaign.state)]


def typed_word(*, scope: Scope, action: str, campaign: Campaign) -> str:
    """The word that confirms a step that can't be taken back; '' where a click is enough."""
    if not scope.is_production:
        return ""
    if action in ("launch", "schedule"):
        return "production"
    running = campaign.state not in (State.SCHEDULED, State.DRAFT)
    return campaign.name if action == "cancel" and running else ""
