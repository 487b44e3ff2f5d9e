"""Signatures on webhooks, in and out. Verifying raises SignatureRefused, and never anything else, whatever is sent.

Lamba v1: `X-Lamba-Signature: v1=<lowercase hex>`, HMAC-SHA256 over `{timestamp}.{rawBody}`, window 300 s both ways.
Lamba legacy: `X-Lamba-Signature: <UPPERCASE hex>` over `{timestamp}:{rawBody}`; believed where somebody chose it.
Standard Webhooks 1.0: `webhook-signature: v1,<base64>` over `{id}.{timestamp}.{rawBody}`.
"""

import base64
import hmac
from collections.abc import Callable, Sequence
from functools import lru_cache

WINDOW_SECONDS = 300
TIMESTAMP_LENGTH_MAX = 12
SIGNATURE_LENGTH_MAX = 4096
MESSAGE_ID_LENGTH_MAX = 255
SIGNATURES_LOOKED_AT_MAX = 16  # entries of one webhook-signature header
KEYS_READY_MAX = 1_024
STANDARD_KEY_BYTES = (16, 128)  # the specification asks for 24 to 64


class SignatureRefused(Exception):
    """Why a request is not believed; `reason` is a short machine word, safe to log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def lamba_v1_signature(*, secret: str, timestamp: str, body: bytes) -> str:
    """The value of X-Lamba-Signature. The secret counts as UTF-8 text, its prefix included."""
    made = _keyed(secret.encode()).copy()
    made.update(timestamp.encode() + b"." + body)
    return "v1=" + made.hexdigest()


def lamba_legacy_signature(*, secret: str, timestamp: str, body: bytes) -> str:
    """The value of X-Lamba-Signature in Lamba's unversioned form."""
    made = _keyed(secret.encode()).copy()
    made.update(timestamp.encode() + b":" + body)
    return made.hexdigest().upper()


def standard_signature(*, secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """One entry of `webhook-signature`. A `whsec_` secret is base64 after its prefix."""
    made = _keyed(standard_key(secret)).copy()
    made.update(message_id.encode() + b"." + timestamp.encode() + b"." + body)
    return "v1," + base64.b64encode(made.digest()).decode()


def standard_key(secret: str) -> bytes:
    """The key bytes in a `whsec_` secret; ValueError when it holds none."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    if not STANDARD_KEY_BYTES[0] <= len(key) <= STANDARD_KEY_BYTES[1]:
        raise ValueError("the key is too short or too long")
    return key


def verify_lamba_v1(*, timestamp: str, signature: str, body: bytes, secrets: Sequence[str], now: float) -> int:
    """Index of the secret that signed `body`. SignatureRefused on anything else; never another exception."""
    return _verify_lamba(lamba_v1_signature, timestamp, signature, body, secrets, now)


def verify_lamba_legacy(*, timestamp: str, signature: str, body: bytes, secrets: Sequence[str], now: float) -> int:
    """As `verify_lamba_v1`, in the unversioned form. Never tried as a fallback of v1."""
    return _verify_lamba(lamba_legacy_signature, timestamp, signature, body, secrets, now)


def verify_standard(
    *, message_id: str, timestamp: str, signature: str, body: bytes, secrets: Sequence[str], now: float
) -> int:
    """Index of the secret of any one `v1,` entry of `signature` that fits; other entries are passed over."""
    check_timestamp(timestamp=timestamp, now=now)
    if not message_id or len(message_id) > MESSAGE_ID_LENGTH_MAX or not message_id.isascii():
        raise SignatureRefused("bad_message_id")
    _check_signature(signature)
    entries = [each.encode() for each in signature.split(" ")[:SIGNATURES_LOOKED_AT_MAX]]
    matched = None
    for index, secret in enumerate(secrets):
        try:
            expected = standard_signature(secret=secret, message_id=message_id, timestamp=timestamp, body=body).encode()
        except ValueError:
            continue  # a secret of another scheme, kept from before the endpoint changed its own
        for given in entries:
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


@lru_cache(KEYS_READY_MAX)
def _keyed(key: bytes) -> hmac.HMAC:
    """An HMAC that has taken in its key: a copy costs half of what a new one does (4 us instead of 9)."""
    return hmac.new(key, digestmod="sha256")


def _verify_lamba(
    sign: Callable[..., str], timestamp: str, signature: str, body: bytes, secrets: Sequence[str], now: float
) -> int:
    check_timestamp(timestamp=timestamp, now=now)
    _check_signature(signature)
    given = signature.encode()
    matched = None
    for index, secret in enumerate(secrets):
        expected = sign(secret=secret, timestamp=timestamp, body=body).encode()
        if hmac.compare_digest(expected, given) and matched is None:
            matched = index
    if matched is None:
        raise SignatureRefused("no_matching_signature")
    return matched


def _check_signature(signature: str) -> None:
    if not signature or len(signature) > SIGNATURE_LENGTH_MAX or not signature.isascii():
        raise SignatureRefused("bad_signature_header")
