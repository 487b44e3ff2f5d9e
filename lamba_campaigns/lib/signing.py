"""Signatures on webhooks, in and out.

Lamba v1: `X-Lamba-Signature: v1=<lowercase hex>`, HMAC-SHA256 over `{timestamp}.{rawBody}`, window 300 s both ways.
Standard Webhooks 1.0: `webhook-signature: v1,<base64>` over `{id}.{timestamp}.{rawBody}`.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

WINDOW_SECONDS = 300
TIMESTAMP_LENGTH_MAX = 12
SIGNATURE_LENGTH_MAX = 4096


class SignatureRefused(Exception):
    """Why a request is not believed; `reason` is a short machine word, safe to log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def lamba_v1_signature(*, secret: str, timestamp: str, body: bytes) -> str:
    """The value of X-Lamba-Signature. The secret counts as UTF-8 text, its prefix included."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def standard_signature(*, secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """One entry of `webhook-signature`. A `whsec_` secret is base64 after its prefix."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = message_id.encode() + b"." + timestamp.encode() + b"." + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def verify_lamba_v1(*, timestamp: str, signature: str, body: bytes, secrets: Sequence[str], now: float) -> int:
    """Index of the secret that signed `body`. SignatureRefused on anything else; never another exception."""
    check_timestamp(timestamp=timestamp, now=now)
    if not signature or len(signature) > SIGNATURE_LENGTH_MAX or not signature.isascii():
        raise SignatureRefused("bad_signature_header")
    given = signature.encode()
    matched = None
    for index, secret in enumerate(secrets):
        expected = lamba_v1_signature(secret=secret, timestamp=timestamp, body=body).encode()
        if hmac.compare_digest(expected, given) and matched is None:
            matched = index
    if matched is None:
        raise SignatureRefused("no_matching_signature")
    return matched


def check_timestamp(*, timestamp: str, now: float) -> None:
    """Refuse a missing, malformed, stale or future time (Unix seconds)."""
    if not timestamp:
        raise SignatureRefused("missing_timestamp")
    if len(timestamp) > TIMESTAMP_LENGTH_MAX or not (timestamp.isascii() and timestamp.isdigit()):
        raise SignatureRefused("bad_timestamp")
    if abs(now - int(timestamp)) > WINDOW_SECONDS:
        raise SignatureRefused("timestamp_out_of_window")
