"""How an incoming request proves who sent it. An endpoint has one scheme; no other one is tried when it fails.

Every scheme answers the same question: which of the live secrets vouches for these headers and these raw bytes?
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lamba_campaigns.lib.signing import (
    WINDOW_SECONDS,
    SignatureRefused,
    standard_key,
    verify_lamba_legacy,
    verify_lamba_v1,
    verify_standard,
)
from webhooks import providers

DEFAULT = "lamba_v1"
JSON_TYPES = ("application/json", "text/json")
FORM_TYPE = "application/x-www-form-urlencoded"


# (headers with names in lower case, raw body, the endpoint's own address, Unix seconds, live secrets) -> index
Verify = Callable[[Mapping[str, str], bytes, str, float, Sequence[str]], int]


@dataclass(frozen=True, slots=True)
class Scheme:
    """`verify` gives the index of the secret that vouches, or raises SignatureRefused and nothing else."""

    name: str
    label: str
    sentence: str
    verify: Verify
    envelope: bool = True  # the body is Lamba's envelope; else a reader of `registry` translates it
    secret_is_theirs: bool = False  # the sender makes the secret; ours would be of no use there
    form: bool = False  # takes form fields beside JSON
    basic: bool = False  # the secret travels as HTTP basic authentication


def find(name: str) -> Scheme:
    return SCHEMES[name]


def secret_problem(name: str, secret: str) -> str:
    """Why `secret` can't be one of this scheme's; empty when it can."""
    if not secret.isascii() or not secret.isprintable() or secret != secret.strip():
        return "A secret has printable ASCII characters only, and no space at its ends."
    if name == "standard_webhooks":
        try:
            standard_key(secret)
        except ValueError:
            return "A Standard Webhooks secret is whsec_ and 16 to 128 bytes in base64."
    if not SCHEMES[name].envelope:
        return providers.secret_problem(name, secret)
    return ""


def _lamba_v1(headers: Mapping[str, str], body: bytes, url: str, now: float, secrets: Sequence[str]) -> int:
    return verify_lamba_v1(
        timestamp=headers.get("x-lamba-timestamp", ""),
        signature=headers.get("x-lamba-signature", ""),
        body=body,
        secrets=secrets,
        now=now,
    )


def _lamba_legacy(headers: Mapping[str, str], body: bytes, url: str, now: float, secrets: Sequence[str]) -> int:
    return verify_lamba_legacy(
        timestamp=headers.get("x-lamba-timestamp", ""),
        signature=headers.get("x-lamba-signature", ""),
        body=body,
        secrets=secrets,
        now=now,
    )


def _standard(prefix: str) -> Verify:
    def verify(headers: Mapping[str, str], body: bytes, url: str, now: float, secrets: Sequence[str]) -> int:
        return verify_standard(
            message_id=headers.get(f"{prefix}id", ""),
            timestamp=headers.get(f"{prefix}timestamp", ""),
            signature=headers.get(f"{prefix}signature", ""),
            body=body,
            secrets=secrets,
            now=now,
        )

    return verify


def _of_provider(name: str) -> Verify:
    if name == "resend":  # it signs as Standard Webhooks does, under Svix's names
        return _standard("svix-")

    def verify(headers: Mapping[str, str], body: bytes, url: str, now: float, secrets: Sequence[str]) -> int:
        for index, secret in enumerate(secrets):
            if providers.is_believed(name, secret, headers=headers, body=body, url=url):
                return index
        raise SignatureRefused("no_matching_signature")

    return verify


SCHEMES: Mapping[str, Scheme] = {
    each.name: each
    for each in (
        Scheme(DEFAULT, "Lamba v1", "X-Lamba-Signature: v1= and HMAC-SHA256 in lower-case hex.", _lamba_v1),
        Scheme(
            "lamba_legacy",
            "Lamba, unversioned",
            "X-Lamba-Signature: HMAC-SHA256 in upper-case hex. Choose it only where Lamba's endpoint says so.",
            _lamba_legacy,
        ),
        Scheme(
            "standard_webhooks",
            "Standard Webhooks",
            "webhook-id, webhook-timestamp, webhook-signature.",
            _standard("webhook-"),
        ),
        *(
            Scheme(
                each.name,
                each.label,
                each.sentence,
                _of_provider(each.name),
                envelope=False,
                secret_is_theirs=each.secret_is_theirs,
                form=each.form,
                basic=not each.secret_is_theirs,
            )
            for each in providers.PROVIDERS.values()
        ),
    )
}
LAMBA: Sequence[str] = (DEFAULT, "lamba_legacy", "standard_webhooks")
# what may stand behind each kind of sender; the first one is usual
SCHEMES_OF: Mapping[str, Sequence[str]] = {"lamba": LAMBA, "provider": (*LAMBA, *providers.PROVIDERS)}

# reason of SignatureRefused -> what was found
REASONS: Mapping[str, str] = {
    "missing_timestamp": "The header with the timestamp is missing.",
    "bad_timestamp": "The timestamp is not a number of Unix seconds.",
    "timestamp_out_of_window": f"The timestamp is more than {WINDOW_SECONDS} seconds away from the time of checking.",
    "bad_signature_header": "The header with the signature is missing, too long or not ASCII.",
    "bad_message_id": "The header with the message id is missing, too long or not ASCII.",
    "no_matching_signature": "The signature was made with another secret, over other bytes, or in another form.",
}
