"""REST of delivery: shapes, filters, decisions, permissions, and nothing of another environment."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from audit.models import AuditEntry
from delivery import tokens
from delivery.models import CapturedMail, SendJob, Suppression
from delivery.tests.conftest import Postbox, counters
from projects.scoping import Scope

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]


@pytest.fixture
def sent(make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox) -> SendJob:
    """A job of five: one rejected, one uncertain, three accepted; one more was left out."""
    postbox.rcpt = {"u2@example.com": "550 5.7.1 Not wanted"}.get
    postbox.data = lambda server, envelope: "drop" if envelope.rcpt_tos == ["u4@example.com"] else None
    job = make_job(5, {"no_consent": 1})
    deliver(job)
    return job


def test_a_job_says_how_it_stands(api: Api, sent: SendJob) -> None:
    found = api().get(f"/api/v1/jobs/{sent.public_id}").json()
    assert found["state"] == "finished"
    assert found["planned"] == 6
    assert sum(found["accounts"].values()) == 6
    assert {name: count for name, count in found["accounts"].items() if count} == {
        "excluded": 1,
        "accepted": 3,
        "rejected": 1,
        "uncertain": 1,
    }
    assert found["excludedByReason"] == {"no_consent": 1}
    assert sum(minute["accepted"] for minute in found["perMinute"]) == 3
    assert found["whyStuck"] is None


def test_messages_page_by_cursor_and_filter_by_account(api: Api, sent: SendJob) -> None:
    client, base = api(), f"/api/v1/jobs/{sent.public_id}/messages"
    first = client.get(base, {"limit": 2}).json()
    second = client.get(base, {"limit": 2, "cursor": first["nextCursor"]}).json()
    third = client.get(base, {"limit": 2, "cursor": second["nextCursor"]}).json()
    assert [row["position"] for part in (first, second, third) for row in part["items"]] == [1, 2, 3, 4, 5]
    assert third["nextCursor"] is None
    (rejected,) = client.get(base, {"account": "rejected"}).json()["items"]
    assert (rejected["address"], rejected["code"], rejected["detail"]) == ("u2@example.com", "5.7.1", "550 Not wanted")
    assert client.get(base, {"account": "delivered"}).json() == {"items": [], "nextCursor": None}
    assert client.get(base, {"account": "nonsense"}).status_code == 422
    assert len(client.get(base, {"address": "U1@example.com"}).json()["items"]) == 1


def test_uncertain_messages_are_listed_with_evidence_and_resolved_once(api: Api, sent: SendJob) -> None:
    client, base = api(), f"/api/v1/jobs/{sent.public_id}/uncertain"
    (row,) = client.get(base).json()["items"]
    assert row["address"] == "u4@example.com"
    assert "No reply after the message was sent" in row["detail"]
    refused = client.post(base, {"decision": "perhaps"}, format="json")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "#/decision"

    answers = [
        client.post(base, {"decision": "accepted"}, format="json", headers={"Idempotency-Key": "one"}) for _ in range(2)
    ]
    assert [answer.json() for answer in answers] == [{"messages": 1}, {"messages": 1}]
    assert counters(sent) == {"excluded": 1, "accepted": 4, "rejected": 1}
    assert AuditEntry.objects.filter(action="delivery.resolved", outcome="done").count() == 1
    assert client.post(base, {"decision": "accepted"}, format="json").status_code == 404


def test_retrying_a_job_without_failures_is_refused_and_the_refusal_kept(api: Api, sent: SendJob) -> None:
    answer = api().post(f"/api/v1/jobs/{sent.public_id}/retry", {}, format="json")
    assert (answer.status_code, answer.json()["errorCode"]) == (409, "NOTHING_TO_RETRY")
    assert AuditEntry.objects.filter(action="delivery.retried", outcome="refused").count() == 1


def test_suppressions_are_added_found_and_removed_with_a_reason(api: Api, scope: Scope) -> None:
    client = api()
    made = client.post("/api/v1/suppressions", {"address": "No@Example.com", "reason": "By phone"}, format="json")
    assert made.status_code == 201
    assert made.json()["address"] == "no@example.com"
    assert made.json()["reason"] == "manual"
    assert client.get(made["Location"]).json() == made.json()
    assert client.post("/api/v1/suppressions", {"address": "no@example.com"}, format="json").status_code == 409
    assert client.post("/api/v1/suppressions", {"address": "nobody"}, format="json").status_code == 422
    unknown = client.post("/api/v1/suppressions", {"address": "a@b.example", "channel": "fax"}, format="json")
    assert unknown.json()["errors"][0]["pointer"] == "#/channel"
    assert len(client.get("/api/v1/suppressions", {"address": "NO@example.com"}).json()["items"]) == 1

    assert client.delete(made["Location"]).status_code == 422
    assert client.delete(f"{made['Location']}?reason=Called+back").status_code == 204
    assert not Suppression.objects.within(scope).exists()
    assert AuditEntry.objects.filter(action__startswith="suppression.").count() == 2


def test_captured_mail_is_listed_and_read_as_received(api: Api, scope: Scope, now: datetime, sent: SendJob) -> None:
    mark = tokens.token(environment_id=scope.environment_id, job_id=sent.pk, position=3)
    row = CapturedMail.objects.create(
        environment_id=scope.environment_id, job_id=sent.pk, position=3, message_id=f"<{mark}@acme.example>",
        sender="a@acme.example", recipient="u3@example.com", subject="Hi", raw=b"Subject: Hi\r\n\r\nBody\r\n",
        received_at=now,
    )  # fmt: skip
    client = api()
    (found,) = client.get("/api/v1/captured-mails", {"job": sent.public_id}).json()["items"]
    assert found == {
        "id": row.public_id,
        "messageId": f"<{mark}@acme.example>",
        "job": sent.public_id,
        "position": 3,
        "sender": "a@acme.example",
        "recipient": "u3@example.com",
        "subject": "Hi",
        "receivedAt": "2026-11-23T09:30:00Z",
    }
    assert client.get(f"/api/v1/captured-mails/{row.public_id}").json()["raw"] == "Subject: Hi\r\n\r\nBody\r\n"


def test_nothing_is_seen_from_another_environment_or_without_the_permission(
    world: Any, api: Api, scope: Scope, sent: SendJob
) -> None:
    client = api()
    client.post("/api/v1/suppressions", {"address": "no@example.com"}, format="json")
    row = Suppression.objects.within(scope).get()
    job = f"/api/v1/jobs/{sent.public_id}"
    paths = [job, f"{job}/messages", f"{job}/uncertain", f"/api/v1/suppressions/{row.public_id}"]
    for elsewhere in (api(world.sandbox), api(world.stranger)):
        assert [elsewhere.get(path).status_code for path in paths] == [404] * 4
        assert elsewhere.post(f"{job}/retry", {}, format="json").status_code == 404
        assert elsewhere.get("/api/v1/suppressions").json()["items"] == []
        assert elsewhere.delete(f"/api/v1/suppressions/{row.public_id}?reason=x").status_code == 404
    powerless = api(permissions=["limits.read"])
    assert [powerless.get(path).status_code for path in [*paths, "/api/v1/captured-mails"]] == [403] * 5
    reader = api(permissions=["console.read", "people.read"])
    assert reader.post(f"{job}/uncertain", {"decision": "failed"}, format="json").status_code == 403
    assert reader.post(f"{job}/retry", {}, format="json").status_code == 403
    assert reader.post("/api/v1/suppressions", {"address": "a@b.example"}, format="json").status_code == 403
    assert APIClient().get(job).status_code == 401


def test_a_position_that_no_job_can_have_is_named(api: Api, sent: SendJob) -> None:
    body = {"decision": "failed", "positions": [2**31]}
    answer = api().post(f"/api/v1/jobs/{sent.public_id}/uncertain", body, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/positions/0")
