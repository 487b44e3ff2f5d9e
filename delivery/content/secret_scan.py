"""Secrets that must never leave in a message. High-confidence patterns only: a finding blocks, so it must be one.
Every repetition has an upper bound, so that no text makes the search slow.

Patterns follow the rules of gitleaks (MIT) for formats that announce themselves.
"""

import base64
import re

_PATTERNS = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY",
    "an API key of this product": r"lmb_(?:live|test)_[0-9a-z]{12}_[0-9A-Za-z]{50}",
    "a webhook secret": r"wh(?:sec|sk)_[A-Za-z0-9+/=_-]{16,}",
    "a Stripe key": r"\b[rs]k_(?:live|test|prod)_[A-Za-z0-9]{10,99}",
    "an AWS access key": r"\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)(?!IOSFODNN7EXAMPLE)[A-Z2-7]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_\w{82})",
    "a GitLab token": r"\bglpat-[\w-]{20}",
    "a Slack token": r"\bxox[abposre]-[0-9A-Za-z-]{10,}",
    "a SendGrid key": r"\bSG\.[\w-]{22}\.[\w-]{43}",
    "credentials in a header": r"Authorization:\s*(?:Bearer|Basic)\s+[^\s{]{16,}",
    "a password in an address": r"[a-z][a-z0-9+.-]{0,20}://[^\s/:@{}]{1,200}:[^\s/:@{}]{1,200}@",
}
_COMPILED = {name: re.compile(pattern) for name, pattern in _PATTERNS.items()}
_JWT = re.compile(r"\b(eyJ[A-Za-z0-9_-]{10,500})\.(eyJ[A-Za-z0-9_-]{10,4000})\.[A-Za-z0-9_-]{10}")


def find_secrets(text: str) -> list[str]:
    """What the secrets in `text` are ("a Stripe key"), each kind once. The values themselves are never returned."""
    return [name for name, _ in secret_places(text)]


def secret_places(text: str) -> list[tuple[str, int]]:
    """Each kind of secret with the index of its first one."""
    found = [(name, match.start()) for name, pattern in _COMPILED.items() if (match := pattern.search(text))]
    signed = [match.start() for match in _JWT.finditer(text) if b'"alg"' in _decoded(match[1])]
    return found + [("a signed token (JWT)", start) for start in signed[:1]]


def _decoded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return b""
