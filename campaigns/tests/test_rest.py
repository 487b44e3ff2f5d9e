"""The REST contract: versions in headers, refusals as problem documents, nothing unknown is ignored."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from campaigns.models import Campaign, State
from campaigns.tests.conftest import MESSAGE, MakeDraft, fresh
from conftest import World
from projects.roles import ROLES
from projects.scoping import Scope

Api = Callable[..., APIClient]
TEMPLATE = {"name": "News", "subject": MESSAGE.subject, "preheader": "", "body": MESSAGE.body}
PROBLEM = "application/problem+json"


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == PROBLEM
    body: dict[str, Any] = answer.json()
    assert body["errorCode"] == code and body["status"] == status and body["traceId"]
    return body


def test_a_campaign_from_template_to_launch(api: Api, make_draft: MakeDraft, scope: Scope) -> None:
    audience = fresh(make_draft()).audience
    assert audience is not None
    client = api()

    template = client.post("/api/v1/templates", TEMPLATE | {"name": "Fresh"}, format="json")
    assert template.status_code == 201 and template.json()["latestVersion"] == 1
    body = {"name": "Spring", "templateId": template.json()["id"], "audienceId": audience.public_id}
    made = client.post("/api/v1/campaigns", body, format="json")
    assert made.status_code == 201 and made["ETag"] == made.json()["etag"] == '"1"'
    where = f"/api/v1/campaigns/{made.json()['id']}"

    changed = client.patch(where, {"ratePerMinute": 600}, format="json", headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["ratePerMinute"], changed["ETag"]) == (200, 600, '"2"')
    checks = client.get(f"{where}/preflight").json()
    assert checks["ready"] is True and checks["audience"] == 3

    launched = client.post(f"{where}/launch", headers={"If-Match": '"2"', "Idempotency-Key": "once"})
    again = client.post(f"{where}/launch", headers={"If-Match": '"2"', "Idempotency-Key": "once"})

    assert launched.status_code == again.status_code == 202
    assert launched["Location"] == where and launched.json()["state"] == "launching"
    assert launched.json()["freezing"] == {"phase": "waiting", "written": 0, "expected": 3}
    assert again["Idempotency-Replayed"] == "true"
    assert Campaign.objects.within(scope).filter(state=State.LAUNCHING).count() == 1


def test_preconditions(api: Api, make_draft: MakeDraft) -> None:
    draft = make_draft()
    client, where = api(), f"/api/v1/campaigns/{draft.public_id}"

    problem(client.patch(where, {"name": "x"}, format="json"), 428, "PRECONDITION_REQUIRED")
    stale = problem(
        client.patch(where, {"name": "x"}, format="json", headers={"If-Match": '"9"'}), 412, "STALE_VERSION"
    )
    assert stale["etag"] == '"1"'
    problem(client.post(f"{where}/launch"), 428, "PRECONDITION_REQUIRED")
    problem(client.delete(where), 428, "PRECONDITION_REQUIRED")
    problem(client.post(f"{where}/pause", headers={"If-Match": '"1"'}), 409, "CAMPAIGN_STATE")
    assert fresh(draft).state_version == 1


def test_unknown_fields_and_wrong_values_name_their_place(api: Api, make_draft: MakeDraft, scope: Scope) -> None:
    make_draft()
    client = api()

    body = {"name": "x", "colour": "red", "ratePerMinute": 0, "channel": "pigeon"}
    found = problem(client.post("/api/v1/campaigns", body, format="json"), 422, "INVALID")
    assert {"#/colour"} <= {each["pointer"] for each in found["errors"]}
    body = {"name": "x", "templateId": "tpl_nope", "audienceId": "aud_nope", "timeZone": "Mars/Olympus"}
    found = problem(client.post("/api/v1/campaigns", body, format="json"), 422, "INVALID")
    assert [each["pointer"] for each in found["errors"]] == ["#/templateId", "#/audienceId", "#/timeZone"]
    bad = client.post("/api/v1/campaigns", b'{"name": "x", "name": "y"}', content_type="application/json")
    problem(bad, 400, "MALFORMED_JSON")
    assert Campaign.objects.within(scope).count() == 1


def test_402_carries_every_limit_and_lambas_fields(
    api: Api, make_draft: MakeDraft, plan: Callable[..., None], now: datetime
) -> None:
    draft = make_draft(people=3)
    plan("starter", at=now - timedelta(minutes=1), audience_per_campaign=2, included_email_volume=2)
    client, where = api(), f"/api/v1/campaigns/{draft.public_id}"

    found = problem(client.post(f"{where}/launch", headers={"If-Match": '"1"'}), 402, "PLAN_LIMIT_EXCEEDED")
    same = problem(client.post(f"{where}/preflight"), 402, "PLAN_LIMIT_EXCEEDED")

    assert found["error"] == "PLAN_LIMIT_EXCEEDED" and found["limit"] == "audience_per_campaign"
    assert (found["allowed"], found["current"], found["plan"]) == (2, 3, "starter")
    assert len(found["violations"]) == 2 and found["remedies"][0]["kind"] == "upgrade"
    assert same["violations"] == found["violations"]
    assert client.get(f"{where}/preflight").json()["ready"] is False
    assert fresh(draft).state == State.DRAFT


def test_schedule_takes_wall_clock_time_in_a_zone(api: Api, make_draft: MakeDraft) -> None:
    draft = make_draft()
    client, where = api(), f"/api/v1/campaigns/{draft.public_id}"
    ahead = timezone.now() + timedelta(days=2)
    headers = {"If-Match": '"1"'}

    past = client.post(f"{where}/schedule", {"at": "2020-01-01T00:00:00Z"}, format="json", headers=headers)
    assert problem(past, 422, "TIME_PASSED")["errors"][0]["pointer"] == "#/at"
    nonsense = client.post(f"{where}/schedule", {"at": "soon"}, format="json", headers=headers)
    problem(nonsense, 422, "INVALID")
    body = {"at": f"{ahead:%Y-%m-%d}T12:00:00", "timeZone": "UTC"}
    done = client.post(f"{where}/schedule", body, format="json", headers=headers)

    assert done.status_code == 200
    assert done.json()["state"] == "scheduled" and done.json()["scheduledAt"] == f"{ahead:%Y-%m-%d}T12:00:00Z"
    undone = client.post(f"{where}/unschedule", headers={"If-Match": done["ETag"]})
    assert undone.json()["state"] == "draft"


def test_books_and_recipients(
    api: Api, make_draft: MakeDraft, launch_it: Callable[..., Campaign], send_it: Callable[..., Campaign]
) -> None:
    draft = make_draft(people=4, consent=3)
    client, where = api(), f"/api/v1/campaigns/{draft.public_id}"
    problem(client.get(f"{where}/books"), 409, "NOT_LAUNCHED")
    send_it(launch_it(draft))

    books = client.get(f"{where}/books").json()
    people = client.get(f"{where}/recipients?limit=2").json()
    rest = client.get(f"{where}/recipients?limit=2&cursor={people['nextCursor']}").json()
    left_out = client.get(f"{where}/recipients?outcome=excluded").json()

    assert (books["planned"], books["excluded"], books["accounts"]["accepted"], books["residual"]) == (4, 1, 3, 0)
    assert books["excludedByReason"] == {"no_consent": 1} and len(books["digest"]) == 64
    assert [row["address"] for row in people["items"] + rest["items"]] == [f"u{n}@example.com" for n in (1, 2, 3)]
    assert rest["nextCursor"] is None
    assert [(row["outcome"], row["reason"]) for row in left_out["items"]] == [("excluded", "no_consent")]
    problem(client.get(f"{where}/recipients?outcome=happy"), 422, "INVALID")
    verdicts = [client.get(row["explain"]).json()["verdict"] for row in (people["items"][0], left_out["items"][0])]
    assert verdicts == [
        "In: the rule matches and nothing forbids contact.",
        "Not in: The person has not agreed to be contacted by this channel.",
    ]
    assert client.get(where).json()["balance"]["accounts"]["accepted"] == 3


def test_an_export_can_not_run_as_a_formula(
    api: Api,
    make_draft: MakeDraft,
    make_people: Any,
    launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign],
) -> None:
    make_people(1, prefix="=cmd")
    draft = make_draft(people=1)
    send_it(launch_it(draft))

    answer = api().get(f"/api/v1/campaigns/{draft.public_id}/recipients.csv")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]

    assert "'=cmd1@example.com" in text and ",=cmd1" not in text


def test_copy_and_delete(api: Api, make_draft: MakeDraft, scope: Scope) -> None:
    draft = make_draft()
    client, where = api(), f"/api/v1/campaigns/{draft.public_id}"

    copied = client.post(f"{where}/copy")
    assert copied.status_code == 201 and copied.json()["name"] == "Spring renewal (copy)"
    assert client.delete(where, headers={"If-Match": '"1"'}).status_code == 204

    problem(client.get(where), 404, "NOT_FOUND")
    assert Campaign.objects.within(scope).count() == 1


def test_templates_by_version(api: Api, growth: None) -> None:
    client = api()
    made = client.post("/api/v1/templates", TEMPLATE, format="json")
    where = f"/api/v1/templates/{made.json()['id']}"

    drafted = client.patch(where, {"subject": "New"}, format="json", headers={"If-Match": made["ETag"]})
    assert drafted.json()["hasDraft"] is True
    assert made.json()["draft"] is None
    draft = client.get(where).json()["draft"]
    assert (draft["subject"], draft["body"]) == ("New", TEMPLATE["body"])
    assert "draft" not in client.get("/api/v1/templates").json()["items"][0]
    body = {"subject": "New {{ nobody }}", "body": "Text"}
    wrong = client.post(f"{where}/versions", body, format="json", headers={"If-Match": drafted["ETag"]})
    assert problem(wrong, 422, "INVALID")["errors"][0]["pointer"] == "#/subject"
    body = {"subject": "New", "body": "Text"}
    second = client.post(f"{where}/versions", body, format="json", headers={"If-Match": drafted["ETag"]})
    assert second.status_code == 201 and second.json()["number"] == 2
    assert [row["number"] for row in client.get(f"{where}/versions").json()["items"]] == [2, 1]
    shown = client.post(f"{where}/preview", {"subject": "Hi {{ person.given_name }}"}, format="json")
    assert shown.status_code == 200 and shown.json()["subject"] == "Hi Ada"
    assert client.delete(where, headers={"If-Match": second["ETag"]}).status_code == 204
    assert client.get(where).json()["status"] == "archived"


def test_a_key_of_the_sandbox_sees_nothing_of_production(api: Api, world: World, make_draft: MakeDraft) -> None:
    draft = make_draft()
    client = api(world.sandbox)

    assert client.get("/api/v1/campaigns").json()["items"] == []
    problem(client.get(f"/api/v1/campaigns/{draft.public_id}"), 404, "NOT_FOUND")
    problem(client.post(f"/api/v1/campaigns/{draft.public_id}/launch", headers={"If-Match": '"1"'}), 404, "NOT_FOUND")


NEEDS = [
    ("GET", "campaigns", "console.read"),
    ("POST", "campaigns", "campaigns.write"),
    ("GET", "campaigns/{c}", "console.read"),
    ("PATCH", "campaigns/{c}", "campaigns.write"),
    ("DELETE", "campaigns/{c}", "campaigns.write"),
    ("POST", "campaigns/{c}/copy", "campaigns.write"),
    ("GET", "campaigns/{c}/preflight", "console.read"),
    ("POST", "campaigns/{c}/launch", "campaigns.launch"),
    ("POST", "campaigns/{c}/schedule", "campaigns.launch"),
    ("POST", "campaigns/{c}/unschedule", "campaigns.launch"),
    ("POST", "campaigns/{c}/pause", "campaigns.launch"),
    ("POST", "campaigns/{c}/resume", "campaigns.launch"),
    ("POST", "campaigns/{c}/cancel", "campaigns.launch"),
    ("GET", "campaigns/{c}/books", "console.read"),
    ("GET", "campaigns/{c}/books.csv", "people.export"),
    ("GET", "campaigns/{c}/recipients", "people.read"),
    ("GET", "campaigns/{c}/recipients.csv", "people.export"),
    ("GET", "templates", "console.read"),
    ("POST", "templates", "templates.write"),
    ("PATCH", "templates/tpl_x", "templates.write"),
    ("POST", "templates/tpl_x/versions", "templates.write"),
    ("POST", "templates/tpl_x/preview", "people.read"),
]


@pytest.mark.parametrize(("method", "path", "permission"), NEEDS)
def test_a_key_needs_the_permission(api: Api, make_draft: MakeDraft, method: str, path: str, permission: str) -> None:
    address = f"/api/v1/{path.format(c=make_draft(people=0).public_id)}"
    others = ROLES["owner"] - {permission}

    without = getattr(api(permissions=sorted(others)), method.lower())(address)
    with_it = getattr(api(permissions=[permission]), method.lower())(address)

    assert problem(without, 403, "AUTHORIZATION_DENIED")["permission"] == permission
    assert with_it.status_code not in (401, 403, 405, 500)


def test_accepting_overage_needs_billing(api: Api, make_draft: MakeDraft) -> None:
    draft = make_draft()
    client = api(permissions=["campaigns.write"])

    refused = client.patch(
        f"/api/v1/campaigns/{draft.public_id}", {"acceptOverage": 5}, format="json", headers={"If-Match": '"1"'}
    )

    assert problem(refused, 403, "AUTHORIZATION_DENIED")["permission"] == "billing.manage"


def test_a_proposed_time_without_its_offset_is_refused(api: Callable[..., APIClient]) -> None:
    body = {"name": "Summer", "scheduledAt": "2027-07-01T09:00:00", "timeZone": "Europe/Berlin"}
    answer = api().post("/api/v1/campaigns", body, format="json")
    (found,) = answer.json()["errors"]
    assert (answer.status_code, found["pointer"], found["code"]) == (422, "#/scheduledAt", "naive")
    assert "+02:00" in found["detail"]
