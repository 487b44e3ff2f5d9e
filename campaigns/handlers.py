"""News from the send jobs below: finished, or stopped. A job says so once; the sweeps say so again."""

from collections.abc import Sequence
from datetime import datetime

from campaigns import books_reports, completion
from campaigns.models import Campaign
from projects.scoping import Scope
from webhooks.registry import Event, handles


@handles("delivery.job_finished")
def close_books(scope: Scope, events: Sequence[Event], now: datetime) -> None:
    """End the campaign behind each finished job. A job of something else is not ours to end."""
    for event in events:
        if _is_ours(scope, event):
            completion.settle(scope=scope, campaign_id=event.data["subject"], now=now)


@handles("delivery.job_paused")
def follow_pause(scope: Scope, events: Sequence[Event], now: datetime) -> None:
    """Show the campaign as paused when its job is, and say why when the job stopped itself."""
    for event in events:
        if _is_ours(scope, event):
            reason = str(event.data.get("reason", ""))
            completion.settle_pause(scope=scope, campaign_id=event.data["subject"], reason=reason, now=now)


@handles("delivery.job_warned")
def tell_warning(scope: Scope, events: Sequence[Event], now: datetime) -> None:
    """Say on the campaign, and to whoever listens, that one of its stop rules has passed its warn limit."""
    for event in events:
        if _is_ours(scope, event):
            reason = str(event.data.get("reason", ""))
            completion.tell_warning(scope=scope, campaign_id=event.data["subject"], reason=reason, now=now)


def _is_ours(scope: Scope, event: Event) -> bool:
    return Campaign.objects.within(scope).filter(public_id=event.data["subject"]).exists()


@handles("campaign.sent")
def compare_with_lamba(scope: Scope, events: Sequence[Event], now: datetime) -> None:
    """What Lamba counted is held against our books. An event that names no campaign of ours parks as unmatched."""
    for event in events:
        if event.source == "lamba":
            books_reports.note_lamba(scope=scope, event=event, now=now)
