"""REST of people, imports, segments and snapshots."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from audiences import definitions, imports, people
from audiences.models import Audience, ImportRun, Person, Segment
from audiences.tests.conftest import MakePerson
from conftest import World
from projects.scoping import Actor, Scope

Api = Callable[..., APIClient]


@pytest.fixture
def audience(scope: Scope, actor: Actor, now: datetime) -> Audience:
    rule = {"all": [{"field": "membership", "op": "is", "value": "active"}]}
    return definitions.create(scope=scope, actor=actor, name="Active", rule=rule, now=now)


def test_people_are_listed_by_cursor_and_found_by_address(api: Api, contactable: MakePerson) -> None:
    for number in range(3):
        contactable(f"u{number}")
    client = api()
    first = client.get("/api/v1/people?limit=2").json()
    second = client.get(f"/api/v1/people?limit=2&cursor={first['nextCursor']}").json()
    assert [each["userId"] for each in first["items"] + second["items"]] == ["u2", "u1", "u0"]
    assert second["nextCursor"] is None
    found = client.get("/api/v1/people", {"q": "U1@example.com"}).json()
    assert [each["userId"] for each in found["items"]] == ["u1"]


def test_a_person_comes_with_facts_and_origins(api: Api, contactable: MakePerson) -> None:
    person = contactable("u1", plan="green", roles=["member"], **{"segment.vip": True, "trait.size": 7})
    found = api().get(f"/api/v1/people/{person.public_id}").json()
    assert (found["email"], found["membership"], found["roles"], found["plan"]) == (
        "u1@example.com", "active", ["member"], "green",
    )  # fmt: skip
    assert (found["segments"], found["traits"], found["consent"]["email"]) == (["vip"], {"size": 7}, True)
    told = {fact["field"]: fact for fact in found["facts"]}
    assert told["email"] == {
        "field": "email", "value": "u1@example.com", "occurredAt": "2026-11-23T09:30:00Z", "source": "evt_u1_email",
    }  # fmt: skip
    history = api().get(f"/api/v1/people/{person.public_id}/history").json()["items"]
    assert {each["field"] for each in history} == set(told)


def test_a_person_can_be_erased_by_those_who_may(scope: Scope, api: Api, contactable: MakePerson) -> None:
    person = contactable("u1")
    address = f"/api/v1/people/{person.public_id}"
    assert api(None, ["people.read", "people.write"]).delete(address).status_code == 403
    assert Person.objects.within(scope).get().email
    assert api().delete(address).status_code == 204
    assert Person.objects.within(scope).get().email == ""


@pytest.mark.parametrize(
    "path",
    ["people/per_x", "people/per_x/history", "imports/imp_x", "imports/imp_x/problems", "segments/seg_x",
     "segments/seg_x/members", "snapshots/snp_x", "snapshots/snp_x/members", "audiences/aud_x/snapshots"],
)  # fmt: skip
def test_what_does_not_exist_is_404(world: World, api: Api, path: str) -> None:
    answer = api().get(f"/api/v1/{path}")
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "needs"),
    [
        ("get", "people", "people.read"),
        ("get", "people/per_x", "people.read"),
        ("delete", "people/per_x", "people.erase"),
        ("get", "people/per_x/history", "people.read"),
        ("get", "imports", "people.write"),
        ("post", "imports", "people.write"),
        ("get", "imports/imp_x", "people.write"),
        ("post", "imports/imp_x/start", "people.write"),
        ("get", "imports/imp_x/problems", "people.write"),
        ("get", "imports/imp_x/problems.csv", "people.write"),
        ("get", "segments", "console.read"),
        ("post", "segments", "people.write"),
        ("get", "segments/seg_x", "console.read"),
        ("patch", "segments/seg_x", "people.write"),
        ("get", "segments/seg_x/members", "people.read"),
        ("post", "segments/seg_x/members", "people.write"),
        ("get", "audiences/aud_x/snapshots", "console.read"),
        ("post", "audiences/aud_x/snapshots", "audiences.write"),
        ("get", "snapshots/snp_x", "console.read"),
        ("get", "snapshots/snp_x/members", "people.read"),
    ],
)
def test_each_method_needs_its_permission(world: World, api: Api, method: str, path: str, needs: str) -> None:
    refused = getattr(api(None, ["billing.manage"]), method)(f"/api/v1/{path}", content_type="application/json")
    assert refused.status_code == 403, refused.content
    assert refused.json()["permission"] == needs


def _upload(client: APIClient, text: str, query: str = "", **headers: Any) -> Any:
    return client.post(f"/api/v1/imports{query}", text.encode(), content_type="text/csv", **headers)


def test_a_file_is_accepted_checked_and_then_started(scope: Scope, api: Api, now: datetime) -> None:
    client = api()
    answer = _upload(client, "external_id,email\nu1,a@b.example\nu2,bad\n", "?filename=june.csv&dryRun=true")
    assert answer.status_code == 202
    address, run = answer.headers["Location"], ImportRun.objects.within(scope).get()
    assert (run.filename, run.dry_run, answer.json()["state"]) == ("june.csv", True, "queued")
    imports.run(run_id=run.pk, now=now)

    found = client.get(address).json()
    assert (found["state"], found["rows"], found["rowsWithProblems"], found["created"]) == ("checked", 2, 1, 1)
    problems = client.get(f"{address}/problems").json()["items"]
    assert [(each["line"], each["column"], each["code"]) for each in problems] == [(3, "email", "invalid_address")]
    lines = b"".join(client.get(f"{address}/problems.csv")).decode().splitlines()
    assert len(lines) == 2
    assert client.post(f"{address}/start", {}, format="json").status_code == 409
    assert client.post(f"{address}/start", {"skipInvalid": True}, format="json").status_code == 202
    imports.run(run_id=run.pk, now=now)
    assert client.get(address).json()["state"] == "done"
    assert [each["id"] for each in client.get("/api/v1/imports").json()["items"]] == [run.public_id]


def test_a_repeated_upload_with_one_key_is_stored_once(scope: Scope, api: Api) -> None:
    client, key = api(), {"HTTP_IDEMPOTENCY_KEY": "k1"}
    first, second = (_upload(client, "external_id\nu1\n", **key) for _ in range(2))
    assert first.json()["id"] == second.json()["id"] and ImportRun.objects.within(scope).count() == 1
    assert _upload(client, "external_id\nu2\n", **key).status_code == 422


@pytest.mark.parametrize(
    ("query", "body", "kind", "status"),
    [
        ("?dryRun=maybe", b"external_id\nu1\n", "text/csv", 422),
        ("", b"", "text/csv", 422),
        ("", b"{}", "application/json", 415),
    ],
)
def test_a_bad_upload_stores_nothing(scope: Scope, api: Api, query: str, body: bytes, kind: str, status: int) -> None:
    answer = api().post(f"/api/v1/imports{query}", body, content_type=kind)
    assert answer.status_code == status, answer.content
    assert not ImportRun.objects.within(scope).exists()


def test_a_file_that_is_too_large_is_refused(scope: Scope, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "FILE_BYTES_MAX", 10)
    answer = _upload(api(), "external_id\nu1\n")
    assert (answer.status_code, answer.json()["errorCode"]) == (413, "FILE_TOO_LARGE")
    assert not ImportRun.objects.within(scope).exists()


def test_a_list_lives_through_rest(scope: Scope, api: Api, contactable: MakePerson) -> None:
    contactable("u1")
    contactable("u2")
    client = api()
    made = client.post("/api/v1/segments", {"name": "Beta users", "slug": "beta"}, format="json")
    assert made.status_code == 201 and made.json()["etag"] == made.headers["ETag"] == '"1"'
    address = made.headers["Location"]
    filled = client.post(f"{address}/members", {"add": ["u1", "u2@example.com"]}, format="json")
    assert filled.json()["people"] == 2
    members = client.get(f"{address}/members?limit=1").json()
    assert [each["userId"] for each in members["items"]] == ["u1"]
    following = client.get(f"{address}/members?limit=1&cursor={members['nextCursor']}").json()
    assert [each["userId"] for each in following["items"]] == ["u2"]
    assert client.post(f"{address}/members", {"remove": ["u1"]}, format="json").json()["people"] == 1
    again = client.post(f"{address}/members", {"add": ["u1"]}, format="json")
    assert again.json()["people"] == 2
    renamed = client.patch(address, {"name": "Beta"}, format="json", HTTP_IF_MATCH='"1"')
    assert (renamed.json()["name"], renamed.json()["slug"]) == ("Beta", "beta")
    assert client.patch(address, {"name": "Late"}, format="json", HTTP_IF_MATCH='"1"').status_code == 412
    assert client.patch(address, {"name": "Late"}, format="json").status_code == 428
    assert client.patch(address, {"slug": "x"}, format="json", HTTP_IF_MATCH='"2"').status_code == 422
    assert [each["slug"] for each in client.get("/api/v1/segments").json()["items"]] == ["beta"]


def test_unknown_people_change_nobody(
    scope: Scope, world: World, api: Api, contactable: MakePerson, make_person: MakePerson
) -> None:
    contactable("u1")
    make_person("elsewhere", within=world.sandbox)
    client = api()
    address = client.post("/api/v1/segments", {"name": "Beta"}, format="json").headers["Location"]
    answer = client.post(f"{address}/members", {"add": ["u1", "elsewhere"]}, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/add")
    assert client.get(address).json()["people"] == 0


def test_lambas_segments_are_not_changed_by_hand(scope: Scope, api: Api, contactable: MakePerson) -> None:
    contactable("u1", **{"segment.vip": True})
    segment = Segment.objects.within(scope).get()
    answer = api().post(f"/api/v1/segments/{segment.public_id}/members", {"remove": ["u1"]}, format="json")
    assert answer.status_code == 409


def test_a_snapshot_is_taken_and_read_with_everyone_left_out(
    api: Api, audience: Audience, contactable: MakePerson
) -> None:
    for number in range(3):
        contactable(f"u{number}")
    contactable("u3", **{"consent.email": False})
    client = api()
    made = client.post(
        f"/api/v1/audiences/{audience.public_id}/snapshots", {"fields": ["person.given_name"]}, format="json"
    )
    assert made.status_code == 201, made.content
    taken = made.json()
    assert (taken["planned"], taken["included"], taken["excluded"]) == (4, 3, {"no_consent": 1})
    address = made.headers["Location"]
    first = client.get(f"{address}/members?limit=2").json()
    second = client.get(f"{address}/members?limit=2&cursor={first['nextCursor']}").json()
    assert [each["position"] for each in first["items"] + second["items"]] == [1, 2, 3]
    left_out = client.get(f"{address}/members?reason=no_consent").json()["items"]
    assert [(each["position"], each["userId"], each["reason"]) for each in left_out] == [(-1, "u3", "no_consent")]
    assert client.get(f"{address}/members?reason=bored").status_code == 422
    assert client.get(f"{address}/members?show=all").status_code == 422
    listed = client.get(f"/api/v1/audiences/{audience.public_id}/snapshots").json()["items"]
    assert [each["id"] for each in listed] == [taken["id"]] and client.get(address).json() == taken
    refused = client.post(
        f"/api/v1/audiences/{audience.public_id}/snapshots", {"fields": ["person.password"]}, format="json"
    )
    assert refused.status_code == 422


def test_another_environments_key_sees_nothing(
    world: World, api: Api, audience: Audience, contactable: MakePerson
) -> None:
    person = contactable("u1")
    client = api(world.sandbox)
    assert client.get("/api/v1/people").json()["items"] == []
    assert client.get(f"/api/v1/people/{person.public_id}").status_code == 404
    assert client.get(f"/api/v1/audiences/{audience.public_id}/snapshots").status_code == 404


def test_templates_see_a_person_without_none(contactable: MakePerson) -> None:
    person = contactable("u1", given_name="Ada", plan="green", **{"trait.color": "red"})
    fields = people.merge_fields(person)["person"]
    assert (fields["given_name"], fields["family_name"], fields["plan"]) == ("Ada", "", "green")
    assert fields["traits"] == {"color": "red"}
    assert {f"person.{name}" for name in fields} - {"person.traits"} == people.FIELD_NAMES
