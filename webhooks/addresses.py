"""Where we may send: never into our own network. Checked when an endpoint is saved and again when bytes leave."""

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings

from lamba_campaigns.lib.errors import FieldProblem, Invalid
from projects.scoping import Scope

PORTS = (443, 8443)
SCHEMES = ("http", "https")
URLS_KNOWN_MAX = 1_024
URL_LENGTH_MAX = 2_000
BLOCKED_NAMES = ("localhost", "localhost.localdomain")
BLOCKED_SUFFIXES = (".localhost", ".local", ".internal")


def require_reachable(*, url: str, scope: Scope) -> None:
    """Invalid unless `url` is a place that events of this environment may go to. Looks at the text only.

    Production takes https on 443 or 8443. A sandbox takes http and any port too. What the name resolves to is checked
    when the request is sent.
    """
    if is_allowed_anyway(url):
        return
    detail = _refusal(url, scope.is_production, loopback_allowed(scope))
    if detail:
        raise Invalid(
            detail, next_step="Give a public https address.", problems=(FieldProblem("#/url", "url", detail),)
        )


def loopback_allowed(scope: Scope) -> bool:
    """A sandbox on a developer's own machine may post to that machine."""
    return not settings.PRODUCTION and not scope.is_production


def is_allowed_anyway(url: str) -> bool:
    """Hosts that whoever runs this installation vouches for, in LAMBA_WEBHOOK_ALLOWED_HOSTS (`host` or `host:port`)."""
    vouched_for = settings.WEBHOOK_ALLOWED_HOSTS
    return bool(vouched_for) and not _names(url).isdisjoint(vouched_for)


@lru_cache(URLS_KNOWN_MAX)
def _names(url: str) -> frozenset[str]:
    """How the host may be vouched for that a web address leads to."""
    try:
        parts = urlsplit(url)
        names = frozenset((parts.hostname or "", f"{parts.hostname}:{parts.port}"))
    except ValueError:
        return frozenset()
    return names if parts.scheme in SCHEMES else frozenset()


@lru_cache(URLS_KNOWN_MAX)  # the same few endpoints are asked for again and again
def _refusal(url: str, production: bool, loopback: bool) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "This is not a web address."
    if len(url) > URL_LENGTH_MAX or parts.scheme not in SCHEMES or not parts.hostname:
        return "This is not a web address."
    if not url.isascii() or any(character.isspace() or not character.isprintable() for character in url):
        return "A web address has no spaces or special characters; write international names in their xn-- form."
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "The address may not carry a user name, a password or a fragment."
    if production and parts.scheme != "https":
        return "Production events travel by https only."
    if production and (port or 443) not in PORTS:
        return f"Production events go to port {PORTS[0]} or {PORTS[1]} only."
    return _private(parts.hostname, loopback)


def _private(host: str, loopback: bool) -> str:
    local = host in BLOCKED_NAMES or host.endswith(BLOCKED_SUFFIXES)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if loopback and (host in BLOCKED_NAMES or (address is not None and address.is_loopback)):
        return ""
    if local or (address is not None and not address.is_global):
        return f"{host} is a private address."
    return ""
