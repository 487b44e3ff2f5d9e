"""The plain door believes signed bytes only, stores once, and answers what happened."""

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from conftest import World
from lamba_campaigns.lib.signing import lamba_v1_signature, verify_lamba_v1
from projects.scoping import Actor, Scope
from webhooks import directory, endpoints, ingest, rotation
from webhooks.models import EndpointSecret, InboundConflict, InboundEvent
from webhooks.refusals import BODY_BYTES_MAX
from webhooks.tests.conftest import BASE, Sender

pytestmark = pytest.mark.django_db


def stored(scope: Scope) -> list[InboundEvent]:
    return list(InboundEvent.objects.within(scope).order_by("id"))


def test_lambas_published_vector_verifies() -> None:
    body = b'{"id":"evt_01J...","type":"session.created"}'
    signature = "v1=0f1391709aca53eb7ba1f1ccebf49f42d8baff5085609cacdb687bcd2df95886"

    assert lamba_v1_signature(secret="whsec_test_123", timestamp="1710000000", body=body) == signature
    assert (
        verify_lamba_v1(
            timestamp="1710000000", signature=signature, body=body, secrets=["other", "whsec_test_123"], now=1710000299
        )
        == 1
    )


def test_a_signed_event_is_stored_byte_for_byte_and_accepted(lamba: Sender, scope: Scope, rings: list[str]) -> None:
    body = json.dumps(lamba.envelope(id="evt_1"), indent=2).encode()

    answer = lamba.post(body)

    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    [event] = stored(scope)
    assert (event.event_id, event.source, event.state, event.delivery_count) == ("evt_1", "lamba", "received", 1)
    assert bytes(event.raw) == body
    assert event.headers["x-lamba-timestamp"]
    assert event.type is None
    assert rings == ["webhooks.tasks.process_events"]
    assert EndpointSecret.objects.within(scope).get().last_used_at is not None


def test_a_second_delivery_of_an_event_changes_nothing(lamba: Sender, scope: Scope, rings: list[str]) -> None:
    body = lamba.envelope()
    lamba.post(body)
    rings.clear()

    answer = lamba.post(body)

    assert (answer.status_code, answer.json()) == (200, {"status": "duplicate"})
    [event] = stored(scope)
    assert (event.delivery_count, event.conflict) == (2, False)
    assert rings == []


def test_the_same_id_with_another_body_keeps_the_first_and_is_flagged(lamba: Sender, scope: Scope) -> None:
    first, second = lamba.envelope(id="evt_1"), lamba.envelope(id="evt_1", data={"userId": "usr_2"})
    lamba.post(first)

    answers = [lamba.post(second), lamba.post(second)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["status"] == "conflict"
    [event] = stored(scope)
    assert json.loads(bytes(event.raw)) == first
    assert (event.conflict, event.delivery_count) == (True, 3)
    assert [json.loads(bytes(each.raw)) for each in InboundConflict.objects.within(scope)] == [second]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda headers: headers | {"X-Lamba-Signature": "v1=" + "0" * 64},
        lambda headers: headers | {"X-Lamba-Signature": headers["X-Lamba-Signature"].upper()},
        lambda headers: headers | {"X-Lamba-Timestamp": str(int(time.time()) - 301)},
        lambda headers: headers | {"X-Lamba-Timestamp": str(int(time.time()) + 330)},
        lambda headers: headers | {"X-Lamba-Timestamp": "nan"},
        lambda headers: {},
        lambda headers: {"X-Lamba-Timestamp": headers["X-Lamba-Timestamp"]},
        lambda headers: headers | {"X-Lamba-Signature": "v1=\xff\xfe"},
        lambda headers: headers | {"X-Lamba-Signature": "x" * 10_000},
    ],
)
def test_anything_but_a_fresh_valid_signature_is_401_and_stores_nothing(
    lamba: Sender, scope: Scope, spoil: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    body = json.dumps(lamba.envelope()).encode()

    answer = lamba.post(body, spoil(lamba.signed(body)))

    assert answer.status_code == 401
    assert stored(scope) == []


def test_a_changed_byte_is_refused(lamba: Sender, scope: Scope) -> None:
    body = json.dumps(lamba.envelope()).encode()

    answer = lamba.post(body + b" ", lamba.signed(body))

    assert answer.status_code == 401
    assert stored(scope) == []


def test_method_type_encoding_and_size_are_refused_before_the_body(lamba: Sender, scope: Scope) -> None:
    client, body = Client(), b"{}"
    headers = lamba.signed(body)
    answers = [
        client.get(lamba.path),
        client.put(lamba.path, body, content_type="application/json"),
        client.post(lamba.path, body, content_type="text/plain", headers=headers),
        client.post(lamba.path, body, content_type="application/json", headers=headers | {"Content-Encoding": "gzip"}),
        client.post(lamba.path, b" " * (BODY_BYTES_MAX + 1), content_type="application/json", headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [405, 405, 415, 415, 413]
    assert answers[0].headers["Allow"] == "POST"
    assert stored(scope) == []


def test_the_largest_event_is_taken(lamba: Sender, scope: Scope) -> None:
    assert lamba.post(b" " * BODY_BYTES_MAX).status_code == 202
    assert len(stored(scope)) == 1


def test_an_unknown_endpoint_is_404_and_a_deleted_one_410(
    lamba: Sender, scope: Scope, actor: Actor, now: datetime
) -> None:
    unknown = [Client().post(BASE + name, b"{}", content_type="application/json") for name in ("whe_0", "x" * 500)]
    lamba.post(lamba.envelope())
    endpoints.retire(
        scope=scope, actor=actor, endpoint_id=lamba.endpoint.public_id, expected_version=lamba.endpoint.version, now=now
    )
    directory._entries.clear()

    assert [answer.status_code for answer in unknown] == [404, 404]
    assert lamba.post(lamba.envelope()).status_code == 410
    assert len(stored(scope)) == 1


def test_a_switched_off_endpoint_asks_the_sender_to_keep_its_events(
    lamba: Sender, scope: Scope, actor: Actor, now: datetime
) -> None:
    endpoints.update(
        scope=scope,
        actor=actor,
        endpoint_id=lamba.endpoint.public_id,
        expected_version=1,
        changes={"status": "disabled"},
        now=now,
    )

    answer = lamba.post(lamba.envelope())

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "300"


def test_an_outgoing_endpoint_receives_nothing(scope: Scope, actor: Actor, now: datetime) -> None:
    endpoint, secret = endpoints.create_outbound(
        scope=scope, actor=actor, name="CRM", url="https://crm.example/hook", event_types=[], now=now
    )

    assert Sender(scope, endpoint, secret).post(b"{}").status_code == 404


def test_without_a_database_nothing_is_acknowledged(lamba: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arrivals: Any) -> Any:
        raise OperationalError("connection refused")

    monkeypatch.setattr(ingest, "record", fail)

    answer = lamba.post(lamba.envelope())

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_both_secrets_are_believed_during_a_rotation_and_the_old_one_not_after_it(
    lamba: Sender, scope: Scope, actor: Actor
) -> None:
    lamba.post(lamba.envelope())
    moment = datetime.now().astimezone()
    _, fresh = rotation.rotate(
        scope=scope, actor=actor, endpoint_id=lamba.endpoint.public_id, overlap=timedelta(hours=1), now=moment
    )
    with_new = Sender(scope, lamba.endpoint, fresh)
    directory._entries.clear()
    during = [lamba.post(lamba.envelope()).status_code, with_new.post(with_new.envelope()).status_code]
    rotation.rotate(scope=scope, actor=actor, endpoint_id=lamba.endpoint.public_id, overlap=timedelta(0), now=moment)
    directory._entries.clear()
    after = [lamba.post(lamba.envelope()).status_code, with_new.post(with_new.envelope()).status_code]

    assert (during, after) == ([202, 202], [401, 401])


def test_a_new_secret_works_although_the_endpoint_is_remembered(
    lamba: Sender, scope: Scope, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamba.post(lamba.envelope())
    _, fresh = rotation.rotate(
        scope=scope, actor=actor, endpoint_id=lamba.endpoint.public_id, now=datetime.now().astimezone()
    )
    monkeypatch.setattr(directory, "LOOK_AGAIN_SECONDS", -1.0)
    with_new = Sender(scope, lamba.endpoint, fresh)

    assert with_new.post(with_new.envelope()).status_code == 202


def test_each_environment_has_its_own_ids(lamba: Sender, world: World, actor: Actor, now: datetime) -> None:
    endpoint, secret = endpoints.create_inbound(scope=world.sandbox, actor=actor, name="Test", kind="lamba", now=now)
    other = Sender(world.sandbox, endpoint, secret)

    answers = [lamba.post(lamba.envelope(id="evt_1")), other.post(other.envelope(id="evt_1"))]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert len(stored(world.production)) == len(stored(world.sandbox)) == 1


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b'{"id":"evt_1","type":"x"}', "evt_1"),
        (b' {\n "id" : "evt_1"}', "evt_1"),
        (b'{"type":"x","id":"evt_1"}', "evt_1"),
        (b'{"id":"e\\u0076t_1"}', "evt_1"),
        (b'{"id":"with space"}', None),
        (b'{"id":7}', None),
        (b'{"id":"' + b"x" * 129 + b'"}', None),
        (b"[1]", None),
        (b"not json", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b"9" * 5_000, None),
        (b"", None),
    ],
)
def test_the_event_id_is_found_or_derived(raw: bytes, found: str | None) -> None:
    assert ingest.event_id_of(raw) == found
