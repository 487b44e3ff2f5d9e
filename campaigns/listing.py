"""The list of campaigns: filtered, counted by tab, with their balances in one read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.core.cache import cache
from django.db.models import Count

from campaigns.models import Campaign, State
from delivery.models import JobCounters
from projects.scoping import Scope

PAGE_SIZE: Final = 25
FIND_LENGTH_MAX: Final = 100
COUNT_KEPT_SECONDS: Final = 3600  # how long a list may repeat the last count of a draft's audience
TABS: Final[dict[str, tuple[str, tuple[State, ...]]]] = {
    "": ("All", ()),
    "active": (
        "Active",
        (State.SCHEDULED, State.LAUNCHING, State.SENDING, State.PAUSING, State.PAUSED, State.CANCELLING),
    ),
    "drafts": ("Drafts", (State.DRAFT,)),
    "completed": ("Completed", (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS)),
    "stopped": ("Stopped", (State.CANCELLED, State.FAILED)),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list. `audience` is None while nobody has counted it."""

    campaign: Campaign
    audience: int | None
    settled: int
    failed: int
    parts: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class Listing:
    rows: list[Row]
    counts: dict[str, int]
    first: int
    last: int
    total: int
    previous: int | None
    next: int | None


def listing(*, scope: Scope, tab: str, find: str, page: int) -> Listing:
    """One page of campaigns, newest change first. `tab` is a key of TABS."""
    counts = tab_counts(scope=scope)
    found = Campaign.objects.within(scope)
    states = TABS[tab][1]
    if states:
        found = found.filter(state__in=states)
    total = counts[tab]
    if find:
        found = found.filter(name__icontains=find[:FIND_LENGTH_MAX])
        total = found.count()
    start = PAGE_SIZE * (page - 1)
    order = found.select_related("audience", "template_version__template").order_by("-updated_at", "id")
    campaigns = list(order[start : start + PAGE_SIZE])
    return Listing(
        rows=rows_of(scope=scope, campaigns=campaigns),
        counts=counts,
        first=start + 1 if campaigns else 0,
        last=start + len(campaigns),
        total=total,
        previous=page - 1 if page > 1 else None,
        next=page + 1 if start + len(campaigns) < total else None,
    )


def tab_counts(*, scope: Scope) -> dict[str, int]:
    """How many campaigns each tab holds: one read of the index campaign_by_state."""
    by_state = dict(
        Campaign.objects.within(scope).order_by().values_list("state").annotate(n=Count("pk")).values_list("state", "n")
    )
    everything = sum(by_state.values())
    return {
        key: sum(by_state.get(state, 0) for state in states) if states else everything
        for key, (_, states) in TABS.items()
    }


def rows_of(*, scope: Scope, campaigns: Sequence[Campaign]) -> list[Row]:
    """The balances of these campaigns, from their counters rows in one query."""
    jobs = [campaign.job_id for campaign in campaigns if campaign.job_id]
    counters = JobCounters.objects.within(scope).in_bulk(jobs) if jobs else {}
    drafts = {campaign.pk: _count_key(campaign) for campaign in campaigns if not campaign.job_id}
    known: dict[str, Any] = cache.get_many(list(drafts.values())) if drafts else {}
    return [
        _row(campaign, counters.get(campaign.job_id), known.get(drafts.get(campaign.pk, ""))) for campaign in campaigns
    ]


def remember_count(*, campaign: Campaign, contactable: int) -> None:
    """Let the list show what a preflight counted."""
    cache.set(_count_key(campaign), contactable, COUNT_KEPT_SECONDS)


def counted(campaigns: Sequence[Campaign]) -> dict[int, int]:
    """How many people each campaign would reach, where a preflight counted it lately."""
    keys = {campaign.pk: _count_key(campaign) for campaign in campaigns}
    known = cache.get_many(list(set(keys.values()))) if keys else {}
    return {pk: known[key] for pk, key in keys.items() if key in known}


def _count_key(campaign: Campaign) -> str:
    return f"campaign-audience:{campaign.audience_id}:{campaign.channel}"


def _row(campaign: Campaign, counters: JobCounters | None, counted: int | None) -> Row:
    if counters is None:
        return Row(campaign, counted, 0, 0, ())
    audience = counters.planned - counters.excluded
    failed = counters.failed + counters.rejected
    accepted = counters.accepted + counters.delivered + counters.bounced + counters.deferred - counters.retrying
    waiting = counters.pending + counters.in_flight + counters.retrying
    other = counters.uncertain
    parts = (
        ("Accepted", "ok", accepted),
        ("Failed", "bad", failed),
        ("Uncertain", "warn", other),
        ("Cancelled", "mute", counters.cancelled),
    )
    return Row(campaign, audience, audience - waiting - counters.cancelled, failed, parts)
