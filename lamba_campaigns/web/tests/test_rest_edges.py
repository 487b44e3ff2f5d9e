"""The edges of REST: whatever stands in the address or the headers, the answer is a problem document, never a 500."""

import base64
import json
from collections.abc import Callable

import pytest
from django.conf import settings
from django.test import Client
from rest_framework import serializers
from rest_framework.test import APIClient

from conftest import World
from lamba_campaigns.web.rest import VERSION_DIGITS_MAX, StrictSerializer

Api = Callable[..., APIClient]
PROBLEM = "application/problem+json"
LISTS = ("audiences", "audit-events", "campaigns", "imports", "inbound-events", "people", "templates", "members")
FOREIGN = (b"abc", b"\x00", b"", b"0x1", "✓".encode(), b"-1", b"9" * 27, b"9" * 5_000)


@pytest.fixture
def client_of_all(api: Api) -> APIClient:
    return api()


@pytest.mark.parametrize("where", LISTS)
def test_a_cursor_that_is_not_ours_is_refused(client_of_all: APIClient, where: str) -> None:
    cursors = [base64.urlsafe_b64encode(text).decode().rstrip("=") for text in FOREIGN if text]
    for cursor in [*cursors, "=", "A", "%ff"]:
        answer = client_of_all.get(f"/api/v1/{where}", {"cursor": cursor})
        assert (answer.status_code, answer["Content-Type"]) == (422, PROBLEM), cursor[:40]
        assert answer.json()["errors"][0]["pointer"] == "?cursor" and answer.json()["nextStep"]


@pytest.mark.parametrize("size", ["0", "-1", "201", "ten", "²", "9" * 5_000])
def test_a_page_size_that_is_none_is_refused(client_of_all: APIClient, size: str) -> None:
    answer = client_of_all.get("/api/v1/campaigns", {"limit": size})
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "?limit"


@pytest.mark.parametrize(
    "address", ["campaigns/%00", "audiences/aud_%00/explain", "people?email=%00", "people?q=a%00b"]
)
def test_nul_in_an_address_is_refused_before_any_look_up(client_of_all: APIClient, address: str) -> None:
    answer = client_of_all.get(f"/api/v1/{address}")
    assert (answer.status_code, answer["Content-Type"]) == (400, PROBLEM)
    assert answer.json()["errorCode"] == "BAD_REQUEST" and "%00" in answer.json()["nextStep"]


def test_nul_in_an_address_of_the_console_is_a_page(client: Client, world: World) -> None:
    client.force_login(world.alice)
    for address in ("people/?q=%00", "campaigns/?q=%00", "find?q=%00"):
        answer = client.get(f"/acme/app/production/{address}")
        assert answer.status_code == 400 and "The address holds a NUL." in answer.content.decode()


@pytest.mark.parametrize("version", ["x", "-1", "9" * (VERSION_DIGITS_MAX + 1), "9" * 5_000])
def test_a_version_that_can_not_be_ours_is_stale(client_of_all: APIClient, version: str) -> None:
    answer = client_of_all.delete("/api/v1/campaigns/cmp_none", headers={"If-Match": f'"{version}"'})
    assert (answer.status_code, answer["Content-Type"]) == (412, PROBLEM)


def test_what_the_framework_refuses_says_what_to_do(client_of_all: APIClient, client: Client) -> None:
    where = "/api/v1/campaigns"
    answers = {
        "METHOD_NOT_ALLOWED": client_of_all.delete(where),
        "NOT_ACCEPTABLE": client_of_all.get(where, headers={"Accept": "text/html"}),
        "UNSUPPORTED_MEDIA_TYPE": client_of_all.post(where, "a=b", content_type="application/x-www-form-urlencoded"),
    }
    for code, answer in answers.items():
        document = answer.json()
        assert answer["Content-Type"] == PROBLEM and document["errorCode"] == code
        assert document["nextStep"] and "{" not in document["title"]
        assert client.get("/problems/" + document["type"].rpartition("/")[2]).status_code == 200


def test_the_document_of_the_interface_is_json_whoever_asks(client: Client, db: None) -> None:
    answer = client.get("/api/v1/openapi.json")
    assert json.loads(answer.content)["openapi"] == "3.1.0"


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "large"}])
def test_a_body_that_is_too_large_is_413(client_of_all: APIClient, headers: dict[str, str]) -> None:
    body = json.dumps({"name": "a" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE})
    answer = client_of_all.post("/api/v1/campaigns", body, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["errorCode"]) == (413, "BODY_TOO_LARGE")
    assert answer.json()["nextStep"] and client_of_all.get("/api/v1/campaigns").json()["items"] == []


def test_a_refusal_always_says_what_to_do(client_of_all: APIClient) -> None:
    long = client_of_all.post("/api/v1/campaigns", {"name": "x"}, format="json", headers={"Idempotency-Key": "k" * 300})
    unknown = client_of_all.get("/api/v1/jobs/job_none")
    assert (long.status_code, unknown.status_code) == (422, 404)
    assert long.json()["nextStep"] and "environment" in unknown.json()["nextStep"]


@pytest.mark.parametrize("given", [1, 1.5, True])
def test_a_number_is_no_text(client_of_all: APIClient, given: object) -> None:
    answer = client_of_all.post("/api/v1/templates", {"name": given}, format="json")
    assert (answer.status_code, answer["Content-Type"]) == (422, PROBLEM)
    (found,) = [each for each in answer.json()["errors"] if each["pointer"] == "#/name"]
    assert found["code"] == "not_text" and json.dumps(given) in found["detail"]


def test_a_control_character_is_refused_where_it_stands(client_of_all: APIClient) -> None:
    answer = client_of_all.post("/api/v1/templates", {"name": "Spr\x1bing"}, format="json")
    (found,) = [each for each in answer.json()["errors"] if each["pointer"] == "#/name"]
    assert (answer.status_code, found["code"]) == (422, "control_character")
    assert found["detail"] == "Character 4 is the control character U+001B; leave it out."


def test_texts_in_a_list_are_looked_at_one_by_one() -> None:
    class Tags(StrictSerializer):
        tags = serializers.ListField(child=serializers.CharField())

    checked = Tags(data={"tags": ["a", 7, "b\x07"]})
    assert not checked.is_valid()
    assert {place: found[0].code for place, found in checked.errors["tags"].items()} == {
        1: "not_text",
        2: "control_character",
    }


def test_a_parameter_that_nobody_reads_is_refused_with_those_that_are_read(client_of_all: APIClient) -> None:
    answer = client_of_all.get("/api/v1/audit-events", {"from": "2026-11-23"})
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "?from"
    assert answer.json()["nextStep"].startswith("Accepted here: action, actor, cursor, limit, order, reach, since")
    nothing = client_of_all.get("/api/v1/campaigns/cmp_none?format=json")
    assert (nothing.status_code, nothing.json()["nextStep"]) == (422, "This address takes no parameters.")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("campaigns?limit=1&limit=2", "limit comes 2 times."),
        ("people/per_none/history?limit=many", "'many' is no whole number."),
        ("templates?status=old", "'old' is no status."),
        ("audit-events?reach=", "'' is no reach."),
    ],
)
def test_a_parameter_is_said_once_and_in_its_type(client_of_all: APIClient, address: str, said: str) -> None:
    answer = client_of_all.get(f"/api/v1/{address}")
    assert (answer.status_code, answer["Content-Type"], answer.json()["detail"]) == (422, PROBLEM, said)


def test_parameters_are_looked_at_after_the_key(api: Api, client: Client, world: World) -> None:
    assert client.get("/api/v1/campaigns?nonsense=1").status_code == 401
    assert api(world.production, ["people.read"]).get("/api/v1/campaigns?nonsense=1").status_code == 403


def test_head_answers_as_get_does_and_options_names_the_methods(api: Api, client: Client, world: World) -> None:
    mine = api()
    head = mine.head("/api/v1/campaigns?limit=2")
    assert (head.status_code, head.content, head["Content-Type"]) == (200, b"", "application/json")
    assert mine.head("/api/v1/campaigns?limit=0").status_code == 422
    assert mine.head("/api/v1/campaigns/cmp_none").status_code == 404
    assert api(world.production, ["people.read"]).head("/api/v1/campaigns").status_code == 403
    asked = mine.options("/api/v1/campaigns")
    assert (asked.status_code, asked.content, asked["Allow"]) == (204, b"", "GET, POST, HEAD, OPTIONS")
    assert mine.options("/api/v1/campaigns/cmp_none/copy")["Allow"] == "POST, OPTIONS"
    assert mine.head("/api/v1/campaigns/cmp_none/copy").status_code == 405
    assert client.options("/api/v1/campaigns").status_code == 401
