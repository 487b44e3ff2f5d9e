"""The page of plan and limits."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from conftest import World
from limits import reservations, usage
from limits.models import Subscription, WorkspaceAddOn
from limits.pages import sidebar_meter
from limits.reservations import Ask
from limits.tests.conftest import Reserve
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]


@pytest.fixture
def page(world: World) -> str:
    return f"/{world.production.path}/plan/"


def test_the_page_shows_limits_plans_add_ons_and_holds(
    page: str, world: World, browser_of: Browser, actor: Actor, growth: Subscription
) -> None:
    now = timezone.now()
    with transaction.atomic():
        asks = [Ask("included_email_volume", 78_100), Ask("active_campaigns", 1)]
        reservations.reserve(scope=world.production, actor=actor, purpose="launch:cmp_1:1", asks=asks, at=now, now=now)
    text = browser_of(world.alice).get(page).content.decode()

    for words in ("Growth plan", "of 100,000", "78,100", "Upgrade to Scale", "50,000 emails", "Demo figures", "Alice"):
        assert words in text, words


def test_a_viewer_sees_no_way_to_spend_money(page: str, world: World, browser_of: Browser) -> None:
    browser = browser_of(world.bob)
    text = browser.get(page).content.decode()
    assert "Upgrade" not in text and 'name="sku"' not in text
    for path in ("change", "add-ons", "add-ons/end"):
        assert browser.post(f"{page}{path}/", {"plan": "scale", "sku": "email_10k"}).status_code == 403
    assert not Subscription.objects.exists() and not WorkspaceAddOn.objects.exists()


def test_a_stranger_finds_nothing(page: str, world: World, browser_of: Browser) -> None:
    assert browser_of(world.charlie).get(page).status_code == 404
    assert Client().get(page).status_code == 302
    assert browser_of(world.alice).get(f"{page}change/").status_code == 405


def test_the_owner_changes_plan_and_add_ons(page: str, world: World, browser_of: Browser) -> None:
    browser = browser_of(world.alice)
    answer = browser.post(f"{page}change/", {"plan": "growth"}, follow=True)
    assert "The plan is changed." in answer.content.decode()
    assert "Growth plan" in answer.content.decode()

    assert browser.post(f"{page}add-ons/", {"sku": "email_10k", "quantity": "3"}).status_code == 302
    assert WorkspaceAddOn.objects.get().quantity == 3
    assert browser.post(f"{page}add-ons/end/", {"sku": "email_10k"}).status_code == 302
    assert WorkspaceAddOn.objects.get().effective_to is not None
    text = browser.post(f"{page}change/", {"plan": "free"}, follow=True).content.decode()
    assert "Growth until" in text and "then Free." in text and "Keep Growth…" in text
    kept = browser.post(f"{page}change/", {"plan": "growth"}, follow=True).content.decode()
    assert "The planned change is taken back." in kept and "then Free." not in kept


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("change", {"plan": "green"}, 422),
        ("add-ons", {"sku": "email_10k", "quantity": "x"}, 422),
        ("add-ons", {"sku": "email_10k", "quantity": "1"}, 409),
        ("add-ons/end", {"sku": "email_10k"}, 409),
    ],
)
def test_a_refused_change_says_why_and_changes_nothing(
    page: str, world: World, browser_of: Browser, path: str, body: dict[str, str], status: int
) -> None:
    answer = browser_of(world.alice).post(f"{page}{path}/", body)
    assert answer.status_code == status and "Plan and limits" in answer.content.decode()
    assert not Subscription.objects.exists() and not WorkspaceAddOn.objects.exists()


def test_the_remedys_address_opens_the_dialog_that_does_it(
    page: str, world: World, browser_of: Browser, growth: Subscription
) -> None:
    text = browser_of(world.alice).get(f"{page}?confirm=plan-scale").content.decode()
    assert '<dialog id="plan-scale" class="confirm" aria-labelledby="plan-scale-h" data-modal open>' in text
    more = browser_of(world.alice).get(f"{page}?confirm=add-email_10k&quantity=4").content.decode()
    assert 'value="4"' in more


def test_the_sidebar_shows_the_email_volume(world: World, growth: Subscription) -> None:
    meter = sidebar_meter(world.production)
    assert (meter.used, meter.allowed, meter.plan) == (0, 100_000, "Growth")
    assert meter.label.startswith("Emails, ")


def test_a_notice_ends_by_itself_when_the_limit_is_no_longer_reached(
    page: str, world: World, browser_of: Browser, reserve: Reserve, growth: Subscription, scope: Scope, now: datetime
) -> None:
    browser, overview = browser_of(world.alice), f"/{scope.path}/"
    for purpose, quantity, words in (
        ("launch:cmp_1", 80_000, "Email volume: 80% is taken"),
        ("launch:cmp_2", 20_000, "Email volume: all of it is taken"),
        ("launch:cmp_3", 1, "Email volume: over the limit"),
    ):
        reserve(purpose, included_email_volume=quantity, accept_overage=1, at=timezone.now())
        for address in (page, overview):
            assert words in browser.get(address).content.decode(), address
    for number in (1, 2, 3):
        with transaction.atomic():
            reservations.release(scope=scope, purpose=f"launch:cmp_{number}", now=now)
    for address in (page, overview):
        text = browser.get(address).content.decode()
        assert "taken</" not in text and "over the limit</" not in text


def test_the_tiles_are_the_four_that_a_launch_meets_first(world: World, growth: Subscription) -> None:
    found = usage.tiles(usage.standing(scope=world.production, now=timezone.now()))
    assert [line.title for line in found] == ["Active campaigns", "Email volume", "Templates", "Email campaigns"]


def test_the_page_asks_the_database_a_fixed_number_of_times(
    page: str,
    world: World,
    browser_of: Browser,
    actor: Actor,
    growth: Subscription,
    django_assert_max_num_queries: Callable[[int], object],
) -> None:
    now = timezone.now()
    for number in range(15):
        with transaction.atomic():
            reservations.reserve(
                scope=world.production,
                actor=actor,
                purpose=f"launch:cmp_{number}:1",
                asks=[Ask("included_email_volume", 10)],
                at=now,
                now=now,
            )
    browser = browser_of(world.alice)
    browser.get(page)
    with django_assert_max_num_queries(12):  # type: ignore[attr-defined]
        assert browser.get(page).status_code == 200
