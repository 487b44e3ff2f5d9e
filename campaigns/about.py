"""What a campaign is about, and what it may find out about its readers, as drafts, forms and REST say it."""

from typing import Any

from campaigns.models import Campaign
from delivery import topics
from delivery.models import Topic
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from projects.scoping import Scope


def about_of(campaign: Campaign) -> dict[str, Any]:
    """The three fields of drafts.Setup."""
    return {
        "topic": campaign.topic.slug if campaign.topic else None,
        "track_opens": campaign.track_opens,
        "track_clicks": campaign.track_clicks,
    }


def about_said(campaign: Campaign) -> dict[str, Any]:
    """The same for an auditor, by the names that REST uses."""
    found = about_of(campaign)
    return {"topic": found["topic"], "trackOpens": found["track_opens"], "trackClicks": found["track_clicks"]}


def resolve_about(
    *,
    scope: Scope,
    channel: str,
    topic: str | None,
    track_opens: bool,
    track_clicks: bool,
    problems: list[FieldProblem],
) -> dict[str, Any]:
    """The columns; every wrong place is added to `problems`."""
    for name, wanted in (("trackOpens", track_opens), ("trackClicks", track_clicks)):
        if wanted and channel != "email":
            problems.append(
                FieldProblem(f"#/{name}", "channel", "Only mail is tracked; other channels tell it anyway.")
            )
    return {"topic": topic_named(scope, topic, problems), "track_opens": track_opens, "track_clicks": track_clicks}


def topic_choices(scope: Scope) -> list[tuple[str, str]]:
    return [("", "No topic"), *((topic.slug, topic.name) for topic in topics.offered(scope=scope))]


def topic_named(scope: Scope, slug: str | None, problems: list[FieldProblem]) -> Topic | None:
    if not slug:
        return None
    try:
        return topics.named(scope=scope, slug=slug)
    except Invalid as refused:
        problems += refused.problems
        return None
