"""REST and console of consent: topics by version, decisions with evidence, links that open one person's page."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from audiences.models import Person, PersonFacts
from audit.models import AuditEntry
from delivery.models import ConsentEvent, Topic
from lamba_campaigns.lib.clocks import AHEAD_MAX
from projects.scoping import Scope

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]


@pytest.fixture
def person(scope: Scope, make_people: Any) -> Person:
    found: Person = Person.objects.within(scope).get(pk=make_people(1)[0])
    return found


def test_a_topic_is_created_changed_by_version_and_archived(api: Api, scope: Scope) -> None:
    client = api()
    made = client.post("/api/v1/topics", {"slug": "news", "name": "News"}, format="json")
    assert made.status_code == 201, made.content
    where, body = made["Location"], made.json()
    assert (body["slug"], body["optIn"], body["etag"], made["ETag"]) == ("news", False, '"1"', '"1"')
    assert client.get(where).json() == body
    assert client.post("/api/v1/topics", {"slug": "news", "name": "Other"}, format="json").status_code == 409
    assert client.post("/api/v1/topics", {"slug": "No No", "name": "x"}, format="json").status_code == 422
    assert client.patch(where, {"name": "Product news"}, format="json").status_code == 428
    assert client.patch(where, {"slug": "x"}, format="json", headers={"If-Match": '"1"'}).status_code == 422
    changed = client.patch(where, {"name": "Product news"}, format="json", headers={"If-Match": '"1"'})
    assert (changed.json()["name"], changed["ETag"]) == ("Product news", '"2"')
    assert client.patch(where, {"name": "Old"}, format="json", headers={"If-Match": '"1"'}).status_code == 412
    assert client.delete(where, headers={"If-Match": '"2"'}).status_code == 204
    assert client.get("/api/v1/topics").json()["items"][0]["archivedAt"] is not None
    actions = AuditEntry.objects.filter(action__startswith="topic.").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["topic.created", "topic.updated", "topic.archived"]


def test_a_decision_is_recorded_once_for_a_source_and_read_back_with_its_evidence(
    api: Api, scope: Scope, person: Person
) -> None:
    client, base = api(), f"/api/v1/people/{person.public_id}/consent"
    client.post("/api/v1/topics", {"slug": "news", "name": "News"}, format="json")
    told = {"decision": "consented", "channel": "sms", "source": "form-77", "occurredAt": "2026-11-20T08:00:00Z"}
    for _ in range(2):
        answer = client.post(base, told, format="json")
        assert answer.status_code == 200, answer.content
    client.post(base, {"decision": "unsubscribed", "channel": "email", "topic": "news"}, format="json")

    by_channel = {each["channel"]: each for each in client.get(base).json()["channels"]}
    assert by_channel["sms"]["consent"] == {
        "holds": True, "source": "form-77", "since": "2026-11-20T08:00:00Z", "note": "",
    }  # fmt: skip
    assert by_channel["sms"]["reachable"]
    assert by_channel["email"]["topics"] == [{"topic": "news", "wanted": False, "decided": True}]
    assert by_channel["sms"]["topics"] == [{"topic": "news", "wanted": True, "decided": False}]
    mask = PersonFacts.objects.within(scope).values_list("consent_mask", flat=True).get(pk=person.pk)
    assert mask == 1 | 4
    events = client.get(f"{base}/events").json()["items"]
    assert [(each["decision"], each["channel"], each["topic"], each["how"]) for each in events] == [
        ("unsubscribed", "email", "news", "api"),
        ("consented", "sms", "", "api"),
    ]
    assert events[1]["source"] == "form-77"


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"decision": "perhaps", "channel": "email"}, "#/decision"),
        ({"decision": "consented", "channel": "fax"}, "#/channel"),
        ({"decision": "unsubscribed", "channel": "email", "topic": "none"}, "#/topic"),
        ({"decision": "consented", "channel": "email", "topic": "news"}, "#/decision"),
        ({"decision": "consented", "channel": "email", "occurredAt": "2999-01-01T00:00:00Z"}, "#/occurredAt"),
    ],
)
def test_a_wrong_decision_is_refused_and_nothing_is_kept(
    api: Api, person: Person, wrong: dict[str, str], pointer: str
) -> None:
    answer = api().post(f"/api/v1/people/{person.public_id}/consent", wrong, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert not ConsentEvent.objects.exists()


def test_a_decision_may_be_ahead_as_far_as_a_clock_may(api: Api, person: Person) -> None:
    client, base = api(), f"/api/v1/people/{person.public_id}/consent"
    for ahead, status in ((AHEAD_MAX - timedelta(seconds=30), 200), (AHEAD_MAX + timedelta(seconds=30), 422)):
        moment = (datetime.now(UTC) + ahead).isoformat()
        told = {"decision": "consented", "channel": "sms", "occurredAt": moment}
        assert client.post(base, told, format="json").status_code == status


def test_a_preference_link_opens_the_page_of_that_person(api: Api, client: Client, person: Person) -> None:
    made = api().post(f"/api/v1/people/{person.public_id}/preference-link").json()["url"]
    shown = client.get(made.removeprefix("http://localhost:8000")).content.decode()
    assert "u1@example.com" in shown


def test_nothing_is_seen_or_decided_from_elsewhere_or_without_the_permission(
    world: Any, api: Api, scope: Scope, person: Person, now: datetime
) -> None:
    topic = Topic(environment_id=scope.environment_id, slug="news", name="News", created_at=now, created_by="x")
    topic.save(force_insert=True)
    base = f"/api/v1/people/{person.public_id}"
    for elsewhere in (api(world.sandbox), api(world.stranger)):
        assert elsewhere.get(f"/api/v1/topics/{topic.public_id}").status_code == 404
        assert elsewhere.get(f"{base}/consent").status_code == 404
        assert elsewhere.get(f"{base}/consent/events").status_code == 404
        assert elsewhere.post(f"{base}/preference-link").status_code == 404
        assert elsewhere.get("/api/v1/topics").json()["items"] == []
    reader = api(permissions=["console.read", "people.read"])
    assert reader.post("/api/v1/topics", {"slug": "x", "name": "x"}, format="json").status_code == 403
    assert reader.post(f"{base}/consent", {}, format="json").status_code == 403
    assert reader.post(f"{base}/preference-link").status_code == 403


def test_pages_of_topics_and_of_a_persons_consent(
    world: Any, scope: Scope, browser_of: Callable[..., Client], person: Person
) -> None:
    alice, base = browser_of(world.alice), f"/{scope.path}"
    assert alice.post(f"{base}/topics/", {"name": "News", "slug": "No No"}).status_code == 422
    assert alice.post(f"{base}/topics/", {"name": "News", "slug": "news"}).status_code == 302
    topic = Topic.objects.within(scope).get()
    assert "News" in alice.get(f"{base}/topics/").content.decode()
    detail = f"{base}/topics/{topic.public_id}/"
    assert alice.post(detail, {"name": "Product news", "version": 1}).status_code == 302
    stale = alice.post(detail, {"name": "Older", "version": 1})
    assert (stale.status_code, "changed since you read it" in stale.content.decode()) == (422, True)

    page = f"{base}/people/{person.public_id}/consent/"
    told = {"action": "unsubscribed", "channel": "email", "topic": "news", "reason": "By phone"}
    assert alice.post(page, told | {"reason": ""}).status_code == 422
    assert alice.post(page, told).status_code == 302
    with CaptureQueriesContext(connection) as asked:
        shown = alice.get(page).content.decode()
    assert len(asked) <= 22
    for words in ("Product news: not wanted", "Unsubscribed", "Alice"):
        assert words in shown
    assert AuditEntry.objects.get(action="consent.changed").reason == "By phone"

    assert alice.post(f"{detail}archive/", {"version": 2}).status_code == 302
    assert alice.post(f"{detail}archive/", {"version": 2}).status_code == 412
    assert AuditEntry.objects.filter(action="topic.archived", outcome="refused").count() == 1
    assert browser_of(world.charlie).get(page).status_code == 404
