"""How senders prove themselves: each scheme against an independent signer, and nothing but its own scheme believed."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from django.test import Client
from standardwebhooks import Webhook as StandardWebhook
from svix.webhooks import Webhook as SvixWebhook

from lamba_campaigns.lib.errors import Invalid
from lamba_campaigns.lib.signing import SignatureRefused, lamba_legacy_signature, verify_lamba_legacy, verify_standard
from projects.scoping import Actor, Scope
from webhooks import directory, endpoints, process, providers, registry, rotation, schemes
from webhooks.models import EndpointSecret, InboundEvent
from webhooks.registry import Reading
from webhooks.tests.conftest import BASE, Sender

VECTOR = {"timestamp": "1710000000", "body": b'{"id":"evt_01J...","type":"session.created"}'}
LEGACY = "D283BB71FBB45758D9A10B26F294A61D4ACF657D8CF5AE412B793CDACBC1C9FB"
SVIX_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_" + "A" * 32
Post = Callable[..., Any]


@pytest.fixture
def door(scope: Scope, actor: Actor, now: datetime) -> Callable[..., tuple[str, str]]:
    """door(scheme, secret) -> (path, secret) of a new endpoint."""

    def make(scheme: str, secret: str = "", kind: Any = "lamba") -> tuple[str, str]:
        row, text = endpoints.create_inbound(
            scope=scope,
            actor=actor,
            name=scheme,
            kind=kind,
            scheme=scheme,
            secret=secret,
            now=now,
        )
        return BASE + row.public_id, text

    return make


def post(path: str, body: bytes, content_type: str = "application/json", **headers: str) -> Any:
    return Client().post(path, body, content_type=content_type, headers=headers)


# --- the forms of Lamba ---------------------------------------------------------------------------------------------
def test_the_unversioned_form_matches_its_vector_and_is_not_v1() -> None:
    known = {**VECTOR, "secrets": ["whsec_test_123"], "now": 1710000000.0}

    assert lamba_legacy_signature(secret="whsec_test_123", **VECTOR) == LEGACY  # type: ignore[arg-type]
    assert verify_lamba_legacy(signature=LEGACY, **known) == 0  # type: ignore[arg-type]
    for wrong in (LEGACY.lower(), f"v1={LEGACY.lower()}", ""):
        with pytest.raises(SignatureRefused):
            verify_lamba_legacy(signature=wrong, **known)  # type: ignore[arg-type]


@pytest.mark.django_db
def test_the_unversioned_form_is_believed_only_where_it_was_chosen(
    lamba: Sender, door: Callable[..., tuple[str, str]], scope: Scope
) -> None:
    body, moment = json.dumps(lamba.envelope()).encode(), str(int(time.time()))

    def legacy(secret: str) -> dict[str, str]:
        signature = lamba_legacy_signature(secret=secret, timestamp=moment, body=body)
        return {"X-Lamba-Timestamp": moment, "X-Lamba-Signature": signature}

    path, secret = door("lamba_legacy")

    assert post(lamba.path, body, **legacy(lamba.secret)).status_code == 401, "never a fallback of v1"
    assert post(path, body, **legacy(secret)).status_code == 202
    v1 = Sender(scope, lamba.endpoint, secret).signed(body)
    assert post(path, body, **v1).status_code == 401, "nor the other way round"


@pytest.mark.django_db
def test_a_switched_scheme_is_believed_from_then_on(
    lamba: Sender, scope: Scope, actor: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "LOOK_AGAIN_SECONDS", 0.0)
    body, moment = json.dumps(lamba.envelope()).encode(), str(int(time.time()))
    assert lamba.post(lamba.envelope()).status_code == 202

    endpoints.update(
        scope=scope,
        actor=actor,
        endpoint_id=lamba.endpoint.public_id,
        expected_version=1,
        changes={"scheme": "lamba_legacy"},
        now=now,
    )

    signature = lamba_legacy_signature(secret=lamba.secret, timestamp=moment, body=body)
    assert post(lamba.path, body, **{"X-Lamba-Timestamp": moment, "X-Lamba-Signature": signature}).status_code == 202


# --- Standard Webhooks ----------------------------------------------------------------------------------------------
def test_svixs_published_vector_verifies() -> None:
    given = {"message_id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "timestamp": "1614265330", "body": b'{"test": 2432232314}'}
    signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    assert verify_standard(signature=signature, secrets=[OTHER_SECRET, SVIX_SECRET], now=1614265330.0, **given) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "hostile",
    [
        "", "v1", "v1,", "v1,,", "v1,a,b", "v1a,AAAA", "v1,\xe9", "v1,not base64!", ",", " " * 50, "v1,\x00",
        "x" * 5_000, ("v1,junk " * 20).strip(),
    ],
)  # fmt: skip
def test_hostile_standard_headers_are_refused_and_never_crash(hostile: str) -> None:
    given = {"timestamp": "1614265330", "body": b"\xff{}", "secrets": [SVIX_SECRET, "no base64"], "now": 1614265330.0}

    for message_id in ("msg_1", "", "\xff", "x" * 300):
        with pytest.raises(SignatureRefused):
            verify_standard(message_id=message_id, signature=hostile, **given)  # type: ignore[arg-type]


@pytest.mark.django_db
@pytest.mark.parametrize("signer", [StandardWebhook, SvixWebhook])
def test_what_independent_libraries_sign_is_believed(
    lamba: Sender, door: Callable[..., tuple[str, str]], scope: Scope, signer: Any
) -> None:
    path, secret = door("standard_webhooks")
    body, moment = json.dumps(lamba.envelope(id="evt_1")), datetime.now(UTC).replace(microsecond=0)
    signature = signer(secret).sign("msg_1", moment, body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(moment.timestamp()))}

    answer = post(path, body.encode(), **headers, **{"webhook-signature": f"v1,junk {signature}"})

    assert answer.status_code == 202
    assert InboundEvent.objects.within(scope).get().event_id == "evt_1"
    assert post(path, body.encode() + b" ", **headers, **{"webhook-signature": signature}).status_code == 401


# --- secrets --------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_the_senders_own_secret_is_kept_encrypted_and_verifies(
    lamba: Sender, door: Callable[..., tuple[str, str]], scope: Scope
) -> None:
    path, secret = door("lamba_v1", "whsec_from_lambas_console")
    body = json.dumps(lamba.envelope()).encode()

    assert secret == "whsec_from_lambas_console"
    assert post(path, body, **Sender(scope, lamba.endpoint, secret).signed(body)).status_code == 202
    row = EndpointSecret.objects.within(scope).order_by("-id")[0]
    assert b"from_lambas" not in bytes(row.cipher)
    assert row.last_used_at is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("scheme", "kind", "secret"),
    [
        ("lamba_v1", "lamba", "short"),
        ("lamba_v1", "lamba", "ends with a space "),
        ("lamba_v1", "lamba", "ünïcode-secret-of-16"),
        ("standard_webhooks", "lamba", "whsec_this is no base64!"),
        ("standard_webhooks", "lamba", "whsec_AAAA"),
        ("mailgun", "provider", ""),
        ("mailgun", "lamba", "key-0123456789abcdef"),
        ("postmark", "provider", "a-password-without-a-user"),
        ("sendgrid", "provider", "bm90IGEga2V5IGF0IGFsbA=="),
        ("of_nobody", "provider", "x" * 20),
    ],
)
def test_what_can_be_no_secret_of_the_scheme_is_refused_and_makes_nothing(
    door: Callable[..., tuple[str, str]], scope: Scope, scheme: str, kind: str, secret: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        door(scheme, secret, kind)

    assert refusal.value.problems
    assert not EndpointSecret.objects.within(scope).exists()


@pytest.mark.django_db
def test_three_secrets_live_and_an_older_one_ends_early(lamba: Sender, scope: Scope, actor: Actor) -> None:
    moment, endpoint = datetime.now(UTC), lamba.endpoint.public_id
    given: dict[str, Any] = {"scope": scope, "actor": actor, "endpoint_id": endpoint}
    rotation.rotate(**given, secret="from-the-senders-console", now=moment)
    rotation.rotate(**given, now=moment)
    oldest = rotation.live(endpoint=lamba.endpoint, now=moment).last()
    assert oldest is not None

    with pytest.raises(rotation.TooManySecrets):
        rotation.rotate(**given, now=moment)
    current = rotation.live(endpoint=lamba.endpoint, now=moment)[0]
    with pytest.raises(rotation.CurrentSecret):
        rotation.end(**given, secret_id=current.public_id, now=moment)
    rotation.end(**given, secret_id=oldest.public_id, now=moment)

    assert rotation.live(endpoint=lamba.endpoint, now=moment + timedelta(seconds=1)).count() == 2
    directory.forget(endpoint)
    assert lamba.post(lamba.envelope()).status_code == 401, "the first secret ended"


# --- mail providers -------------------------------------------------------------------------------------------------
def basic(secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()}


def mailgun(secret: str) -> tuple[bytes, dict[str, str]]:
    token, moment = uuid.uuid4().hex + "x" * 18, str(int(time.time()))
    signature = hmac.new(secret.encode(), (moment + token).encode(), hashlib.sha256).hexdigest()
    event = {"id": "mg1", "event": "delivered", "timestamp": time.time(), "recipient": "ada@example.com"}
    event["message"] = {"headers": {"message-id": "01jdc@mail.example"}}
    return json.dumps(
        {"signature": {"token": token, "timestamp": moment, "signature": signature}, "event-data": event}
    ).encode(), {}


def postmark(secret: str) -> tuple[bytes, dict[str, str]]:
    event = {"RecordType": "Delivery", "MessageID": "pm1", "Recipient": "ada@example.com"}
    return json.dumps(event | {"DeliveredAt": "2026-11-23T09:00:00Z"}).encode(), basic(secret)


def mailersend(secret: str) -> tuple[bytes, dict[str, str]]:
    email = {"message": {"id": "ms1"}, "recipient": {"email": "ada@example.com"}}
    data = {"id": "x", "type": "delivered", "created_at": "2026-11-23T09:00:00Z", "email": email}
    body = json.dumps({"type": "activity.delivered", "data": data}).encode()
    return body, {"Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def resend(secret: str) -> tuple[bytes, dict[str, str]]:
    event = {"type": "email.delivered", "created_at": "2026-11-23T09:00:00Z"}
    body = json.dumps(event | {"data": {"email_id": "re1", "to": ["ada@example.com"]}})
    moment = datetime.now(UTC)
    signature = SvixWebhook(secret).sign("msg_1", moment, body)
    stamp = str(int(moment.timestamp()))
    return body.encode(), {"svix-id": "msg_1", "svix-timestamp": stamp, "svix-signature": signature}


def amazon_ses(secret: str) -> tuple[bytes, dict[str, str]]:
    mail = {"messageId": "ses1", "destination": ["ada@example.com"], "tags": {}, "headers": []}
    delivery = {"timestamp": "2026-11-23T09:00:00Z", "recipients": ["ada@example.com"], "smtpResponse": "250 ok"}
    message = json.dumps({"eventType": "Delivery", "mail": mail, "delivery": delivery})
    body = {"Type": "Notification", "MessageId": "sns1", "Message": message, "Timestamp": "2026-11-23T09:00:00Z"}
    headers = {"x-amz-sns-message-type": "Notification", "x-amz-sns-message-id": "sns1"}
    return json.dumps(body).encode(), headers | basic(secret)


REAL: dict[str, tuple[Callable[[str], tuple[bytes, dict[str, str]]], str]] = {
    "mailgun": (mailgun, "key-0123456789abcdef"),
    "postmark": (postmark, ""),
    "mailersend": (mailersend, "signing-secret-0123456789"),
    "resend": (resend, SVIX_SECRET),
    "amazon_ses": (amazon_ses, ""),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", REAL)
def test_a_providers_own_webhook_becomes_events(
    door: Callable[..., tuple[str, str]],
    scope: Scope,
    name: str,
    handler: Callable[..., list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make, given = REAL[name]
    path, secret = door(name, given, "provider")
    body, headers = make(secret)
    seen = handler("message.delivered")

    def read(scheme: str, kept: Any, raw: bytes) -> list[Reading]:
        return [
            Reading("message.delivered", each.timestamp, {"messageId": each.message_id, "recipient": each.recipient})
            for each in providers.tracking_events(scheme, headers=kept, body=raw)
            if each.event_type == "delivered"
        ]

    monkeypatch.setitem(registry._readers, name, read)

    assert post(path, body, **headers).status_code == 202
    assert post(path, body, **headers).status_code == 200, "the same bytes again"
    forged = make(OTHER_SECRET if name == "resend" else f"{secret}x")
    assert post(path, forged[0] + b" ", **forged[1]).status_code == 401
    process.run(now=datetime.now(UTC) + timedelta(seconds=1))

    [event] = InboundEvent.objects.within(scope)
    assert (event.state, event.type, event.error) == ("processed", "message.delivered", "")
    assert [each.data["recipient"] for each in seen] == ["ada@example.com"]
    assert "authorization" not in event.headers


def test_sendgrids_and_postals_public_keys_verify() -> None:
    body, moment = b'[{"event":"delivered"}]', str(int(time.time()))
    curve, rsa_key = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)

    def public(key: Any) -> str:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, form)).decode()

    by_curve = base64.b64encode(curve.sign(moment.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    by_rsa = base64.b64encode(rsa_key.sign(body, padding.PKCS1v15(), hashes.SHA1())).decode()  # noqa: S303 - Postal's
    sendgrid = {
        "x-twilio-email-event-webhook-signature": by_curve,
        "x-twilio-email-event-webhook-timestamp": moment,
    }
    cases = [("sendgrid", public(curve), sendgrid), ("postal", public(rsa_key), {"x-postal-signature": by_rsa})]
    for name, key, headers in cases:
        assert providers.secret_problem(name, key) == ""
        assert providers.is_believed(name, key, headers=headers, body=body, url="https://x.example/")
        assert not providers.is_believed(name, key, headers=headers, body=body + b" ", url="https://x.example/")
        assert not providers.is_believed(name, key, headers={}, body=body, url="https://x.example/")


@pytest.mark.parametrize("name", providers.PROVIDERS)
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"signature":{"token":1}}'])
def test_no_provider_believes_an_unsigned_request(name: str, body: bytes) -> None:
    hostile = {"content-type": "application/json", "authorization": "Basic \xff", "svix-id": "\xff"}

    for headers in ({}, hostile, {"content-type": "application/x-www-form-urlencoded"}):
        with pytest.raises(SignatureRefused):
            schemes.find(name).verify(headers, body, "https://x.example/", time.time(), ["user:password", SVIX_SECRET])


@pytest.mark.django_db
def test_a_topics_confirmation_waits_for_a_person(
    door: Callable[..., tuple[str, str]], scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, secret = door("amazon_ses", "", "provider")
    body = {"Type": "SubscriptionConfirmation", "MessageId": "sns1", "SubscribeURL": "https://sns.example/confirm"}
    headers = {"x-amz-sns-message-type": "SubscriptionConfirmation", "x-amz-sns-message-id": "sns1"}
    read = lambda scheme, kept, raw: providers.tracking_events(scheme, headers=kept, body=raw)  # noqa: E731
    monkeypatch.setitem(registry._readers, "amazon_ses", read)

    answer = post(path, json.dumps(body).encode(), "text/plain; charset=UTF-8", **headers, **basic(secret))
    process.run(now=datetime.now(UTC) + timedelta(seconds=1))

    assert answer.status_code == 202
    [event] = InboundEvent.objects.within(scope)
    assert event.state == "quarantined"
    assert "https://sns.example/confirm" in event.error
