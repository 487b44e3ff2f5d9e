"""Mail by a provider's HTTP interface: nobody sees anybody else, every answer is named, receipts find their message."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from email import message_from_bytes
from typing import Any

import pytest

from audit import ledger
from delivery import connections, esp_receipts, tokens
from delivery.models import ChannelSettings, SendJob
from delivery.tests.conftest import Postbox, counters, messages, state
from delivery.tests.stations import Call, Station, running
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db
INACTIVE = "You tried it. Found inactive addresses: u1@example.com. Inactive recipients are ones that bounced."
MESSAGE_ID = "<20261123@acme.example>"


def form_of(call: Call) -> dict[str, list[str]]:
    """The fields of a multipart body."""
    head = f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode()
    found: dict[str, list[str]] = {}
    for part in message_from_bytes(head + call.body).get_payload():
        name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
        text = part.get_payload(decode=True).decode()  # type: ignore[union-attr]
        found.setdefault(str(name), []).append(text)
    return found


def fields(call: Call) -> dict[str, list[str]]:
    from urllib.parse import parse_qs

    multipart = call.headers["content-type"].startswith("multipart")
    return form_of(call) if multipart else parse_qs(call.body.decode(), keep_blank_values=True)


@pytest.fixture
def provider(settings: Any) -> Iterator[Station]:
    with running() as station:
        settings.WEBHOOK_ALLOWED_HOSTS = [station.host]
        yield station


def connect(scope: Scope, actor: Actor, now: datetime, provider: Station, name: str, **config: str) -> None:
    connections.connect(
        scope=scope, actor=actor, channel="email", provider=name, config={"url": f"{provider.url}/v3", **config},
        secret="key-1", version=0, now=now,
    )  # fmt: skip


def balanced(scope: Scope, job: SendJob) -> None:
    found = ledger.balance(scope=scope, job_id=job.pk)
    assert found.residual == 0
    assert {name: count for name, count in found.accounts.items() if count} == counters(job)


def test_mailgun_gets_batches_in_which_everybody_is_alone(
    scope: Scope, actor: Actor, now: datetime, provider: Station, make_job: Callable[..., SendJob], deliver: Any,
    postbox: Postbox,
) -> None:  # fmt: skip
    connect(scope, actor, now, provider, "mailgun", domain="acme.example")
    provider.answer = lambda call: (200, json.dumps({"id": MESSAGE_ID, "message": "Queued. Thank you."}))
    job = make_job(130)
    deliver(job)
    assert counters(job) == {"accepted": 130}
    assert state(job) == "finished"
    balanced(scope, job)
    assert postbox.received == []
    assert len(provider.calls) == 2
    form = fields(provider.calls[0])
    variables = json.loads(form["recipient-variables"][0])
    assert len(form["to"][0].split(",")) + len(form["to"]) - 1 == len(variables) == 100
    assert "cc" not in form
    assert form["subject"] == ["%recipient.subject%"]
    one = variables["u1@example.com"]
    assert one["subject"] == "Hello U1"
    assert "Hi <strong>U1</strong>" in one["html"]
    links = [re.findall(r"/u/[a-z2-7]{26}", json.dumps(each)) for each in variables.values()]
    assert len({found[0] for found in links}) == 100
    assert provider.calls[0].path == "/v3/acme.example/messages"


def test_a_batch_that_one_address_spoils_is_sent_one_by_one(
    scope: Scope, actor: Actor, now: datetime, provider: Station, make_job: Callable[..., SendJob], deliver: Any
) -> None:
    connect(scope, actor, now, provider, "mailgun", domain="acme.example")

    def picky(call: Call) -> tuple[int, str]:
        if "u2@example.com" in " ".join(fields(call)["to"]):
            return 400, '{"message": "to parameter is not a valid address"}'
        return 200, json.dumps({"id": MESSAGE_ID, "message": "Queued. Thank you."})

    provider.answer = picky
    job = make_job(3)
    deliver(job)
    assert counters(job) == {"accepted": 2, "rejected": 1}
    assert "not a valid address" in messages(job)[1].detail
    balanced(scope, job)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ((200, '{"ErrorCode": 0, "Message": "OK", "MessageID": "m-1", "To": "u1@example.com"}'), "accepted"),
        ((422, json.dumps({"ErrorCode": 406, "Message": INACTIVE})), "rejected"),
        ((422, '{"ErrorCode": 300, "Message": "Invalid email request"}'), "rejected"),
        ((401, '{"ErrorCode": 10, "Message": "Bad token"}'), "deferred"),
        ((429, "{}"), "deferred"),
        ((500, '{"ErrorCode": 500, "Message": "oops"}'), "uncertain"),
        ((200, "not json"), "uncertain"),
        (None, "uncertain"),
    ],
)
def test_every_answer_is_named_for_what_it_is(
    scope: Scope, actor: Actor, now: datetime, provider: Station, make_job: Callable[..., SendJob], deliver: Any,
    reply: Any, expected: str,
) -> None:  # fmt: skip
    connect(scope, actor, now, provider, "postmark")
    provider.answer = lambda call: reply
    job = make_job(1)
    deliver(job)
    assert counters(job) == {expected: 1}
    assert len(provider.calls) == 1
    balanced(scope, job)
    sent = json.loads(provider.calls[0].body)
    assert sent["To"] == "u1@example.com"
    headers = {each["Name"]: each["Value"] for each in sent["Headers"]}
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert provider.calls[0].headers["x-postmark-server-token"] == "key-1"


def test_a_provider_that_knows_idempotency_keys_gets_one_for_each_message(
    scope: Scope, actor: Actor, now: datetime, provider: Station, make_job: Callable[..., SendJob], deliver: Any
) -> None:
    connect(scope, actor, now, provider, "resend")
    provider.answer = lambda call: (200, '{"id": "r-1"}')
    job = make_job(5)
    deliver(job)
    assert counters(job) == {"accepted": 5}
    keys = [call.headers["idempotency-key"] for call in provider.calls]
    assert len(set(keys)) == len(keys) == 5


def test_a_provider_that_is_not_there_loses_nobody(
    scope: Scope, actor: Actor, now: datetime, make_job: Callable[..., SendJob], deliver: Any, settings: Any
) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1:1"]
    connect(scope, actor, now, Station(port=1), "postmark")
    job = make_job(2)
    deliver(job)
    assert counters(job) == {"deferred": 2}
    assert SendJob.objects.within(scope).get(pk=job.pk).held_reason


def test_a_sandbox_never_mails_by_a_provider(
    scope: Scope, world: Any, actor: Actor, now: datetime, provider: Station, make_job: Callable[..., SendJob],
    deliver: Any, postbox: Postbox,
) -> None:  # fmt: skip
    connect(scope, actor, now, provider, "postmark")
    ChannelSettings.objects.within(scope).update(environment_id=world.sandbox.environment_id)  # it can't be connected
    job = make_job(2, within=world.sandbox)
    deliver(job)
    assert (len(postbox.received), provider.calls) == (2, [])


def test_what_a_provider_tells_finds_the_message_that_it_means() -> None:
    mark = tokens.token(environment_id=1, job_id=2, position=3)
    told = {
        "RecordType": "Bounce", "Type": "HardBounce", "TypeCode": 1, "MessageID": "m-1", "Email": "u1@example.com",
        "BouncedAt": "2026-11-23T09:31:00Z", "Description": "Unknown user", "Details": "550 5.1.1 no such mailbox",
        "Metadata": {"lamba_message": mark},
    }  # fmt: skip
    (read,) = esp_receipts.read("postmark", {"content-type": "application/json"}, json.dumps(told).encode())
    assert read.type == "message.bounced"
    assert read.data["code"] == "5.1.1"
    assert tokens.read_message_id(read.data["messageId"]) == tokens.Reference(1, 2, 3)
    delivered = {"RecordType": "Delivery", "MessageID": "m-2", "Recipient": "a@b.example",
                 "DeliveredAt": "2026-11-23T09:31:00Z", "Metadata": {}}  # fmt: skip
    (other,) = esp_receipts.read("postmark", {"content-type": "application/json"}, json.dumps(delivered).encode())
    assert (other.type, other.data["messageId"]) == ("message.delivered", "<m-2>")
    with pytest.raises(ValueError, match="can't read"):
        esp_receipts.read("postmark", {"content-type": "application/json"}, b"[]]")


@pytest.mark.parametrize(("kind", "code"), [("HardBounce", "5.1.1"), ("SpamNotification", "spam")])
def test_a_bounce_without_a_code_is_hard_only_when_the_mailbox_is_gone(kind: str, code: str) -> None:
    told = {
        "RecordType": "Bounce", "Type": kind, "MessageID": "m-1", "Email": "a@b.example", "Metadata": {},
        "BouncedAt": "2026-11-23T09:31:00Z", "Description": "", "Details": "",
    }  # fmt: skip
    (read,) = esp_receipts.read("postmark", {"content-type": "application/json"}, json.dumps(told).encode())
    assert read.data["code"] == code


def test_a_nul_in_a_receipt_names_nobody_and_is_kept_out() -> None:
    told = {
        "RecordType": "Delivery",
        "MessageID": "a\x00b",
        "Recipient": "ada\x00@example.com",
        "Details": "250\x00 ok",
    }
    (read,) = esp_receipts.read("postmark", {"content-type": "application/json"}, json.dumps(told).encode())
    assert read.data["messageId"] == "<ab>" and read.data["recipient"] == "ada@example.com"
    assert "\x00" not in "".join(map(str, read.data.values()))
