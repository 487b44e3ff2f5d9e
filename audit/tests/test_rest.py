"""REST of the evidence."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from audit import chain, checkpoints, ledger, reconciliation
from audit.models import AuditEntry, Break, Chain
from conftest import World
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db
Api = Callable[..., Any]


@pytest.fixture
def written(scope: Scope, actor: Actor, now: datetime) -> None:
    with transaction.atomic():
        for number, action in enumerate(("campaign.created", "campaign.launched", "template.created")):
            chain.record(
                scope=scope,
                actor=actor,
                action=action,
                subject=chain.Subject("campaign", f"cmp_{number}", f"Campaign {number}"),
                now=now + timedelta(minutes=number),
            )
        chain.record(
            scope=None,
            workspace_id=scope.workspace_id,
            actor=actor,
            action="member.added",
            subject=chain.Subject("member", "usr_7", "Bob"),
            now=now,
        )


def test_an_event_carries_lambas_fields(written: None, api: Api, scope: Scope) -> None:
    item = api().get("/api/v1/audit-events").json()["items"][1]

    assert {name: item[name] for name in item if name not in ("id", "hash")} == {
        "sequence": 2,
        "action": "campaign.launched",
        "sentence": "launched the campaign",
        "outcome": "done",
        "actor": {
            "kind": "user",
            "id": item["actor"]["id"],
            "label": "Alice",
            "origin": "console",
            "ip": "127.0.0.1",
        },
        "subject": {"type": "campaign", "id": "cmp_1", "name": "Campaign 1"},
        "workspaceId": scope.workspace,
        "projectId": scope.project,
        "environment": "production",
        "traceId": "req_test",
        "before": None,
        "after": None,
        "reason": "",
        "occurredAt": "2026-11-23T09:31:00Z",
    }


def test_the_cursor_walks_both_ways(written: None, api: Api) -> None:
    first = api().get("/api/v1/audit-events?limit=2").json()
    rest = api().get(f"/api/v1/audit-events?limit=2&cursor={first['nextCursor']}").json()
    assert [item["sequence"] for item in first["items"] + rest["items"]] == [3, 2, 1] and rest["nextCursor"] is None

    oldest = api().get("/api/v1/audit-events?order=oldest&limit=1").json()
    after = api().get(f"/api/v1/audit-events?order=oldest&cursor={oldest['nextCursor']}").json()
    assert [item["sequence"] for item in oldest["items"] + after["items"]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("action=campaign.launched", [2]),
        ("action=campaign", [2, 1]),
        ("subject=cmp_2", [3]),
        ("actor=system", []),
        ("since=2026-11-23T09:31:00Z", [3, 2]),
        ("until=2026-11-23T10:31:00%2B01:00", [1]),
        ("reach=workspace", [1]),
    ],
)
def test_filters(written: None, api: Api, query: str, found: list[int]) -> None:
    items = api().get(f"/api/v1/audit-events?{query}").json()["items"]
    assert [item["sequence"] for item in items] == found


@pytest.mark.parametrize("query", ["action=launch", "since=yesterday", "since=2026-11-23T09:31:00", "reach=all"])
def test_a_filter_that_cannot_be_read_is_named(written: None, api: Api, query: str) -> None:
    answer = api().get(f"/api/v1/audit-events?{query}")
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == f"?{query.partition('=')[0]}"


def test_strangers_and_the_sandbox_see_none_of_it(written: None, api: Api, world: World) -> None:
    for scope in (world.sandbox, world.stranger):
        assert api(scope).get("/api/v1/audit-events").json()["items"] == []
    assert api(permissions=["console.read"]).get("/api/v1/audit-events").status_code == 403


def test_a_verification_is_audited_with_its_result(written: None, api: Api, scope: Scope) -> None:
    answer = api().post("/api/v1/audit/verification", {"ledger": True}, format="json").json()

    assert answer["ok"] is True and answer["chain"]["entries"] == 3 and answer["ledger"]["postings"] == 0
    entry = AuditEntry.objects.get(action="verification.run")
    assert entry.after == {"ok": True, "entries": 3, "head": answer["chain"]["head"], "postings": 0}
    assert api().post("/api/v1/audit/verification").json()["ok"] is True, "a body is not needed"


def test_checkpoints_can_be_kept_elsewhere(written: None, api: Api, scope: Scope, now: datetime) -> None:
    checkpoints.sign(chain_id=Chain.objects.get(key=chain.chain_key(scope=scope)).pk, now=now)

    (item,) = api().get("/api/v1/audit/checkpoints").json()["items"]
    assert item["sequence"] == 3 and item["hash"] in item["note"] and len(item["signature"]) == 128


@pytest.fixture
def differing(scope: Scope, now: datetime) -> Break:
    with transaction.atomic():
        ledger.open_book(
            scope=scope, job_id=7, subject="cmp_1", planned=10, pending=9, excluded={"no_consent": 1}, now=now
        )
        found = reconciliation.reconcile(
            scope=scope, job_id=7, subject="cmp_1", evidence={"messages": {"pending": 7}}, now=now
        )
    return found.findings[0]


def test_books_are_listed_with_their_differences(differing: Break, api: Api, world: World) -> None:
    (book,) = api().get("/api/v1/reconciliation").json()["items"]

    assert (book["planned"], book["residual"], book["openBreaks"], book["score"]) == (10, 0, 1, 80)
    assert book["accounts"]["pending"] == 9
    assert book["breaks"][0]["detail"] == "Messages count 7 pending, the ledger 9."
    assert api(world.sandbox).get("/api/v1/reconciliation").json()["items"] == []


def test_a_difference_is_explained_once_and_audited(differing: Break, api: Api, world: World) -> None:
    url = f"/api/v1/reconciliation/breaks/{differing.public_id}/resolve"

    assert api(permissions=["audit.read"]).post(url, {"reason": "x"}, format="json").status_code == 403
    assert api(world.stranger).post(url, {"reason": "x"}, format="json").status_code == 404
    done = api().post(url, {"reason": "Two were removed by hand."}, format="json")
    assert done.status_code == 200 and done.json()["state"] == "resolved"
    assert api().post(url, {"reason": "again"}, format="json").status_code == 409
    assert AuditEntry.objects.get(action="break.resolved").reason == "Two were removed by hand."
