"""The page's forecast, history and ledger of reservations, and the same ledger in REST and as CSV."""

import csv
import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from audit.models import AuditEntry
from conftest import World
from limits import agreements, entitlements, forecasts, history, reservations
from limits.asks import pool_of
from limits.forecasts import Planned
from limits.models import Subscription
from limits.reservations import Ask
from projects.scoping import SYSTEM, Actor, Scope

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]


def hold(scope: Scope, actor: Actor, name: str, volume: int, at: datetime | None = None) -> None:
    now = timezone.now()
    with transaction.atomic():
        asks = [Ask("included_email_volume", volume), Ask("active_campaigns", 1)]
        reservations.reserve(
            scope=scope, actor=actor, purpose=f"launch:{name}:1", asks=asks, at=at or now, now=now, accept_overage=10**6
        )


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """plans(("News", 60_000)) -> that is scheduled for tomorrow and reaches so many."""

    def put(*given: tuple[str, int | None]) -> None:
        at = timezone.now() + timedelta(minutes=1)
        found = [Planned(name, "/somewhere/", at, messages) for name, messages in given]
        monkeypatch.setattr(forecasts, "_providers", [lambda scope, since, until: found])

    return put


def test_the_forecast_adds_what_is_scheduled(
    world: World, browser_of: Browser, actor: Actor, growth: Subscription, plans: Callable[..., None]
) -> None:
    hold(world.production, actor, "cmp_1", 60_000)
    plans(("Autumn news", 50_000), ("Not counted", None))
    text = browser_of(world.alice).get(f"/{world.production.path}/plan/").content.decode()

    for words in ("Autumn news", "50,000, 1 not counted yet", "110,000 of 100,000", "10,000 emails too many"):
        assert words in text, words


def test_what_is_held_already_is_forecast_once(
    world: World, actor: Actor, growth: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, scope = timezone.now(), world.production
    hold(scope, actor, "cmp_1", 60_000)
    found = [Planned("Grew", "", now, 61_000, held=50_000), Planned("Not counted", "", now, None, held=10_000)]
    monkeypatch.setattr(forecasts, "_providers", [lambda scope, since, until: found])
    plan = entitlements.effective(scope=scope, at=now)
    volume = next(each for each in reservations.usage(scope=scope, now=now) if each.key == forecasts.VOLUME)

    forecast = forecasts.forecast(scope=scope, entitlements=plan, volume=volume, now=now)

    assert (forecast.messages, forecast.unknown, forecast.expected) == (61_000, 1, 71_000)


def test_what_no_plan_has_says_so(world: World, browser_of: Browser, plans: Callable[..., None]) -> None:
    plans()
    text = browser_of(world.alice).get(f"/{world.production.path}/plan/").content.decode()
    assert "No email campaign is scheduled in this period." in text and "data-chart" not in text


def test_history_has_twelve_periods_and_ends_with_this_one(
    scope: Scope, actor: Actor, growth: Subscription, now: datetime
) -> None:
    for months, volume in ((0, 10), (1, 20), (14, 99)):
        with transaction.atomic():
            at = (now.replace(day=1) - timedelta(days=30 * months)).replace(day=3)
            asks = [Ask("included_email_volume", volume)]
            reservations.reserve(scope=scope, actor=actor, purpose=f"l:{months}", asks=asks, at=at, now=now)
    plan = entitlements.effective(scope=scope, at=now)
    found = history.chart(entitlements=plan, found=history.read(entitlements=plan, pool=pool_of(scope)))

    assert found is not None
    assert [column.bucket.total for column in found.columns] == [0] * 10 + [20, 10]
    assert [found.columns[0].bucket.label, found.columns[-1].bucket.label] == ["Dec", "Nov"]
    assert found.columns[-1].bucket.current


def test_the_ledger_is_paged_by_key(
    world: World, browser_of: Browser, actor: Actor, growth: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limits.ledger.PAGE_SIZE", 2)
    for number in range(5):
        hold(world.production, actor, f"cmp_{number}", 10)
    browser, page = browser_of(world.bob), f"/{world.production.path}/plan/reservations/"
    seen = []
    query = ""
    for _ in range(3):
        text = browser.get(page + query).content.decode()
        seen += [name for name in (f"cmp_{number}" for number in range(5)) if f"launch:{name}:1" in text]
        older = text.partition('href="?before=')[2].partition('"')[0]
        query = f"?before={older}" if older else ""
    assert query == ""
    assert sorted(seen) == [f"cmp_{number}" for number in range(5)]
    assert browser.get(page + "?before=x").status_code == 200
    assert browser_of(world.charlie).get(page).status_code == 404


def test_the_csv_has_a_line_for_each_limit_and_is_audited(
    world: World, browser_of: Browser, actor: Actor, growth: Subscription
) -> None:
    hold(world.production, actor, "=cmp_1", 110_000)
    hold(world.sandbox, actor, "cmp_9", 7)

    answer: Any = browser_of(world.bob).get(f"/{world.production.path}/plan/reservations.csv")

    assert answer["Content-Disposition"].startswith('attachment; filename="acme-app-production-reservations-')
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [(row["limit"], row["asked"], row["held"]) for row in rows] == [
        ("active_campaigns", "1", "1"),
        ("included_email_volume", "110000", "110000"),
    ]
    assert (rows[0]["period_start"], rows[1]["overage_messages"], rows[1]["overage_estimate"]) == ("", "10000", "8.00")
    assert rows[0]["purpose"] == "launch:=cmp_1:1"
    entry = AuditEntry.objects.get(action="export.made")
    assert entry.after == {"what": "reservations", "format": "csv"} and entry.actor_id == f"usr_{world.bob.pk}"


def test_rest_lists_reservations_by_cursor(
    api: Callable[..., Any], world: World, actor: Actor, growth: Subscription
) -> None:
    for number in range(3):
        hold(world.production, actor, f"cmp_{number}", 10)
    client = api(permissions=["limits.read"])
    first = client.get("/api/v1/reservations?limit=2").json()
    second = client.get(f"/api/v1/reservations?limit=2&cursor={first['nextCursor']}").json()

    purposes = [item["purpose"] for item in first["items"] + second["items"]]
    assert purposes == ["launch:cmp_2:1", "launch:cmp_1:1", "launch:cmp_0:1"] and second["nextCursor"] is None
    [gauge, volume] = first["items"][0]["lines"]
    assert (gauge["limit"], gauge["periodEnd"]) == ("active_campaigns", None)
    assert (volume["asked"], volume["used"], volume["held"]) == (10, 0, 10)
    assert api(permissions=["console.read"]).get("/api/v1/reservations").status_code == 403
    assert api(world.stranger).get("/api/v1/reservations").json()["items"] == []


def test_the_page_says_which_limits_were_agreed(world: World, browser_of: Browser, growth: Subscription) -> None:
    now = timezone.now()
    with transaction.atomic():
        agreements.agree(workspace_id=world.workspace.pk, terms={"templates": 99}, actor=SYSTEM, now=now)
    text = browser_of(world.alice).get(f"/{world.production.path}/plan/").content.decode()
    assert text.count("Agreed for this workspace.") == 1 and "of 99" in text


def test_plans_of_every_provider_are_in_order(
    scope: Scope, now: datetime, monkeypatch: pytest.MonkeyPatch, growth: Subscription
) -> None:
    def provider(hours: int) -> Callable[..., Sequence[Planned]]:
        return lambda scope, since, until: [Planned(f"{hours}", "", since + timedelta(hours=hours), hours)]

    monkeypatch.setattr(forecasts, "_providers", [provider(5), provider(2)])
    found = entitlements.effective(scope=scope, at=now)
    volume = next(line for line in reservations.usage(scope=scope, now=now) if line.key == "included_email_volume")
    forecast = forecasts.forecast(scope=scope, entitlements=found, volume=volume, now=now)
    assert [each.name for each in forecast.planned] == ["2", "5"]
    assert (forecast.expected, forecast.left, forecast.over) == (7, 99_993, 0)
    assert forecast.planned[0].at == datetime(2026, 11, 23, 11, 30, tzinfo=UTC)
