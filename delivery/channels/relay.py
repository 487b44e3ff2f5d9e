"""Addresses of relays: `smtp://`, `smtp+tls://` (STARTTLS required) and `smtps://` (TLS from the first byte)."""

import ssl
from dataclasses import dataclass
from functools import cache
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
CONNECTIONS_DEFAULT = 8
CONNECTIONS_MAX = 64
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
Security = Literal["none", "starttls", "tls"]


class BadRelay(ValueError):
    """The address of a relay can't be read; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Where and how to connect. `ca_file` is a PEM of authorities to trust instead of the system's."""

    host: str
    port: int
    security: Security
    user: str = ""
    password: str = ""
    connections: int = CONNECTIONS_DEFAULT
    ca_file: str = ""
    helo: str = ""  # the name we give ourselves; the host's own if empty
    notify: bool = True  # ask for delivery status notifications where the relay offers them

    def __repr__(self) -> str:
        return f"{self.host}:{self.port}"  # never the password

    def tls(self) -> ssl.SSLContext:
        """Checks the certificate and the host name, always."""
        return _context(self.ca_file)


def parse(url: str) -> Relay:
    """`smtp+tls://user:password@host:587?connections=16&ca=/path.pem&dsn=off`; user and password percent-encoded."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise BadRelay("A relay is smtp://host:port, smtp+tls://user:password@host:587 or smtps://user:password@host.")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    security: Security = {"smtp": "none", "smtp+tls": "starttls", "smtps": "tls"}[parts.scheme]  # type: ignore[assignment]
    relay = Relay(
        host=parts.hostname,
        port=parts.port or PORTS[parts.scheme],
        security=security,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        connections=int(options.get("connections", CONNECTIONS_DEFAULT)),
        ca_file=options.get("ca", ""),
        helo=options.get("helo", ""),
        notify=options.get("dsn", "on") != "off",
    )
    if not 1 <= relay.connections <= CONNECTIONS_MAX:
        raise BadRelay(f"connections goes from 1 to {CONNECTIONS_MAX}.")
    if relay.password and security == "none" and relay.host not in LOOPBACK:
        raise BadRelay("A password needs TLS: use smtp+tls:// or smtps://.")
    return relay


@cache
def _context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
