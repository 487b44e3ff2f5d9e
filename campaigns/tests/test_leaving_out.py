"""A draft says whom it leaves out; the count before and the snapshot after the launch agree with it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from audiences import segments
from audiences.exclusions import HOLD_OUT, draw
from audiences.models import Person, Snapshot
from campaigns import drafts, launch, lifecycle, preflight
from campaigns.models import Campaign, State
from campaigns.tests.conftest import MakeDraft, fresh
from conftest import World
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Actor, Scope

Launch = Callable[..., Campaign]
EVERYTHING: dict[str, Any] = {
    "frequencyCap": {"messages": 2, "days": 7},
    "holdOutPercent": 12.5,
    "excludedSegments": ["staff"],
}


@pytest.fixture
def alice(world: World, browser_of: Callable[..., Client]) -> Client:
    return browser_of(world.alice)


@pytest.fixture
def staff(scope: Scope, actor: Actor, now: datetime) -> str:
    return segments.create(scope=scope, actor=actor, name="Staff", now=now).slug


def test_rest_keeps_what_is_left_out(api: Callable[..., Any], staff: str, growth: None) -> None:
    client = api()
    made = client.post("/api/v1/campaigns", {"name": "Spring", **EVERYTHING}, format="json")
    assert made.status_code == 201, made.json()
    assert {name: made.json()[name] for name in EVERYTHING} == EVERYTHING
    where, version = f"/api/v1/campaigns/{made.json()['id']}", made.json()["etag"]
    nothing: dict[str, Any] = {"frequencyCap": None, "holdOutPercent": None, "excludedSegments": []}
    changed = client.patch(where, nothing, format="json", headers={"If-Match": version})
    assert {name: changed.json()[name] for name in EVERYTHING} == nothing


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"excluded_segments": ("nobody",)}, "#/excludedSegments"),
        ({"hold_out_percent": 91}, "#/holdOutPercent"),
        ({"frequency_cap": {"messages": 0, "days": 7}}, "#/frequencyCap/messages"),
        ({"frequency_cap": {"messages": 1, "days": 400}}, "#/frequencyCap/days"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    scope: Scope, actor: Actor, now: datetime, wrong: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        drafts.create(scope=scope, actor=actor, setup=drafts.Setup(name="Spring", **wrong), now=now)
    assert [each.pointer for each in refusal.value.problems] == [pointer]


def test_the_preflight_counts_what_the_launch_freezes(
    scope: Scope, now: datetime, make_draft: MakeDraft, launch_it: Launch
) -> None:
    draft = make_draft(people=12, hold_out_percent=50)
    report = preflight.report(scope=scope, campaign=draft, at=now, now=now)
    people = Person.objects.within(scope).values_list("pk", flat=True)
    held = [pk for pk in people if draw(salt=draft.public_id, what=HOLD_OUT, person_id=pk) < 5_000]
    sending = launch_it(draft)
    assert sending.snapshot is not None
    assert sending.snapshot.excluded_counts == {"held_out": len(held)}
    assert sending.snapshot.included == report.audience_count == 12 - len(held)


def test_cancelling_while_the_audience_is_resolved_leaves_no_snapshot(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = make_draft()
    launch.request_launch(scope=scope, actor=actor, campaign_id=draft.public_id, version=draft.state_version, now=now)
    load = lifecycle.load

    def cancelled_after_load(**where: Any) -> Campaign:
        found: Campaign = load(**where)
        monkeypatch.setattr(lifecycle, "load", load)
        launch.cancel(scope=scope, actor=actor, campaign_id=draft.public_id, version=None, now=now)
        return found

    monkeypatch.setattr(lifecycle, "load", cancelled_after_load)
    launch.run_launch(scope=scope, campaign_id=draft.pk, now=now)
    assert fresh(draft).state == State.CANCELLED
    assert not Snapshot.objects.within(scope).exists()


def test_the_form_asks_for_it_and_shows_it_again(
    scope: Scope, alice: Client, staff: str, growth: None, make_draft: MakeDraft
) -> None:
    where = f"/{scope.workspace_slug}/{scope.project_slug}/{scope.environment}/campaigns/new/"
    sent = {
        "name": "Spring", "channel": "email", "timing": "now", "time_zone": "Europe/Berlin", "cap_messages": "2",
        "cap_days": "7", "hold_out_percent": "12.5", "excluded_segments": ["staff"], "state_version": "",
    }  # fmt: skip
    refused = alice.post(where, {**sent, "cap_days": ""})
    assert refused.status_code == 422 and "A cap needs both numbers" in refused.content.decode()
    made = alice.post(where, sent, follow=True)
    assert made.status_code == 200
    draft = Campaign.objects.within(scope).get(name="Spring")
    assert draft.exclusions == {
        "frequencyCap": {"messages": 2, "days": 7}, "holdOutPoints": 1250, "excludedSegments": ["staff"]
    }  # fmt: skip
    page = made.content.decode()
    assert "Frequency cap" in page and "Held out" in page and "staff" in page
    shown = alice.get(f"{where.removesuffix('new/')}{draft.public_id}/edit/").content.decode()
    assert 'value="12.5"' in shown or 'value="12.50"' in shown
