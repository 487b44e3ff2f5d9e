"""SMS over real HTTP: one request a person, sizes as phones count them, reports that only the provider can sign."""

import base64
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from audiences.models import Person, PersonFacts
from audit import ledger
from delivery import connections, sms_callback
from delivery.content import segments
from delivery.content.rendering import Content
from delivery.models import CapturedMail, ConsentEvent, SendJob
from delivery.tests.conftest import counters, messages, state
from delivery.tests.stations import Call, Station, running
from projects.models import Environment
from projects.scoping import Actor, Scope
from webhooks import process

pytestmark = pytest.mark.django_db
ACCOUNT = "AC" + "0a" * 16
TEXT = Content(
    subject="Note",
    preheader="",
    body="Hi {{ person.given_name }}, it is time. End: {{ unsubscribe_url }}",
    from_name="Acme",
    from_address="",
)


def queue(call: Call) -> tuple[int, str]:
    return 201, '{"sid": "SM1", "status": "queued", "num_segments": "1"}'


@pytest.fixture
def provider(settings: Any) -> Iterator[Station]:
    with running() as station:
        station.answer = queue
        settings.WEBHOOK_ALLOWED_HOSTS = [station.host]
        yield station


def connect(scope: Scope, actor: Actor, now: datetime, provider: Station) -> None:
    connections.connect(
        scope=scope, actor=actor, channel="sms", provider="twilio", secret="token-1", version=0, now=now,
        config={"account": ACCOUNT, "sender": "+4930123456", "url": provider.url},
    )  # fmt: skip


@pytest.fixture
def make(make_people: Any, make_job: Callable[..., SendJob]) -> Callable[..., SendJob]:
    """make(3, scope) -> a job to three phones; the numbers stand where the snapshot of these tests takes addresses."""

    def job(count: int, scope: Scope, content: Content = TEXT) -> SendJob:
        people = make_people(count, scope)
        PersonFacts.objects.within(scope).update(consent_mask=4)
        for number, person in enumerate(people, start=1):
            Person.objects.within(scope).filter(pk=person).update(email=f"+491511000{number}")
        return make_job(count, people=people, channel="sms", content=content, within=scope)

    return job


def balanced(scope: Scope, job: SendJob) -> None:
    found = ledger.balance(scope=scope, job_id=job.pk)
    assert found.residual == 0
    assert {name: count for name, count in found.accounts.items() if count} == counters(job)


def numbers(provider: Station) -> list[str]:
    return sorted(parse_qs(call.body.decode())["To"][0] for call in provider.calls)


def test_everybody_is_texted_once_with_their_own_words(
    scope: Scope, actor: Actor, now: datetime, provider: Station, make: Any, deliver: Any
) -> None:
    connect(scope, actor, now, provider)
    job = make(30, scope)
    deliver(job)
    assert counters(job) == {"accepted": 30}
    assert state(job) == "finished"
    balanced(scope, job)
    assert numbers(provider) == sorted(f"+491511000{n}" for n in range(1, 31))
    call = next(each for each in provider.calls if parse_qs(each.body.decode())["To"] == ["+4915110001"])
    form = parse_qs(call.body.decode())
    assert form["From"] == ["+4930123456"]
    assert form["Body"][0].startswith("Hi U1, it is time. End: http://localhost:8000/u/")
    assert call.path == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert call.headers["authorization"] == "Basic " + base64.b64encode(f"{ACCOUNT}:token-1".encode()).decode()
    assert messages(job)[0].detail == "SM1, 1 segment, GSM-7"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ((400, '{"code": 21211, "message": "Invalid number"}'), "rejected"),
        ((400, '{"code": 21610, "message": "Unsubscribed recipient"}'), "rejected"),
        ((400, '{"code": 21602, "message": "Body is required"}'), "failed"),
        ((429, '{"code": 20429, "message": "Too many requests"}'), "deferred"),
        ((401, '{"code": 20003, "message": "Authenticate"}'), "deferred"),
        ((500, "oops"), "uncertain"),
        ((201, "not json"), "uncertain"),
        (None, "uncertain"),
    ],
)
def test_every_answer_is_named_for_what_it_is(
    scope: Scope, actor: Actor, now: datetime, provider: Station, make: Any, deliver: Any, reply: Any, expected: str
) -> None:
    connect(scope, actor, now, provider)
    provider.answer = lambda call: reply
    job = make(2, scope)
    deliver(job)
    assert counters(job) == {expected: 2}
    assert len(provider.calls) == 2
    balanced(scope, job)


def report(client: Client, path: str, secret: str = "token-1", **fields: str) -> int:  # noqa: S107
    url = f"http://localhost:8000{path}"
    headers = {"X-Twilio-Signature": sms_callback.signature(secret, url, fields)}
    return int(client.post(path, fields, headers=headers).status_code)


def settle() -> None:
    while process.run(now=timezone.now()):
        pass


def test_reports_move_messages_once_and_only_when_the_provider_signed_them(
    client: Client, scope: Scope, actor: Actor, now: datetime, provider: Station, make: Any, deliver: Any
) -> None:
    connect(scope, actor, now, provider)
    job = make(3, scope)
    deliver(job)
    by_number = {parse_qs(call.body.decode())["To"][0]: parse_qs(call.body.decode()) for call in provider.calls}
    paths = [by_number[f"+491511000{n}"]["StatusCallback"][0].removeprefix("http://localhost:8000") for n in (1, 2, 3)]
    assert report(client, paths[0], secret="other", MessageSid="SM1", MessageStatus="delivered") == 403
    assert client.post(paths[0], {"MessageStatus": "delivered"}).status_code == 403
    for _ in range(2):
        assert report(client, paths[0], MessageSid="SM1", MessageStatus="delivered") == 204
    assert report(client, paths[1], MessageSid="SM1", MessageStatus="undelivered", ErrorCode="30005") == 204
    assert report(client, paths[2], MessageSid="SM1", MessageStatus="sending") == 204
    wrong = paths[0].replace(paths[0].split("/")[-1], "a" * 26)
    assert report(client, wrong, MessageStatus="delivered") == 404
    settle()
    assert counters(job) == {"accepted": 1, "delivered": 1, "bounced": 1}
    assert messages(job)[1].code == "30005"
    balanced(scope, job)


def test_a_sandbox_texts_its_allow_list_and_captures_the_rest(
    world: Any, actor: Actor, now: datetime, provider: Station, make: Any, deliver: Any
) -> None:
    scope = world.sandbox
    Environment.objects.filter(pk=scope.environment_id).update(sandbox_allow_list=["+4915110002"])
    connect(scope, actor, now, provider)
    job = make(3, scope)
    deliver(job)
    assert counters(job) == {"accepted": 3}
    assert numbers(provider) == ["+4915110002"]
    captured = CapturedMail.objects.within(scope).order_by("position")
    assert [row.recipient for row in captured] == ["+4915110001", "+4915110003"]
    assert b"Hi U1, it is time." in bytes(captured[0].raw)


def test_who_answered_stop_is_unsubscribed_here_as_well(
    scope: Scope, actor: Actor, now: datetime, provider: Station, make: Any, deliver: Any
) -> None:
    connect(scope, actor, now, provider)
    provider.answer = lambda call: (400, '{"code": 21610, "message": "Unsubscribed recipient"}')
    job = make(2, scope)
    deliver(job)
    assert counters(job) == {"rejected": 2}
    assert set(PersonFacts.objects.within(scope).values_list("unsubscribed_mask", flat=True)) == {4}
    evidence = ConsentEvent.objects.order_by("pk")
    assert [(row.channel, row.action, row.how) for row in evidence] == [("sms", "unsubscribed", "receipt")] * 2
    balanced(scope, job)


def test_a_text_that_would_cost_too_much_fails_before_it_leaves(
    scope: Scope, actor: Actor, now: datetime, provider: Station, make: Any, deliver: Any
) -> None:
    connect(scope, actor, now, provider)
    long = Content("Note", "", "\N{PARTY POPPER} " + "x" * 800, "Acme", "")
    job = make(1, scope, long)
    deliver(job)
    assert counters(job) == {"failed": 1}
    assert "UCS-2" in messages(job)[0].detail
    assert provider.calls == []


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),
        ("ж" * 70, "UCS-2", 70, 1),
        ("ж" * 71, "UCS-2", 71, 2),
        ("\N{PARTY POPPER}" * 35, "UCS-2", 70, 1),
        ("\N{PARTY POPPER}" * 67, "UCS-2", 134, 3),
    ],
)
def test_sizes_are_what_a_phone_counts(text: str, encoding: str, units: int, count: int) -> None:
    found = segments.size(text)
    assert (found.encoding, found.units, found.segments) == (encoding, units, count)


@given(st.text(max_size=600))
def test_a_longer_text_never_costs_less(text: str) -> None:
    assert segments.size(text).segments <= segments.size(text + "a").segments <= segments.size(text).segments + 1
    assert segments.size(text).segments * 160 >= segments.size(text).units
