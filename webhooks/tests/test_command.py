"""`manage.py webhooks` re-drives a range, dry first, and says why a signature is not believed."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from audit.models import AuditEntry
from lamba_campaigns.lib.signing import lamba_legacy_signature, lamba_v1_signature, standard_signature
from projects.scoping import Scope
from webhooks import process
from webhooks.models import InboundEvent
from webhooks.tests.conftest import Sender


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("webhooks", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_a_range_is_listed_dry_then_redriven_with_its_reason(lamba: Sender, scope: Scope) -> None:
    for number in range(2):
        lamba.post(lamba.envelope("application.changed", id=f"evt_{number}"))
    process.run(now=datetime.now(UTC) + timedelta(seconds=1))
    words = ["redrive", scope.path, "--state", "ignored", "--since", "2026-01-01T00:00:00Z"]

    dry = "evt_0 ignored\nevt_1 ignored\n0 of 2 events would be processed.\n"
    assert said(*words, "--dry-run") == dry, "nothing handles their type yet"
    with pytest.raises(CommandError, match="Give a reason"):
        said(*words)
    assert InboundEvent.objects.within(scope).filter(state="retry").count() == 0
    assert said(*words, "--reason", "A handler was added").endswith("2 events are processed again.\n")
    assert InboundEvent.objects.within(scope).filter(state="retry").count() == 2
    assert AuditEntry.objects.filter(action="webhook.redriven", reason="A handler was added").count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["acme", "acme/app/staging", "acme/nothing/production"])
def test_an_unknown_environment_is_named(scope: Scope, path: str) -> None:
    with pytest.raises(CommandError, match="There is no environment"):
        said("redrive", path)


@pytest.mark.parametrize(
    ("change", "at", "words"),
    [
        ({}, 1_710_000_000, ""),
        ({}, 1_710_000_301, "300 seconds"),
        ({"X-Lamba-Timestamp": ""}, 1_710_000_000, "missing"),
        ({"X-Lamba-Timestamp": "soon"}, 1_710_000_000, "Unix seconds"),
        ({"X-Lamba-Signature": "v1=00"}, 1_710_000_000, "another secret"),
        ({"X-Lamba-Signature": "D283BB71"}, 1_710_000_000, "only Lamba's v1 form"),
    ],
)
def test_a_signature_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], at: int, words: str
) -> None:
    monkeypatch.setenv("LAMBA_WEBHOOK_SECRET", "whsec_test_123")
    body = b'{"id":"evt_01J...","type":"session.created"}'
    signature = lamba_v1_signature(secret="whsec_test_123", timestamp="1710000000", body=body)
    (tmp_path / "body").write_bytes(body)
    headers = {"X-Lamba-Timestamp": "1710000000", "X-Lamba-Signature": signature} | change
    (tmp_path / "headers").write_text(json.dumps(headers))
    arguments = ["verify", str(tmp_path / "body"), "--headers", str(tmp_path / "headers"), "--at", str(at)]

    if words:
        with pytest.raises(CommandError, match=words):
            said(*arguments)
    else:
        assert said(*arguments) == "The signature is valid.\n"


@pytest.mark.parametrize("scheme", ["lamba_legacy", "standard_webhooks"])
def test_the_other_schemes_are_checked_when_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    secret, moment, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "1710000000", b'{"id":"evt_1"}'
    monkeypatch.setenv("LAMBA_WEBHOOK_SECRET", secret)
    headers = {
        "X-Lamba-Timestamp": moment,
        "X-Lamba-Signature": lamba_legacy_signature(secret=secret, timestamp=moment, body=body),
        "webhook-id": "msg_1",
        "webhook-timestamp": moment,
        "webhook-signature": standard_signature(secret=secret, message_id="msg_1", timestamp=moment, body=body),
    }
    (tmp_path / "body").write_bytes(body)
    (tmp_path / "headers").write_text(json.dumps(headers))
    words = ["verify", str(tmp_path / "body"), "--headers", str(tmp_path / "headers"), "--at", moment]

    assert said(*words, "--scheme", scheme) == "The signature is valid.\n"
    with pytest.raises(CommandError, match="only Lamba's v1 form"):
        said(*words)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (None, "can't be read: No such file"),
        ("[1,2", "holds no JSON: "),
        ("[1]", "no JSON object"),
        ("\xff", "no JSON"),
    ],
)
def test_a_file_of_headers_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str | None, words: str
) -> None:
    monkeypatch.setenv("LAMBA_WEBHOOK_SECRET", "whsec_test_123")
    if written is not None:
        (tmp_path / "headers").write_text(written, encoding="latin-1")
    with pytest.raises(CommandError, match=words):
        said("verify", str(tmp_path / "body"), "--headers", str(tmp_path / "headers"))
