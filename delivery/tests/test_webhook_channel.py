"""The webhook channel against a real endpoint: signed batches, an answer for each person, honest doubt otherwise."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from audiences.models import PersonFacts
from audit import ledger
from delivery import connections
from delivery.channels.webhook import BATCH_MESSAGES_MAX
from delivery.content.rendering import Content
from delivery.models import ChannelSettings, SendJob
from delivery.tests.conftest import counters, messages, state
from delivery.tests.stations import Call, Station, running
from lamba_campaigns.lib.signing import lamba_v1_signature
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db
NOTE = Content(
    subject="Hello {{ person.given_name }}", preheader="", body="Hi *there*.", from_name="Acme", from_address=""
)
Jobs = Callable[..., SendJob]


def acknowledge(call: Call) -> tuple[int, str]:
    rows = [{"id": each["id"], "status": "accepted"} for each in json.loads(call.body)["messages"]]
    return 200, json.dumps({"results": rows})


@pytest.fixture
def endpoint(settings: Any) -> Iterator[Station]:
    with running() as station:
        station.answer = acknowledge
        settings.WEBHOOK_ALLOWED_HOSTS = [station.host]
        yield station


@pytest.fixture
def secret(scope: Scope, actor: Actor, now: datetime, endpoint: Station) -> str:
    """The channel is connected to the endpoint."""
    _, shown = connections.connect(
        scope=scope, actor=actor, channel="webhook", provider="endpoint", config={"url": f"{endpoint.url}/in"},
        secret="", version=0, now=now,
    )  # fmt: skip
    return shown


@pytest.fixture
def make(scope: Scope, make_people: Any, make_job: Jobs) -> Callable[..., SendJob]:
    def job(count: int) -> SendJob:
        people = make_people(count)
        PersonFacts.objects.within(scope).update(consent_mask=8)
        return make_job(count, people=people, channel="webhook", content=NOTE)

    return job


def balanced(scope: Scope, job: SendJob) -> None:
    found = ledger.balance(scope=scope, job_id=job.pk)
    assert found.residual == 0
    assert {name: count for name, count in found.accounts.items() if count} == counters(job)


def test_everybody_is_posted_once_in_signed_batches(
    scope: Scope, endpoint: Station, secret: str, make: Any, deliver: Any
) -> None:
    job = make(230)
    deliver(job)
    assert counters(job) == {"accepted": 230}
    assert state(job) == "finished"
    balanced(scope, job)
    bodies = [json.loads(call.body) for call in endpoint.calls]
    posted = [message["id"] for body in bodies for message in body["messages"]]
    assert len(posted) == len(set(posted)) == 230
    assert max(len(body["messages"]) for body in bodies) <= BATCH_MESSAGES_MAX
    first = bodies[0]["messages"][0]
    assert (first["title"], first["text"], first["html"]) == ("Hello U1", "Hi there.", "<p>Hi <em>there</em>.</p>")
    assert (bodies[0]["campaign"], bodies[0]["environment"]) == (job.subject, "production")
    assert len({call.headers["webhook-id"] for call in endpoint.calls}) == len(endpoint.calls)
    call = endpoint.calls[0]
    assert Webhook(secret).verify(call.body, dict(call.headers))["type"] == "messages.deliver"
    stamp = call.headers["x-lamba-timestamp"]
    expected = lamba_v1_signature(secret=secret, timestamp=stamp, body=call.body)
    assert call.headers["x-lamba-signature"] == expected


def test_each_person_stands_where_the_answer_says_and_the_unnamed_are_uncertain(
    scope: Scope, endpoint: Station, secret: str, make: Any, deliver: Any, now: datetime
) -> None:
    def mixed(call: Call) -> tuple[int, str]:
        ids = [each["id"] for each in json.loads(call.body)["messages"]]
        said: list[Any] = [
            {"id": ids[0], "status": "accepted"},
            {"id": ids[1], "status": "rejected", "code": "gone", "detail": "No such user\x00"},
            {"id": ids[2], "status": "failed"},
            {"id": ids[3], "status": "deferred"},
            {"id": ids[4], "status": "perhaps"},
            {"id": ids[0], "status": "failed"},
            {"id": "msg_other", "status": "accepted"},
            "nonsense",
        ]
        return 200, json.dumps({"results": said})

    endpoint.answer = mixed
    job = make(6)
    deliver(job)
    assert counters(job) == {"accepted": 1, "rejected": 1, "failed": 1, "deferred": 1, "uncertain": 2}
    balanced(scope, job)
    rows = messages(job)
    assert (rows[1].code, rows[1].detail) == ("gone", "No such user")
    assert rows[5].detail == "The answer does not say what became of this message."

    endpoint.answer = acknowledge
    deliver(job, at=now + timedelta(hours=1))
    assert counters(job) == {"accepted": 2, "rejected": 1, "failed": 1, "uncertain": 2}
    assert len(json.loads(endpoint.calls[-1].body)["messages"]) == 1
    balanced(scope, job)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ((200, "thanks"), "uncertain"),
        ((200, '{"results": {}}'), "uncertain"),
        ((200, "[" * 50_000), "uncertain"),
        ((500, "oops"), "uncertain"),
        (None, "uncertain"),
        ((429, "slow down"), "deferred"),
        ((503, ""), "deferred"),
        ((401, ""), "deferred"),
        ((410, ""), "deferred"),
        ((302, ""), "uncertain"),
    ],
)
def test_without_a_clear_answer_nobody_counts_as_reached_or_is_posted_twice(
    scope: Scope, endpoint: Station, secret: str, make: Any, deliver: Any, reply: Any, expected: str
) -> None:
    endpoint.answer = lambda call: reply
    job = make(3)
    deliver(job)
    assert counters(job) == {expected: 3}
    assert len(endpoint.calls) == 1
    balanced(scope, job)


def test_an_endpoint_that_is_not_there_loses_nobody(
    scope: Scope, endpoint: Station, secret: str, make: Any, deliver: Any, settings: Any, now: datetime
) -> None:
    row = ChannelSettings.objects.within(scope).get()
    ChannelSettings.objects.within(scope).update(config={"url": "http://127.0.0.1:1/in"})
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1:1", endpoint.host]
    job = make(2)
    deliver(job)
    assert counters(job) == {"deferred": 2}
    assert "No connection" in SendJob.objects.within(scope).get(pk=job.pk).held_reason
    ChannelSettings.objects.within(scope).update(config=row.config)
    deliver(job, at=now + timedelta(hours=1))
    assert counters(job) == {"accepted": 2}


def test_without_a_connection_the_job_waits_and_says_why(scope: Scope, make: Any, deliver: Any) -> None:
    job = make(2)
    deliver(job)
    assert counters(job) == {"pending": 2}
    assert SendJob.objects.within(scope).get(pk=job.pk).held_reason.startswith("No endpoint is connected")
