"""Rules about pace reach the job, are shown before launch, and cap what a launch is charged."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from audiences import contacts
from audiences.models import Person
from audit.models import AuditEntry
from campaigns import drafts, holds
from campaigns.models import Campaign
from campaigns.tests.conftest import MakeDraft, fresh
from conftest import World
from delivery.models import SendJob
from delivery.pacing.calendar import offset_changes
from delivery.pacing.forecast import Group
from delivery.pacing.remaining import by_turn
from projects.scoping import Actor, Scope

RULES: dict[str, Any] = {
    "zone": "recipient",
    "window": {"opens": "09:00", "closes": "17:00", "days": [1, 2, 3, 4, 5, 6, 7]},
    "quietHours": {"from": "21:00", "until": "08:00"},
    "past": "next_window",
    "waves": [1, 2],
    "domainLimits": {"example.com": 600},
}


def test_rest_takes_the_rules_and_shows_them_again(
    scope: Scope, api: Callable[..., APIClient], make_draft: MakeDraft
) -> None:
    draft = make_draft()
    client = api()

    answer = client.patch(
        f"/api/v1/campaigns/{draft.public_id}",
        {"totalCap": 2, "sendingRules": RULES},
        format="json",
        headers={"If-Match": f'"{draft.state_version}"'},
    )

    assert answer.status_code == 200, answer.json()
    assert (answer.json()["totalCap"], answer.json()["sendingRules"]) == (2, RULES)
    entry = AuditEntry.objects.filter(subject_id=draft.public_id, action="campaign.updated").get()
    assert (
        entry.after is not None and entry.after["totalCap"] == 2 and "at most 1, 2 a day" in entry.after["sendingRules"]
    )


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"sendingRules": {"window": {"opens": "25:00", "closes": "17:00"}}}, "#/sendingRules/window/opens"),
        ({"sendingRules": {"waves": [0]}}, "#/sendingRules/waves/0"),
        ({"sendingRules": {"domainLimits": {"x": 1}}}, "#/sendingRules/domainLimits"),
        ({"totalCap": 0}, "#/totalCap"),
    ],
)
def test_rules_that_make_no_sense_are_refused_at_their_place(
    scope: Scope, api: Callable[..., APIClient], make_draft: MakeDraft, body: dict[str, Any], pointer: str
) -> None:
    draft = make_draft()

    answer = api().patch(
        f"/api/v1/campaigns/{draft.public_id}", body, format="json", headers={"If-Match": f'"{draft.state_version}"'}
    )

    assert answer.status_code == 422
    assert pointer in [each["pointer"] for each in answer.json()["errors"]]
    assert fresh(draft).state_version == draft.state_version


@pytest.mark.parametrize("verb", ["post", "patch"])
def test_a_time_that_is_over_is_refused_with_the_servers_own(
    scope: Scope, api: Callable[..., APIClient], make_draft: MakeDraft, verb: str
) -> None:
    body: dict[str, Any] = {"scheduledAt": "2020-01-01T09:00:00Z"}
    if verb == "post":
        answer = api().post("/api/v1/campaigns", body | {"name": "Late"}, format="json")
    else:
        draft = make_draft()
        path, match = f"/api/v1/campaigns/{draft.public_id}", {"If-Match": f'"{draft.state_version}"'}
        answer = api().patch(path, body, format="json", headers=match)

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "#/scheduledAt" and "it is 20" in error["detail"] and "UTC here" in error["detail"]


def test_a_draft_whose_time_passed_can_still_be_edited(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft
) -> None:
    draft = make_draft(scheduled_at=now + timedelta(hours=1))
    given: dict[str, Any] = {"scope": scope, "actor": actor, "campaign_id": draft.public_id, "version": 1}

    edited = drafts.edit(changes={"name": "Later"}, now=now + timedelta(days=1), **given)

    assert edited.name == "Later"


def test_the_simulator_shows_every_day_and_changes_nothing(
    scope: Scope, api: Callable[..., APIClient], make_draft: MakeDraft
) -> None:
    draft = make_draft(people=4, consent=4, sending_rules=RULES)
    Person.objects.within(scope).filter(external_id="u1").update(time_zone="Asia/Tokyo")
    change = _clocks_go_forward("Europe/Berlin")
    days = [change + timedelta(days=offset) for offset in (-1, 0, 1)]
    at = f"{days[0]}T09:00:00Z"
    path = f"/api/v1/campaigns/{draft.public_id}/simulate"

    with CaptureQueriesContext(connection) as queries:
        answer = api().get(path, {"at": at})

    assert answer.status_code == 200, answer.json()
    found = answer.json()
    assert (found["people"], found["exact"], found["withoutTimeZone"]) == (4, True, 3)
    assert [(day["date"], day["wave"], day["limit"], day["people"]) for day in found["days"]] == [
        (str(days[0]), 1, 1, 1),
        (str(days[1]), 2, 2, 2),
        (str(days[2]), 3, None, 1),
    ]
    assert [day["clocksMoveMinutes"] for day in found["days"]] == [0, 60, 0]
    assert found["days"][1]["timeZones"] == [
        {"timeZone": "Asia/Tokyo", "people": 1},
        {"timeZone": "Europe/Berlin", "people": 1},
    ]
    assert len(queries) <= 18
    other = api().post(path, {"at": at, "sendingRules": {}, "totalCap": 3}, format="json").json()
    assert ([day["people"] for day in other["days"]], other["beyondCap"]) == ([3], 1)
    assert fresh(draft).sending_rules == draft.sending_rules and fresh(draft).total_cap is None


def _clocks_go_forward(zone: str) -> date:
    """The next day, not before the day after tomorrow, on which they do."""
    first = datetime.now(UTC).date() + timedelta(days=2)
    days = (first + timedelta(days=n) for n in range(366))
    return next(day for day in days if offset_changes(zone, day) > timedelta())


def test_people_whom_the_frequency_cap_leaves_out_are_named_as_of_the_start(
    scope: Scope, now: datetime, api: Callable[..., APIClient], make_draft: MakeDraft
) -> None:
    draft = make_draft(people=4, consent=4, frequency_cap={"messages": 1, "days": 7})
    path = f"/api/v1/campaigns/{draft.public_id}/simulate"
    moment = datetime.now(UTC)
    month, people = moment.date().replace(day=1), Person.objects.within(scope).order_by("pk")
    with transaction.atomic():
        contacts.introduce(scope=scope, subject="cmp_before", name="Before", month=month, now=moment)
        reached = list(people.values_list("pk", flat=True)[:3])
        contacts.record(scope=scope, subject="cmp_before", person_ids=reached, at=moment)

    soon = api().get(path, {"at": (moment + timedelta(hours=1)).isoformat()}).json()
    later = api().get(path, {"at": (moment + timedelta(days=8)).isoformat()}).json()

    assert (soon["people"], soon["contactedTooOften"]) == (1, 3)
    assert (later["people"], later["contactedTooOften"]) == (4, 0)


def test_nothing_is_simulated_without_an_audience(
    scope: Scope, actor: Actor, now: datetime, api: Callable[..., APIClient], growth: None
) -> None:
    draft = drafts.create(scope=scope, actor=actor, setup=drafts.Setup(name="Empty"), now=now)
    path = f"/api/v1/campaigns/{draft.public_id}/simulate"

    assert api().get(path).json()["errorCode"] == "NOTHING_TO_SIMULATE"
    assert api().get(path, {"at": "tomorrow"}).status_code == 422


def test_a_launch_freezes_the_rules_and_charges_no_more_than_the_send_limit(
    scope: Scope,
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign],
    now: datetime,
) -> None:
    draft = make_draft(people=5, consent=5, total_cap=3, sending_rules={"waves": [100]})

    running = launch_it(draft)
    job = SendJob.objects.within(scope).get(pk=running.job_id)
    assert (job.total_cap, job.pacing["waves"], job.pacing["timeZone"]) == (3, [100], "Europe/Berlin")
    assert by_turn(scope=scope, job=job) == {Group(): 3}
    ended = send_it(running)

    assert ended.state == "completed" and ended.books_closed_at == now
    assert holds.used(scope=scope, campaign=ended) == 3
    assert by_turn(scope=scope, job=job) == {}


def test_the_form_takes_rules_and_names_what_is_wrong_beside_the_field(
    scope: Scope, world: World, browser_of: Callable[..., Client], make_draft: MakeDraft
) -> None:
    draft = make_draft()
    browser = browser_of(world.alice)
    path = f"/{scope.path}/campaigns/{draft.public_id}/edit/"
    values = {
        "name": draft.name, "channel": "email", "timing": "now", "time_zone": "Europe/Berlin",
        "template": draft.template_version.template.public_id, "audience": draft.audience.public_id,
        "state_version": draft.state_version, "opens": "09:00", "closes": "17:00", "days": ["1", "2"],
        "zone": "recipient", "past": "skip", "waves": "500, 2000", "domain_limits": "gmail.com 600", "total_cap": "9",
    }  # fmt: skip

    wrong = browser.post(path, values | {"closes": "25:61", "waves": "many"})
    assert wrong.status_code == 422
    assert "Write numbers with commas between" in wrong.content.decode()
    assert browser.post(path, values | {"closes": "25:61"}).content.decode().count("Write a time such as 09:30.") >= 1

    assert browser.post(path, values).status_code == 302
    kept = fresh(draft)
    assert kept.total_cap == 9 and kept.sending_rules == {
        "zone": "recipient",
        "window": {"opens": "09:00", "closes": "17:00", "days": [1, 2]},
        "quietHours": None,
        "past": "skip",
        "waves": [500, 2000],
        "domainLimits": {"gmail.com": 600},
    }
    shown = browser.get(path).content.decode()
    assert 'value="500, 2000"' in shown and "gmail.com 600" in shown


def test_the_pages_show_the_plan_before_launch(
    scope: Scope, world: World, browser_of: Callable[..., Client], make_draft: MakeDraft
) -> None:
    draft = make_draft(people=4, consent=4, sending_rules=RULES, total_cap=3)
    browser = browser_of(world.bob)
    browser.get(f"/{scope.path}/campaigns/{draft.public_id}/")

    with CaptureQueriesContext(connection) as queries:
        whole = browser.get(f"/{scope.path}/campaigns/{draft.public_id}/plan/")

    assert whole.status_code == 200 and len(queries) <= 20
    text = whole.content.decode()
    assert "Beyond the send limit" in text and "At most 1, 2 a day, then everybody" in text
    page = browser.get(f"/{scope.path}/campaigns/{draft.public_id}/").content.decode()
    assert 'id="plan-h"' in page and "1 person stands behind the send limit" in page


def test_a_draft_without_rules_says_nothing_about_them(
    scope: Scope, world: World, browser_of: Callable[..., Client], make_draft: MakeDraft
) -> None:
    draft = make_draft()

    page = browser_of(world.alice).get(f"/{scope.path}/campaigns/{draft.public_id}/").content.decode()

    assert 'id="plan-h"' not in page
