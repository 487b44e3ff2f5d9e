"""Preflight fails whenever the launch would, with the same refusal, and the remedies that it names really work."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from audiences.models import Person
from audit.models import AuditEntry
from campaigns import drafts, launch, preflight, recipients
from campaigns.models import Campaign, State
from campaigns.tests.conftest import MakeDraft, fresh
from conftest import World
from lamba_campaigns.lib.errors import DomainError
from limits import reservations, subscriptions
from limits.keys import DIMENSIONS
from limits.reservations import Ask, PlanLimitExceeded
from limits.tests.test_machine import new_scope
from projects.models import Environment
from projects.scoping import SYSTEM, Actor, Scope

pytestmark = pytest.mark.django_db
EXAMPLES = int(os.environ.get("LAMBA_TEST_EXAMPLES", "10"))
COUNTS = st.sampled_from([0, 1, 2, 3, 4, None])
TAKEN = st.fixed_dictionaries(
    {
        "included_email_volume": st.integers(0, 3),
        "email_campaigns_per_month": st.integers(0, 2),
        "active_campaigns": st.integers(0, 2),
    }
)
OVERAGES = st.sampled_from(
    [
        {"policy": "block"},
        {"policy": "allow", "cap": 2, "price_per_thousand": "1.00"},
        {"policy": "grace", "grace_percent": 50},
    ]
)


@hypothesis_settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    limits=st.fixed_dictionaries(dict.fromkeys(DIMENSIONS, COUNTS)),
    overage=OVERAGES,
    taken=TAKEN,
    accept=st.sampled_from([None, 1, 3]),
    channel=st.sampled_from(["email", "email", "email", "sms"]),
)
def test_preflight_and_launch_say_the_same(
    limits: dict[str, int | None],
    overage: dict[str, Any],
    taken: dict[str, int],
    accept: int | None,
    channel: str,
    make_draft: MakeDraft,
    now: datetime,
) -> None:
    where = _crowded(limits | {"templates": None}, overage, taken, now)
    draft = make_draft(within=where, people=2, accept_overage=accept, channel=channel)

    foretold = _outcome(lambda: preflight.rehearse(scope=where, campaign=draft, action="launch", now=now))
    happened = _outcome(lambda: _launch(where, draft, now))

    assert foretold == happened
    assert (fresh(draft).state == State.SENDING) == (happened is None)


def test_a_campaign_that_cannot_make_the_move_fails_its_preflight(
    scope: Scope, now: datetime, make_draft: MakeDraft, launch_it: Callable[..., Campaign]
) -> None:
    sending = launch_it(make_draft())
    with pytest.raises(DomainError) as refused:
        preflight.rehearse(scope=scope, campaign=sending, action="launch", now=now)
    assert refused.value.code == "CAMPAIGN_STATE"
    with pytest.raises(DomainError, match="proposes no time"):
        preflight.rehearse(scope=scope, campaign=make_draft("Other"), action="schedule", now=now)


def test_launch_and_schedule_are_checked_against_their_own_period(
    scope: Scope, now: datetime, plan: Callable[..., None], make_draft: MakeDraft
) -> None:
    december = datetime(2026, 12, 2, 9, tzinfo=UTC)
    draft = make_draft(scheduled_at=december, time_zone="UTC")
    plan("growth", at=now - timedelta(minutes=1), included_email_volume=3)
    with transaction.atomic():
        asks = [Ask("included_email_volume", 1)]
        reservations.reserve(scope=scope, actor=SYSTEM, purpose="launch:x:1", asks=asks, at=now, now=now)

    assert preflight.rehearse(scope=scope, campaign=draft, action=None, now=now).ready
    with pytest.raises(PlanLimitExceeded):
        preflight.rehearse(scope=scope, campaign=draft, action="launch", now=now)


def test_every_remedy_of_a_402_works_as_the_rest_call_that_it_names(
    api: Callable[..., Any], world: World, plan: Callable[..., None], make_draft: MakeDraft
) -> None:
    """Each way on a campaign of its own; afterwards the preflight passes."""
    plan("starter", at=datetime.now(UTC) - timedelta(minutes=5), included_email_volume=4)
    _fill(world.production, 2)
    client = api()
    found = set()
    for kind in ("wait", "reduce_audience", "accept_overage", "add_on", "upgrade"):
        draft = make_draft(f"By {kind}")
        where = f"/api/v1/campaigns/{draft.public_id}"
        refused = client.post(f"{where}/preflight")
        assert refused.status_code == 402
        way = next(way for way in refused.json()["remedies"] if way["kind"] == kind)
        action = way["action"]
        headers = {"If-Match": f'"{draft.state_version}"'} if action["path"].startswith(where) else {}
        call = {"PATCH": client.patch, "POST": client.post}[action["method"]]
        done = call(action["path"], action["body"], format="json", headers=headers)
        assert done.status_code in (200, 201), done.content
        assert client.post(f"{where}/preflight").status_code == 200, kind
        found.add(kind)
        if kind == "add_on":
            plan("starter", at=datetime.now(UTC), included_email_volume=0)
            _fill(world.production, 9_996)
    assert found == {"wait", "reduce_audience", "accept_overage", "add_on", "upgrade"}
    waiting = Campaign.objects.within(world.production).get(name="By wait")
    assert (waiting.state, waiting.scheduled_at is not None) == ("scheduled", True)


def test_waiting_by_a_click_proposes_the_first_time_that_fits(
    scope: Scope, plan: Callable[..., None], make_draft: MakeDraft, browser_of: Callable[..., Client], world: World
) -> None:
    now = datetime.now(UTC)
    draft = make_draft(people=3)
    plan("starter", at=now - timedelta(minutes=5), included_email_volume=4)
    _fill(scope, 2)
    browser, page = browser_of(world.alice), f"/{scope.path}/campaigns/{draft.public_id}/"

    text = browser.get(page).content.decode()
    until = text.split('name="until" value="')[1].split('"')[0]
    form = {"kind": "wait", "until": until, "state_version": draft.state_version}
    assert browser.post(f"{page}fix/", form).status_code == 302

    waiting = fresh(draft)
    assert waiting.scheduled_at is not None and waiting.scheduled_at > now
    assert preflight.rehearse(scope=scope, campaign=waiting, action="schedule", now=now).ready
    assert browser.post(f"{page}fix/", form | {"until": "soon"}).status_code == 422


def test_a_click_reduces_the_audience_to_those_who_fit_and_the_rest_are_left_out_by_name(
    scope: Scope,
    now: datetime,
    plan: Callable[..., None],
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
    browser_of: Callable[..., Client],
    world: World,
) -> None:
    """The audience and the volume are too small at once; both are cured by the one number that fits."""
    draft = make_draft(people=5, consent=5)
    plan("starter", at=now - timedelta(minutes=5), included_email_volume=4, audience_per_campaign=3)
    browser, page = browser_of(world.alice), f"/{scope.path}/campaigns/{draft.public_id}/"

    text = browser.get(page).content.decode()
    assert "Reduce the audience to 3" in text
    form = {"kind": "reduce_audience", "people": "3", "state_version": draft.state_version}
    assert browser.post(f"{page}fix/", form).status_code == 302

    reduced = fresh(draft)
    assert reduced.total_cap == 3
    entry = AuditEntry.objects.get(action="campaign.updated")
    assert (entry.before, entry.after) == ({"totalCap": None}, {"totalCap": 3})
    running = launch_it(reduced)
    everybody = recipients.page(scope=scope, campaign=running, outcome="", after=None, size=9).rows
    assert [(row.position, row.outcome, row.reason) for row in everybody] == [
        (1, "pending", ""),
        (2, "pending", ""),
        (3, "pending", ""),
        (4, "cancelled", "send_limit"),
        (5, "cancelled", "send_limit"),
    ]
    for outcome, positions in (("pending", [1, 2, 3]), ("cancelled", [4, 5])):
        found = recipients.page(scope=scope, campaign=running, outcome=outcome, after=None, size=9).rows
        assert [row.position for row in found] == positions
    known = Person.objects.within(scope).order_by("pk").values_list("public_id", flat=True)
    assert [row.person for row in everybody] == list(known)


def test_accepting_overage_says_who_when_and_how_much(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft
) -> None:
    draft = make_draft()
    drafts.edit(
        scope=scope,
        actor=actor,
        campaign_id=draft.public_id,
        changes={"accept_overage": 5_000},
        version=draft.state_version,
        now=now,
    )

    entry = AuditEntry.objects.get(action="limit.overage_accepted")
    assert (entry.subject_id, entry.actor_id, entry.occurred_at) == (draft.public_id, actor.id, now)
    assert entry.after == {"messages": 5_000, "estimate": "4.00", "currency": "USD", "plan": "growth"}


def test_money_is_asked_for_in_a_dialog_with_its_price(
    scope: Scope, plan: Callable[..., None], make_draft: MakeDraft, browser_of: Callable[..., Client], world: World
) -> None:
    draft = make_draft(people=3)
    plan("starter", at=datetime.now(UTC) - timedelta(minutes=5), included_email_volume=2)
    page = f"/{scope.path}/campaigns/{draft.public_id}/?confirm=fix-add_on-email_10k"

    text = browser_of(world.alice).get(page).content.decode()

    assert '<dialog id="fix-add_on-email_10k" class="confirm"' in text and "$8 a month" in text
    assert text.split('<dialog id="fix-add_on-email_10k"')[1].split(">")[0].endswith(" open")
    assert "<dialog id=" in text and 'id="fix-' not in browser_of(world.bob).get(page).content.decode()


def test_with_an_upgrade_address_of_a_billing_system_the_button_leads_there(
    scope: Scope,
    plan: Callable[..., None],
    make_draft: MakeDraft,
    browser_of: Callable[..., Client],
    world: World,
    settings: Any,
) -> None:
    settings.UPGRADE_URL = "https://billing.example/{workspace}/upgrade?to={plan}"
    draft = make_draft(people=3)
    plan("starter", at=datetime.now(UTC) - timedelta(minutes=5), included_email_volume=2)

    text = browser_of(world.alice).get(f"/{scope.path}/campaigns/{draft.public_id}/").content.decode()

    assert f'href="https://billing.example/{scope.workspace}/upgrade?to=growth"' in text


def _crowded(limits: dict[str, int | None], overage: dict[str, Any], taken: dict[str, int], now: datetime) -> Scope:
    """A new workspace with these limits, of which others hold as much as fits of `taken`."""
    where = new_scope()
    Environment.objects.filter(pk=where.environment_id).update(sender_name="W", sender_address="w@w.example")
    with transaction.atomic():
        subscriptions.start(workspace_id=where.workspace_id, plan="growth", now=now - timedelta(days=3))
        for key, wanted in taken.items():
            asks = [Ask(key, wanted)]
            reservations.reserve(scope=where, actor=SYSTEM, purpose=f"other:{key}", asks=asks, at=now, now=now)
        subscriptions.start(
            workspace_id=where.workspace_id,
            plan="growth",
            now=now - timedelta(hours=1),
            overrides={**limits, "overage": overage},  # type: ignore[dict-item]
        )
    return where


def _outcome(step: Callable[[], Any]) -> Any:
    """None, or what refused it: the code, and for a 402 every violation and remedy."""
    try:
        step()
    except DomainError as refusal:
        return refusal.code, refusal.detail, refusal.extra.get("violations"), refusal.extra.get("remedies")
    return None


def _launch(where: Scope, draft: Campaign, now: datetime) -> None:
    """Both steps; what the worker finds out later is raised as what it left on the draft."""
    launch.request_launch(scope=where, actor=SYSTEM, campaign_id=draft.public_id, version=None, now=now)
    launch.run_launch(scope=where, campaign_id=draft.pk, now=now)
    blockers = fresh(draft).blockers
    assert not blockers, "the request let pass what the worker refused"


def _fill(where: Scope, quantity: int) -> None:
    now = datetime.now(UTC)
    with transaction.atomic():
        asks = [Ask("included_email_volume", quantity)]
        reservations.reserve(
            scope=where, actor=SYSTEM, purpose=f"launch:{now.timestamp()}:1", asks=asks, at=now, now=now
        )
