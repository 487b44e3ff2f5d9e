"""REST of audiences: definitions with ETags, counts, explanations, and refusals that name the place."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from audiences.models import Audience
from audiences.tests.conftest import MakePerson
from projects.scoping import Scope

GERMANY = {"all": [{"field": "country", "op": "is", "value": "DE"}]}
Api = Callable[..., APIClient]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(api: Api) -> APIClient:
    return api()


@pytest.fixture
def made(client: APIClient) -> Any:
    answer = client.post("/api/v1/audiences", {"name": "Germany", "rule": GERMANY}, format="json")
    assert answer.status_code == 201, answer.content
    return answer


def test_an_audience_is_created_with_its_sentence_and_etag(made: Any, client: APIClient) -> None:
    body = made.json()
    assert body["sentence"] == "People where country is Germany"
    assert (body["version"], body["rule"], body["etag"], made["ETag"]) == (1, GERMANY, '"1"', '"1"')
    assert made["Location"] == f"/api/v1/audiences/{body['id']}"
    again = client.get(made["Location"])
    assert again.json() == body
    assert again["ETag"] == '"1"'


def test_a_wrong_rule_names_every_place(client: APIClient, scope: Scope) -> None:
    rule = {"all": [{"field": "moon", "op": "is"}, {"any": [{"field": "plan", "op": "is", "value": "gold"}]}]}
    answer = client.post("/api/v1/audiences", {"name": "x", "rule": rule}, format="json")
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [
        "#/rule/all/0/field",
        "#/rule/all/1/any/0/value",
    ]
    assert not Audience.objects.within(scope).exists()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"rule": GERMANY}, "#/name"),
        ({"name": "x"}, "#/rule"),
        ({"name": "x" * 121, "rule": GERMANY}, "#/name"),
        ({"name": "x", "rule": GERMANY, "rules": 1}, "#/rules"),
        ({"name": "x", "rule": None}, "#/rule"),
    ],
)
def test_a_wrong_body_names_the_place(client: APIClient, body: dict[str, Any], pointer: str) -> None:
    answer = client.post("/api/v1/audiences", body, format="json")
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_the_same_idempotency_key_creates_once(client: APIClient, scope: Scope) -> None:
    body = {"name": "Once", "rule": GERMANY}
    first = client.post("/api/v1/audiences", body, format="json", HTTP_IDEMPOTENCY_KEY="k1")
    second = client.post("/api/v1/audiences", body, format="json", HTTP_IDEMPOTENCY_KEY="k1")
    assert first.json() == second.json()
    assert Audience.objects.within(scope).count() == 1


def test_a_taken_name_is_a_conflict(made: Any, client: APIClient) -> None:
    answer = client.post("/api/v1/audiences", {"name": "Germany", "rule": GERMANY}, format="json")
    assert (answer.status_code, answer.json()["errorCode"]) == (409, "AUDIENCE_NAME_TAKEN")


def test_a_change_needs_the_etag_and_makes_a_version(made: Any, client: APIClient) -> None:
    path = made["Location"]
    rule = {"none": GERMANY["all"]}
    assert client.patch(path, {"rule": rule}, format="json").status_code == 428
    assert client.patch(path, {"rule": rule}, format="json", HTTP_IF_MATCH='"9"').status_code == 412
    changed = client.patch(path, {"rule": rule, "name": "Elsewhere"}, format="json", HTTP_IF_MATCH='"1"')
    assert changed.status_code == 200
    assert (changed.json()["version"], changed.json()["etag"], changed["ETag"]) == (2, '"2"', '"2"')
    versions = client.get(f"{path}/versions").json()["items"]
    assert [(each["number"], each["rule"]) for each in versions] == [(2, rule), (1, GERMANY)]


def test_the_campaigns_of_an_audience_are_listed(made: Any, client: APIClient) -> None:
    used = f"{made['Location']}/campaigns"
    assert client.get(used).json() == {"items": [], "nextCursor": None}
    draft = {"name": "Spring", "channel": "email", "audienceId": made.json()["id"]}
    campaign = client.post("/api/v1/campaigns", draft, format="json").json()["id"]
    (use,) = client.get(used).json()["items"]
    assert use == {"id": campaign, "name": "Spring", "state": "draft", "scheduled": False}


def test_a_deleted_audience_is_gone(made: Any, client: APIClient) -> None:
    path = made["Location"]
    assert client.delete(path).status_code == 428
    assert client.delete(path, HTTP_IF_MATCH='"1"').status_code == 204
    assert client.get(path).status_code == 404
    assert client.get("/api/v1/audiences").json() == {"items": [], "nextCursor": None}


def test_another_environment_sees_nothing(made: Any, api: Api, world: Any) -> None:
    path = made["Location"]
    for scope in (world.sandbox, world.stranger):
        other = api(scope)
        assert other.get("/api/v1/audiences").json()["items"] == []
        assert other.get(path).status_code == 404
        assert other.patch(path, {"name": "x"}, format="json", HTTP_IF_MATCH='"1"').status_code == 404
        assert other.delete(path, HTTP_IF_MATCH='"1"').status_code == 404
        assert other.get(f"{path}/versions").status_code == 404
        assert other.get(f"{path}/campaigns").status_code == 404
        assert other.get(f"{path}/explain?person=u1").status_code == 404


def test_the_list_is_paged_and_costs_the_same_for_any_length(client: APIClient) -> None:
    for number in range(3):
        client.post("/api/v1/audiences", {"name": f"A{number}", "rule": GERMANY}, format="json")
    with CaptureQueriesContext(connection) as few:
        first = client.get("/api/v1/audiences?limit=1").json()
    with CaptureQueriesContext(connection) as many:
        assert len(client.get("/api/v1/audiences").json()["items"]) == 3
    assert len(few) == len(many)
    second = client.get(f"/api/v1/audiences?limit=1&cursor={first['nextCursor']}").json()
    assert [first["items"][0]["name"], second["items"][0]["name"]] == ["A2", "A1"]
    assert [each["name"] for each in client.get("/api/v1/audiences?q=a1").json()["items"]] == ["A1"]


def test_a_preview_counts_without_storing(client: APIClient, contactable: MakePerson, scope: Scope) -> None:
    contactable("u1", country="DE", name="Ina Ott")
    contactable("u2", country="DE", **{"consent.email": False})
    contactable("u3", country="FR")
    body = client.post("/api/v1/audiences/preview", {"rule": GERMANY}, format="json").json()
    assert body.pop("milliseconds") >= 0
    (shown,) = body.pop("sample")
    assert (shown["name"], shown["detail"]) == ("Ina Ott", "Germany")
    assert body == {
        "exact": True,
        "people": 3,
        "matched": 2,
        "excluded": {"no_consent": 1},
        "contactable": 1,
        "nodes": {"#": 2, "#/all/0": 2},
        "sentence": "People where country is Germany",
    }
    assert not Audience.objects.within(scope).exists()


def test_a_preview_shows_nobody_to_a_key_that_may_not_see_people(api: Api, contactable: MakePerson) -> None:
    contactable("u1", country="DE", name="Ina Ott")
    answer = api(permissions=["console.read"]).post("/api/v1/audiences/preview", {"rule": GERMANY}, format="json")
    assert (answer.json()["contactable"], answer.json()["sample"]) == (1, [])


def test_a_preview_of_a_wrong_channel_is_refused(client: APIClient) -> None:
    answer = client.post("/api/v1/audiences/preview", {"rule": GERMANY, "channel": "fax"}, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/channel")


def test_an_explanation_says_what_was_seen_and_who_told_it(
    made: Any, client: APIClient, contactable: MakePerson
) -> None:
    person = contactable("u1", country="FR")
    answer = client.get(f"{made['Location']}/explain?person=u1")
    body = answer.json()
    assert (body["person"]["id"], body["matches"], body["included"], body["reason"]) == (
        person.public_id,
        False,
        False,
        None,
    )
    leaf = body["tree"]["children"][0]
    assert leaf["occurredAt"].endswith("Z")
    assert {key: leaf[key] for key in ("pointer", "holds", "words", "seen", "source")} == {
        "pointer": "#/all/0",
        "holds": False,
        "words": "country is Germany",
        "seen": "France",
        "source": "evt_u1_country",
    }


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({}, None),
        ({"membership": "removed"}, "membership_lost"),
        ({"email": ""}, "no_address"),
        ({"email": "nowhere"}, "invalid_address"),
        ({"consent.email": False}, "no_consent"),
        ({"unsubscribed.email": True}, "unsubscribed"),
        ({"suppressed.email": "complaint"}, "suppressed"),
    ],
)
def test_a_matching_person_is_told_what_keeps_them_out(
    made: Any, client: APIClient, contactable: MakePerson, told: dict[str, Any], reason: str | None
) -> None:
    contactable("u1", country="DE", **told)
    body = client.get(f"{made['Location']}/explain?person=u1").json()
    assert (body["matches"], body["included"], body["reason"]) == (True, reason is None, reason)


def test_a_person_is_found_by_address_user_id_or_public_id(
    made: Any, client: APIClient, contactable: MakePerson
) -> None:
    person = contactable("u1", country="DE")
    for name in ("u1", "U1@Example.com", person.public_id):
        assert client.get(f"{made['Location']}/explain", {"person": name}).status_code == 200


def test_an_older_version_can_be_asked(made: Any, client: APIClient, contactable: MakePerson) -> None:
    contactable("u1", country="DE")
    client.patch(made["Location"], {"rule": {"none": GERMANY["all"]}}, format="json", HTTP_IF_MATCH='"1"')
    assert client.get(f"{made['Location']}/explain?person=u1").json()["matches"] is False
    assert client.get(f"{made['Location']}/explain?person=u1&version=1").json()["matches"] is True


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 422), ("person=", 422), ("person=nobody", 404), ("person=u1&channel=fax", 422), ("person=u1&version=x", 422)],
)
def test_a_question_that_can_not_be_answered_is_refused(
    made: Any, client: APIClient, contactable: MakePerson, query: str, status: int
) -> None:
    contactable("u1")
    assert client.get(f"{made['Location']}/explain?{query}").status_code == status


def test_the_catalogue_lists_fields_operators_and_values(client: APIClient) -> None:
    body = client.get("/api/v1/audiences/fields").json()
    by_field = {each["field"]: each for each in body["items"]}
    assert by_field["membership"]["choices"][0] == {"value": "invited", "label": "Invited"}
    assert {"op": "within_last", "words": "within the last", "takes": "days"} in by_field["last_session"]["operators"]
    assert by_field["name"]["choices"] == []
    assert body["limits"]["conditions"] == 40
    assert set(body["traits"]["types"]) == {"text", "number", "date", "boolean"}


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("get", "/api/v1/audiences", "console.read"),
        ("post", "/api/v1/audiences", "audiences.write"),
        ("get", "/api/v1/audiences/fields", "console.read"),
        ("post", "/api/v1/audiences/preview", "console.read"),
        ("patch", "/api/v1/audiences/aud_1", "audiences.write"),
        ("delete", "/api/v1/audiences/aud_1", "audiences.write"),
        ("get", "/api/v1/audiences/aud_1/explain", "people.read"),
    ],
)
def test_every_method_needs_its_permission(api: Api, method: str, path: str, needed: str) -> None:
    answer = getattr(api(permissions=["limits.read"]), method)(path)
    assert (answer.status_code, answer.json()["permission"]) == (403, needed)
