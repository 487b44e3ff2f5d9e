"""Endpoints and events over REST: secrets once, versions checked, environments apart, nothing changed on refusal."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from conftest import World
from projects.scoping import Actor, Scope
from webhooks import catalog, endpoints, outbox, process
from webhooks.models import Delivery, Endpoint, InboundEvent
from webhooks.tests.conftest import Sender

pytestmark = pytest.mark.django_db
Api = Callable[..., Any]
CAMPAIGN = {"campaign": {"id": "cmp_1", "name": "Spring", "channel": "email"}}


def publish(scope: Scope, now: datetime, count: int = 1) -> list[str]:
    with transaction.atomic():
        return [outbox.publish(scope=scope, type="campaign.launched", data=CAMPAIGN, now=now) for _ in range(count)]


def test_an_endpoint_shows_its_secret_once(api: Api) -> None:
    client = api()

    made = client.post("/api/v1/endpoints", {"direction": "in", "kind": "lamba", "name": "Lamba"}, format="json")

    assert made.status_code == 201
    body = made.json()
    assert body["secret"].startswith("whsec_")
    assert body["url"].endswith(f"/api/lamba/webhooks/{body['id']}")
    read = client.get(f"/api/v1/endpoints/{body['id']}")
    assert body["secret"] not in read.content.decode()
    assert [each["hint"] for each in read.json()["secrets"]] == [body["secret"][-4:]]
    assert read.headers["ETag"] == read.json()["etag"] == '"1"'
    assert [each["id"] for each in client.get("/api/v1/endpoints").json()["items"]] == [body["id"]]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/direction"),
        ({"direction": "in", "name": "x"}, "#/kind"),
        ({"direction": "out", "name": "x"}, "#/url"),
        ({"direction": "out", "name": "x", "url": "https://a.example/", "kind": "lamba"}, "#/kind"),
        ({"direction": "in", "name": "x", "kind": "lamba", "eventTypes": []}, "#/eventTypes"),
        ({"direction": "in", "name": "  ", "kind": "lamba"}, "#/name"),
        ({"direction": "in", "name": "x", "kind": "lamba", "extra": 1}, "#/extra"),
        ({"direction": "out", "name": "x", "url": "http://10.0.0.1/"}, "#/url"),
        (
            {"direction": "out", "name": "x", "url": "https://a.example/", "eventTypes": ["user.created"]},
            "#/eventTypes",
        ),
    ],
)
def test_a_wrong_endpoint_names_the_place_and_makes_nothing(
    api: Api, scope: Scope, body: dict[str, Any], pointer: str
) -> None:
    answer = api().post("/api/v1/endpoints", body, format="json")

    assert answer.status_code == 422
    assert pointer in {each["pointer"] for each in answer.json()["errors"]}
    assert Endpoint.objects.within(scope).count() == 0


def test_a_change_needs_the_version_that_was_read(api: Api, lamba: Sender, scope: Scope) -> None:
    client, path = api(), f"/api/v1/endpoints/{lamba.endpoint.public_id}"

    without = client.patch(path, {"name": "Other"}, format="json")
    first = client.patch(path, {"name": "Other"}, format="json", HTTP_IF_MATCH='"1"')
    stale = client.patch(path, {"name": "Third"}, format="json", HTTP_IF_MATCH='"1"')
    gone = client.delete(path, HTTP_IF_MATCH='"2"')

    assert [each.status_code for each in (without, first, stale, gone)] == [428, 200, 412, 204]
    assert client.get(path).status_code == 404
    assert Endpoint.objects.within(scope).get().status == "retired"


def test_a_rotation_overlaps_and_three_live_secrets_are_the_most(api: Api, lamba: Sender) -> None:
    client, path = api(), f"/api/v1/endpoints/{lamba.endpoint.public_id}"
    answers = [client.post(f"{path}/rotate", {"overlapHours": 1}, format="json") for _ in range(3)]

    assert [each.status_code for each in answers] == [201, 201, 409]
    assert answers[2].json()["errorCode"] == "TOO_MANY_SECRETS"
    assert len(client.get(path).json()["secrets"]) == 3
    assert client.post(f"{path}/rotate", {"overlapHours": 0}, format="json").status_code == 201
    assert len(client.get(path).json()["secrets"]) == 1


def test_endpoints_and_events_of_another_environment_are_not_found(
    api: Api, world: World, lamba: Sender, now: datetime
) -> None:
    lamba.post(lamba.envelope(id="evt_1"))
    [sent] = publish(lamba.scope, now)
    for other in (world.sandbox, world.stranger):
        client = api(other)
        for path in (
            f"endpoints/{lamba.endpoint.public_id}",
            "inbound-events/evt_1",
            f"events/{sent}",
            f"events/{sent}/deliveries",
        ):
            assert client.get(f"/api/v1/{path}").status_code == 404
        for path in ("endpoints", "inbound-events", "events"):
            assert client.get(f"/api/v1/{path}").json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "endpoints"),
        ("post", "endpoints"),
        ("post", "endpoints/whe_x/rotate"),
        ("post", "endpoints/whe_x/test"),
        ("get", "inbound-events"),
        ("post", "inbound-events/redrive"),
        ("get", "events"),
        ("post", "events/evt_x/deliveries"),
    ],
)
def test_a_key_without_the_permission_is_refused(api: Api, scope: Scope, method: str, path: str) -> None:
    client = api(scope, ["console.read"])

    assert getattr(client, method)(f"/api/v1/{path}", {}, format="json").status_code == 403


def test_received_events_are_listed_filtered_and_shown_with_their_body(
    api: Api, lamba: Sender, handler: Callable[..., Any]
) -> None:
    handler("user.created")
    client = api()
    for number in range(3):
        lamba.post(lamba.envelope(id=f"evt_{number}"))
    lamba.post(b"not json")
    process.run(now=datetime.now(UTC) + timedelta(seconds=1))

    first = client.get("/api/v1/inbound-events?limit=2").json()
    second = client.get(f"/api/v1/inbound-events?limit=2&cursor={first['nextCursor']}").json()

    assert [each["id"] for each in second["items"]] == ["evt_1", "evt_0"]
    assert second["nextCursor"] is None
    quarantined = client.get("/api/v1/inbound-events?state=quarantined").json()["items"]
    assert [each["id"][:7] for each in quarantined] == ["sha256:"]
    assert len(client.get("/api/v1/inbound-events?type=user.created").json()["items"]) == 3
    detail = client.get(f"/api/v1/inbound-events/{quarantined[0]['id']}").json()
    assert detail["body"] == "not json"
    assert "can't be read" in detail["error"]
    assert client.get("/api/v1/inbound-events?state=lost").status_code == 422


def test_a_range_is_redriven_after_a_dry_run(api: Api, lamba: Sender, scope: Scope) -> None:
    client = api()
    for number in range(3):
        lamba.post(lamba.envelope("application.changed", id=f"evt_{number}"))
    process.run(now=datetime.now(UTC) + timedelta(seconds=1))
    body = {"state": "ignored", "type": "application.changed", "reason": "A handler was added"}

    dry = client.post("/api/v1/inbound-events/redrive", body | {"dryRun": True}, format="json")
    assert (dry.status_code, len(dry.json()["eventIds"])) == (202, 3)
    assert InboundEvent.objects.within(scope).filter(state="retry").count() == 0
    done = client.post("/api/v1/inbound-events/redrive", body, format="json")

    assert done.json() == {"eventIds": ["evt_0", "evt_1", "evt_2"], "dryRun": False}
    assert InboundEvent.objects.within(scope).filter(state="retry").count() == 3
    both = client.post("/api/v1/inbound-events/redrive", body | {"eventIds": ["evt_0"]}, format="json")
    assert both.status_code == 422


def test_the_pull_api_gives_the_same_events_from_where_a_consumer_stopped(
    api: Api, scope: Scope, now: datetime
) -> None:
    ids, client = publish(scope, now, 5), api()

    first = client.get("/api/v1/events?limit=2").json()
    rest = client.get(f"/api/v1/events?after={first['items'][-1]['id']}").json()

    assert [each["id"] for each in first["items"] + rest["items"]] == ids
    assert [each["sequence"] for each in first["items"] + rest["items"]] == [1, 2, 3, 4, 5]
    assert first["nextCursor"] == ids[1]
    assert rest["nextCursor"] is None
    assert client.get("/api/v1/events?type=campaign.paused").json()["items"] == []
    assert client.get("/api/v1/events?after=evt_unknown").status_code == 422
    assert client.get(f"/api/v1/events/{ids[0]}").json()["data"] == CAMPAIGN


def test_a_settled_delivery_is_sent_again_with_a_reason(api: Api, scope: Scope, actor: Actor, now: datetime) -> None:
    endpoints.create_outbound(scope=scope, actor=actor, name="CRM", url="https://crm.example/", event_types=[], now=now)
    [event], client = publish(scope, now), api()
    [delivery] = client.get(f"/api/v1/events/{event}/deliveries").json()["items"]
    body = {"deliveryIds": [delivery["id"]], "reason": "The CRM was down"}

    waiting = client.post(f"/api/v1/events/{event}/deliveries", body, format="json")
    Delivery.objects.within(scope).update(status="failed", attempts=10)
    again = client.post(f"/api/v1/events/{event}/deliveries", body, format="json")

    assert (waiting.status_code, again.status_code, again.json()) == (409, 202, {"count": 1})
    row = Delivery.objects.within(scope).get()
    assert (row.status, row.attempts) == ("pending", 0)


def test_a_test_event_is_sent_once_per_idempotency_key(api: Api, scope: Scope, actor: Actor, now: datetime) -> None:
    endpoint, _ = endpoints.create_outbound(
        scope=scope, actor=actor, name="CRM", url="https://crm.example/", event_types=[], now=now
    )
    client, path = api(), f"/api/v1/endpoints/{endpoint.public_id}/test"

    answers = [client.post(path, {}, format="json", HTTP_IDEMPOTENCY_KEY="k1") for _ in range(2)]

    assert [each.status_code for each in answers] == [202, 202]
    assert Delivery.objects.within(scope).count() == 1


def test_the_catalogue_lists_public_types_with_samples_that_fit_their_schemas(api: Api) -> None:
    items = api().get("/api/v1/event-types").json()["items"]

    assert {"campaign.sent", "user.created", "message.delivered"} <= {each["name"] for each in items}
    assert "delivery.job_finished" not in {each["name"] for each in items}
    assert {each["apiVersion"] for each in items} == {catalog.API_VERSION}
    for kind in catalog.every():
        assert catalog.problems(kind.name, kind.sample) == (), kind.name
        assert catalog.problems(kind.name, kind.sample, published=True) == (), kind.name
        assert kind.sentence.endswith(".")
