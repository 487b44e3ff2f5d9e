"""Signatures of ours, checked by a verifier that others wrote."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dkim as verifier
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from delivery import dkim
from delivery.content.mime import Letterhead
from delivery.content.rendering import Content, Rendered

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    dkim._signers.cache_clear()


def written(path: Path, key: Any) -> Path:
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def message(subject: str = "Grüße an alle", text: str = "Hallo\n.\n..Punkt \n\n\n", html: str = "<p>Ä</p>") -> bytes:
    content = Content("", "", "", "Zoë of Acme", "hello@acme.example", "reply@acme.example")
    made = Letterhead(content=content, feedback_id="job_1:prj_1:email:lamba").envelope(
        position=1,
        recipient="u1@example.com",
        rendered=Rendered(subject, html, text),
        token="a" * 26,
        unsubscribe_url="https://mail.acme.example/u/" + "b" * 26,
        now=NOW,
    )
    return made.data


def record(key: Any) -> bytes:
    public = key.public_key()
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return b"v=DKIM1; k=ed25519; p=" + base64.b64encode(raw)
    raw = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(raw)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_what_we_sign_verifies_and_what_is_changed_does_not(settings: Any, tmp_path: Path, kind: str) -> None:
    key: Any = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ed25519.Ed25519PrivateKey.generate()
    settings.DKIM = f"other.example:x:{written(tmp_path / 'k.pem', key)}, acme.example:lamba:{tmp_path / 'k.pem'}"

    def dns(name: bytes, timeout: int = 5) -> bytes:
        assert name == b"lamba._domainkey.acme.example."
        return record(key)

    signed = message("A long subject that needs more than one line because it goes on and on, and then on " * 2)
    assert verifier.verify(signed, dnsfunc=dns)
    assert verifier.verify(message(text="x" * 5000), dnsfunc=dns)
    for before, after in ((b"u1@example", b"u2@example"), (b"/u/bbb", b"/u/ccc"), (b"Hallo", b"Hullo")):
        assert before in signed
        assert not verifier.verify(signed.replace(before, after), dnsfunc=dns)
    head = signed.partition(b"\r\n\r\n")[0]
    assert b"List-Unsubscribe:List-Unsubscribe-Post" in head
    assert max(map(len, head.split(b"\r\n"))) <= 200
    assert message() == message(), "the same message has the same bytes"


def test_a_domain_without_a_key_is_not_signed(settings: Any, tmp_path: Path) -> None:
    settings.DKIM = f"other.example:x:{written(tmp_path / 'k.pem', ed25519.Ed25519PrivateKey.generate())}"
    assert b"DKIM-Signature" not in message()


def test_keys_that_can_not_sign_are_named(settings: Any, tmp_path: Path) -> None:
    curve = written(tmp_path / "ec.pem", ec.generate_private_key(ec.SECP256R1()))
    (tmp_path / "text.pem").write_text("no key")
    for bad in ("acme.example", "acme.example:x", f"acme.example:x:{tmp_path}/none", f"acme.example:x:{curve}",
                f"acme.example:x:{tmp_path}/text.pem"):  # fmt: skip
        settings.DKIM = bad
        with pytest.raises(dkim.BadKey):
            dkim.signer("acme.example")
