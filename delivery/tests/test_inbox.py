"""In-app: accepted when the item is durable, delivered when it is fetched, opened when read; and the books close."""

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from audiences import people as known_people
from audiences.models import Person, PersonFacts
from audit import ledger
from delivery import inbox, inbox_stream, tokens
from delivery.channels.inapp import InboxWay
from delivery.content.rendering import Content
from delivery.models import InboxItem, JobCounters, SendJob
from delivery.tests.conftest import counters, state
from delivery.windows import Member
from projects.scoping import Actor, Scope
from webhooks import process

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
NOTE = Content(
    subject='Hello {{ person.given_name | default: "there" }}',
    preheader="",
    body='**New:** <b>{{ person.given_name }}</b>, [look]({{ person.traits.url | default: "https://acme.example" }}).',
    from_name="Acme",
    from_address="",
)


@pytest.fixture
def people(scope: Scope, make_people: Any) -> list[int]:
    found: list[int] = make_people(3)
    PersonFacts.objects.within(scope).update(consent_mask=2)
    return found


@pytest.fixture
def sent(people: list[int], make_job: Callable[..., SendJob], deliver: Any) -> SendJob:
    job = make_job(3, {"no_consent": 1}, people=people, channel="in_app", content=NOTE)
    deliver(job)
    return job


@pytest.fixture
def front(api: Api) -> Callable[..., dict[str, str]]:
    """front("u1") -> the headers of u1's front end."""

    def headers(user: str, **more: Any) -> dict[str, str]:
        answer = api().post("/api/v1/inbox/tokens", {"person": user, **more}, format="json")
        assert answer.status_code == 201, answer.content
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    return headers


def settle(scope: Scope) -> None:
    """What the queue's worker does."""
    while _processed():
        pass


def _processed() -> int:
    return int(process.run(now=timezone.now()))


def balanced(scope: Scope, job: SendJob) -> None:
    found = ledger.balance(scope=scope, job_id=job.pk)
    assert found.residual == 0
    assert {name: count for name, count in found.accounts.items() if count} == counters(job)


def test_everybody_gets_one_item_and_the_books_agree(scope: Scope, sent: SendJob) -> None:
    assert counters(sent) == {"excluded": 1, "accepted": 3}
    assert state(sent) == "finished"
    balanced(scope, sent)
    items = list(InboxItem.objects.order_by("position"))
    assert [item.title for item in items] == ["Hello U1", "Hello U2", "Hello U3"]
    assert items[0].text == "New: U1, look (https://acme.example)."
    assert '<a href="https://acme.example">look</a>' in items[0].html
    assert "unsubscribe" not in items[0].html


def test_a_micro_batch_that_is_handed_over_twice_leaves_one_item(scope: Scope, now: datetime, sent: SendJob) -> None:
    way = InboxWay(scope, sent, NOTE)
    member = Member(1, InboxItem.objects.get(position=1).person_id, "u1", {"given_name": "U1"}, 1)
    assert [outcome.kind for outcome in way.hand_over([member], now=now).outcomes] == ["accepted"]
    assert InboxItem.objects.count() == 3


def test_fetching_delivers_reading_opens_and_neither_counts_twice(
    scope: Scope, client: Client, sent: SendJob, front: Any
) -> None:
    headers = front("u1")
    for _ in range(2):
        (item,) = client.get("/api/v1/inbox", headers=headers).json()["items"]
    assert (item["title"], item["readAt"]) == ("Hello U1", None)
    assert client.get("/api/v1/inbox/unread", headers=headers).json() == {"unread": 1}
    settle(scope)
    assert counters(sent) == {"excluded": 1, "accepted": 2, "delivered": 1}

    for _ in range(2):
        answer = client.post(
            "/api/v1/inbox/read", json.dumps({"ids": [item["id"]]}), content_type="application/json", headers=headers
        )
    assert answer.json() == {"unread": 0}
    settle(scope)
    assert counters(sent) == {"excluded": 1, "accepted": 2, "delivered": 1}
    assert JobCounters.objects.within(scope).get(pk=sent.pk).opened == 1
    balanced(scope, sent)


def test_reading_without_fetching_first_still_delivers(
    scope: Scope, client: Client, now: datetime, sent: SendJob, front: Any
) -> None:
    newest = str(InboxItem.objects.order_by("-pk")[0].pk)
    client.post(
        "/api/v1/inbox/read", json.dumps({"upTo": newest}), content_type="application/json", headers=front("u2")
    )
    settle(scope)
    assert counters(sent) == {"excluded": 1, "accepted": 2, "delivered": 1}
    assert InboxItem.objects.filter(read_at=None).count() == 2


def test_a_receipt_waits_while_the_outcome_is_not_written(
    scope: Scope, now: datetime, people: list[int], make_job: Callable[..., SendJob], monkeypatch: Any, deliver: Any
) -> None:
    original = InboxWay.hand_over

    def fetched_meanwhile(self: InboxWay, members: Any, *, now: datetime) -> Any:
        handed = original(self, members, now=now)
        person = Person.objects.within(scope).get(pk=members[0].person_id)
        token, _ = inbox.issue(scope=scope, person=person, seconds=60, now=now)
        who = inbox.reader(token=token, now=now)
        assert len(inbox.fetch(who=who, before=None, archived=False, limit=5, now=now)) == 1
        _processed()
        return handed

    monkeypatch.setattr(InboxWay, "hand_over", fetched_meanwhile)
    job = make_job(3, people=people, channel="in_app", content=NOTE)
    deliver(job)
    assert counters(job) == {"accepted": 3}


def test_items_are_put_away_paged_and_only_seen_by_their_person(client: Client, sent: SendJob, front: Any) -> None:
    one, two = front("u1"), front("u2")
    (item,) = client.get("/api/v1/inbox", headers=one).json()["items"]
    wrong = json.dumps({"ids": [item["id"]]})
    client.post("/api/v1/inbox/archive", wrong, content_type="application/json", headers=two)
    client.post("/api/v1/inbox/read", wrong, content_type="application/json", headers=two)
    assert client.get("/api/v1/inbox", headers=one).json()["items"][0]["readAt"] is None
    client.post("/api/v1/inbox/archive", wrong, content_type="application/json", headers=one)
    assert client.get("/api/v1/inbox", headers=one).json()["items"] == []
    assert len(client.get("/api/v1/inbox?archived=true", headers=one).json()["items"]) == 1
    assert client.get("/api/v1/inbox/unread", headers=one).json() == {"unread": 0}
    back = json.dumps({"ids": [item["id"]], "archived": False})
    client.post("/api/v1/inbox/archive", back, content_type="application/json", headers=one)
    assert client.get("/api/v1/inbox/unread", headers=one).json() == {"unread": 1}
    assert client.get("/api/v1/inbox?limit=1", headers=one).json()["nextCursor"]


@pytest.mark.parametrize("token", ["", "x", "eyJlIjoxfQ:1:2", "lmb_live_x"])
def test_no_other_token_opens_an_inbox(client: Client, token: str) -> None:
    answer = client.get("/api/v1/inbox", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["errorCode"]) == (401, "INBOX_TOKEN_REFUSED")


def test_a_token_ends_and_is_bound_to_its_environment(
    world: Any, api: Api, client: Client, scope: Scope, now: datetime, sent: SendJob
) -> None:
    person = Person.objects.within(scope).get(external_id="u1")
    token, _ = inbox.issue(scope=scope, person=person, seconds=60, now=now)
    assert inbox.reader(token=token, now=now + timedelta(seconds=59)).person_id == person.pk
    with pytest.raises(inbox.InboxTokenRefused):
        inbox.reader(token=token, now=now + timedelta(seconds=60))
    assert client.get("/api/v1/inbox", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    elsewhere = api(world.sandbox).post("/api/v1/inbox/tokens", {"person": "u1"}, format="json")
    assert (elsewhere.status_code, elsewhere.json()["errors"][0]["pointer"]) == (422, "#/person")
    assert api(permissions=["limits.read"]).post("/api/v1/inbox/tokens", {}, format="json").status_code == 403


def test_any_origin_may_ask_and_read(client: Client, sent: SendJob, front: Any) -> None:
    asked = client.options("/api/v1/inbox", headers={"Origin": "https://app.acme.example"})
    assert (asked.status_code, asked["Access-Control-Allow-Origin"]) == (204, "*")
    with CaptureQueriesContext(connection) as queries:
        answer = client.get("/api/v1/inbox", headers=front("u3"))
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert len(queries) <= 24  # the token's too


def test_the_stream_tells_the_state_at_once_and_every_change(
    scope: Scope, now: datetime, client: Client, sent: SendJob, front: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(inbox_stream, "LOOK_SECONDS", 0.01)
    person = Person.objects.within(scope).get(external_id="u1")
    who = inbox.Reader(scope, person.pk)
    lines = inbox_stream.events(who=who, seconds=2)
    assert next(lines) == "retry: 1000\n\n"
    assert '"unread": 1' in next(lines)
    inbox.read(who=who, ids=None, upto=2**40, now=now)
    assert any('"unread": 0' in line for line in lines)

    token = front("u1")["Authorization"].removeprefix("Bearer ")
    monkeypatch.setattr(inbox_stream, "STREAM_SECONDS_MAX", 0)
    answer = client.get(f"/api/v1/inbox/stream?token={token}", headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Type"] == "text/event-stream"
    assert answer["Content-Encoding"] == "identity"
    assert client.get("/api/v1/inbox/stream?token=x").status_code == 401


def test_when_all_streams_are_taken_a_browser_polls(scope: Scope, sent: SendJob, monkeypatch: Any) -> None:
    monkeypatch.setattr(inbox_stream, "_open_streams", threading.BoundedSemaphore(1))
    person = Person.objects.within(scope).get(external_id="u1")
    first = inbox_stream.events(who=inbox.Reader(scope, person.pk), seconds=0)
    next(first)
    second = list(inbox_stream.events(who=inbox.Reader(scope, person.pk)))
    assert len(second) == 1
    assert second[0].startswith("retry: 10000\n\nid: ")
    list(first)
    assert len(list(inbox_stream.events(who=inbox.Reader(scope, person.pk), seconds=0))) == 2


def test_unsubscribing_from_in_app_holds_before_the_next_job(
    client: Client, scope: Scope, people: list[int], make_job: Callable[..., SendJob], deliver: Any
) -> None:
    first = make_job(3, people=people, channel="in_app", content=NOTE)
    token = tokens.unsubscribe_token(environment_id=scope.environment_id, job_id=first.pk, person_id=people[0])
    client.post(f"/u/{token}", {"wish": "unsubscribe"})
    deliver(first)
    assert counters(first) == {"excluded": 1, "accepted": 2}


def test_an_erased_person_leaves_no_messages_behind(
    scope: Scope, actor: Actor, now: datetime, sent: SendJob, client: Client, front: Any
) -> None:
    headers = front("u1")
    person = Person.objects.within(scope).get(external_id="u1")
    known_people.erase(scope=scope, actor=actor, public_id=person.public_id, now=now)
    settle(scope)
    assert not InboxItem.objects.filter(person_id=person.pk).exists()
    assert InboxItem.objects.count() == 2
    assert client.get("/api/v1/inbox", headers=headers).status_code == 401
