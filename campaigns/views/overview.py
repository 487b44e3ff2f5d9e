"""The first page of an environment: what sends now, what needs a person, and what is left of the plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Case, F, Q, Sum, When, Window
from django.db.models.functions import RowNumber, TruncDate
from django.http import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_GET

from campaigns import listing
from campaigns.models import Campaign, State
from campaigns.views import activity
from campaigns.views.campaigns import tiles
from delivery.models import JobMinute
from lamba_campaigns.lib import sql
from lamba_campaigns.web import charts
from lamba_campaigns.web.console import ConsoleRequest, console_view, page, url
from limits import pages as limit_pages
from limits import usage
from limits.entitlements import Standing
from projects.scoping import Scope

DAYS: Final = 14
NEEDS_SHOWN: Final = 6
EACH_NEED_SHOWN: Final = 3
RUNNING_SHOWN: Final = 8
COMING_SHOWN: Final = 5
PARKED_MAX: Final = 100
_SENDING: Final = (State.LAUNCHING, State.SENDING, State.PAUSING, State.PAUSED, State.CANCELLING)


@dataclass(frozen=True, slots=True)
class Need:
    """Something that waits for a person."""

    icon: str
    tone: str
    title: str
    detail: str
    url: str


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the checklist of an empty environment."""

    title: str
    detail: str
    url: str
    done: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """What the environment has at all, and what waits for a person; `parked` counts up to PARKED_MAX."""

    has_launched: bool
    has_audience: bool
    has_template: bool
    differences: int
    parked: int


@require_GET
@console_view(get="console.read")
def overview(request: ConsoleRequest) -> HttpResponseBase:
    now = timezone.now()
    alive, counts = _alive(request.scope), _counts(request.scope)
    standing = limit_pages.standing_of(request, now)
    running = [campaign for campaign in alive if campaign.state in _SENDING]
    context: dict[str, Any] = {
        "nav": "overview",
        "running": listing.rows_of(scope=request.scope, campaigns=running[:RUNNING_SHOWN]),
        "coming": [campaign for campaign in alive if campaign.state == State.SCHEDULED][:COMING_SHOWN],
        "needs": _needs(request, alive, counts, standing),
        "tiles": tiles(request.scope, standing),
        "chart": _chart(request.scope, now),
        "latest": activity.newest(request.scope) if request.access.may("audit.read") else [],
        "steps": _steps(request.scope, counts),
    }
    if getattr(request, "htmx", False):
        return page(request, "campaigns/_running.html", context)
    return page(request, "campaigns/overview.html", context)


def _alive(scope: Scope) -> list[Campaign]:
    """What sends, will send or was refused, a few of each state: the next scheduled first, else the latest changed."""
    due = Case(When(state=State.SCHEDULED, then=F("scheduled_at")))
    place = Window(RowNumber(), partition_by=F("state"), order_by=[due.asc(), F("updated_at").desc(), F("id").asc()])
    return list(
        Campaign.objects.within(scope)
        .filter(Q(state__in=[*_SENDING, State.SCHEDULED]) | Q(state=State.DRAFT) & ~Q(blockers=[]))
        .annotate(place=place)
        .filter(place__lte=RUNNING_SHOWN)
        .select_related("audience", "template_version__template")
        .order_by(due.asc(), "-updated_at", "id")
    )


def _counts(scope: Scope) -> Counts:
    found = sql.one("campaigns", "overview_counts", {"environment": scope.environment_id, "parked": PARKED_MAX})
    assert found is not None
    return Counts(*found)


def _steps(scope: Scope, counts: Counts) -> list[Step]:
    """Audience, template, campaign: what an empty environment needs, in this order; nothing once it has launched."""
    if counts.has_launched:
        return []
    return [
        Step(
            "Create the first audience",
            "Say in rules who should hear from you; the count appears while you type.",
            url(scope, "audience-new"),
            counts.has_audience,
        ),
        Step(
            "Write a message",
            "Subject, text and the fields of a person it may use.",
            url(scope, "template-new"),
            counts.has_template,
        ),
        Step(
            "Launch a campaign",
            "Put both together, see what the plan says, and send.",
            url(scope, "campaign-new"),
            done=False,
        ),
    ]


def _needs(request: ConsoleRequest, alive: Sequence[Campaign], counts: Counts, standing: Standing) -> list[Need]:
    scope = request.scope
    found = [
        Need(
            "octagon-x",
            "bad",
            campaign.name,
            str(campaign.blockers[0].get("detail", "The last launch was refused.")),
            url(scope, "campaign-detail", campaign.public_id),
        )
        for campaign in [each for each in alive if each.state == State.DRAFT][:EACH_NEED_SHOWN]
    ]
    found += [
        Need(
            "circle-pause",
            "warn",
            campaign.name,
            "Paused. Nobody is contacted until somebody resumes or cancels it.",
            url(scope, "campaign-detail", campaign.public_id),
        )
        for campaign in [each for each in alive if each.state == State.PAUSED][:EACH_NEED_SHOWN]
    ]
    if differences := counts.differences:
        title = "1 difference in the books" if differences == 1 else f"{differences:,} differences in the books"
        detail = "The ledger and another record disagree."
        found.append(Need("scale", "bad", title, detail, url(scope, "reconciliation")))
    found += _limits(scope, standing)
    found += _lost_events(request, counts.parked)
    return found[:NEEDS_SHOWN]


def _limits(scope: Scope, standing: Standing) -> list[Need]:
    """The limits of the period that are nearly or fully taken."""
    told = limit_pages.notices(standing.entitlements, usage.of(standing))
    where = url(scope, "plan-and-limits")
    return [Need("gauge", notice.tone, notice.title, notice.detail, where) for notice in told]


def _lost_events(request: ConsoleRequest, parked: int) -> Sequence[Need]:
    if not parked or not request.access.may("events.read"):
        return []
    title = "1 event is parked" if parked == 1 else f"{parked:,} events are parked"
    return [
        Need(
            "webhook",
            "bad",
            title,
            "Their handler failed; nothing else waits for them.",
            url(request.scope, "event-list"),
        )
    ]


def _chart(scope: Scope, now: datetime) -> charts.Chart | None:
    """Messages accepted and failed on each of the last days, in the project's zone."""
    today = now.astimezone(scope.zone).date()
    first = today - timedelta(days=DAYS - 1)
    since = datetime.combine(first, datetime.min.time(), scope.zone)
    rows = (
        JobMinute.objects.filter(environment_id=scope.environment_id, minute__gte=since)
        .annotate(day=TruncDate("minute", tzinfo=scope.zone))
        .values("day")
        .annotate(accepted_sum=Sum("accepted"), failed_sum=Sum("failed") + Sum("rejected"))
    )
    by_day = {row["day"]: (row["accepted_sum"], row["failed_sum"]) for row in rows}
    if not by_day:
        return None
    days = [first + timedelta(days=n) for n in range(DAYS)]
    buckets = [charts.Bucket(f"{day.day} {day:%b}", by_day.get(day, (0, 0)), current=day == today) for day in days]
    return charts.bar_chart(
        title="Last 14 days",
        unit="Day",
        series=[charts.Series("Accepted", "ok"), charts.Series("Failed", "bad")],
        buckets=buckets,
    )
