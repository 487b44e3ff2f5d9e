"""The capacity dimensions that Lamba names, and how each is counted. The keys are ours: Lamba publishes none."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

LimitKey = Literal[
    "active_campaigns",
    "audience_per_campaign",
    "email_campaigns_per_month",
    "included_email_volume",
    "notification_campaigns_per_month",
    "templates",
]
Kind = Literal["gauge", "cap", "counter"]
Channel = Literal["email", "in_app", "webhook", "sms"]
CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)
CHANNEL_PREFIX: Final = "channel."  # an ask for "channel.sms" is refused unless the plan or an add-on brings it


@dataclass(frozen=True, slots=True)
class Dimension:
    """`gauge`: things alive now. `counter`: things in one period. `cap`: the size of one request, nothing is kept."""

    key: LimitKey
    kind: Kind
    label: str
    unit: str  # of one, in words
    detail: str


DIMENSIONS: Final[dict[str, Dimension]] = {
    dimension.key: dimension
    for dimension in (
        Dimension("active_campaigns", "gauge", "Active campaigns", "campaign", "Scheduled, sending or paused now."),
        Dimension(
            "audience_per_campaign", "cap", "Audience per campaign", "person", "People that one launch may include."
        ),
        Dimension(
            "email_campaigns_per_month",
            "counter",
            "Email campaigns",
            "campaign",
            "Launched in one period. Free again if cancelled before the first message.",
        ),
        Dimension(
            "included_email_volume",
            "counter",
            "Email volume",
            "message",
            "Held at launch, used when a message is accepted, given back when it never left.",
        ),
        Dimension(
            "notification_campaigns_per_month",
            "counter",
            "Notification campaigns",
            "campaign",
            "In-app, webhook and SMS campaigns launched in one period.",
        ),
        Dimension("templates", "gauge", "Templates", "template", "Templates that are not archived."),
    )
}
COUNTED_ONCE: Final = ("email_campaigns_per_month", "notification_campaigns_per_month")  # per launch, not per message
CHANNEL_LABELS: Final[dict[str, str]] = {"email": "Email", "in_app": "In-app", "webhook": "Webhook", "sms": "SMS"}
