"""Requests to addresses that somebody typed in: none of them reaches our own network.

A name is resolved and its address checked for each request, by requests-hardened; the bytes go to that very address,
while certificate and Host are those of the name. No redirect is followed, no proxy and no cookie is used, and nothing
is tried twice. Below is urllib3 alone: a session of requests around it doubled what a post costs.
"""

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from requests_hardened.ip_filter import filter_host
from urllib3 import HTTPConnectionPool, PoolManager, Timeout
from urllib3.response import BaseHTTPResponse
from urllib3.util.ssl_ import create_urllib3_context

from projects.scoping import Scope
from webhooks import addresses, deadline

CONNECTIONS_MAX: Final = 32  # kept open to one address
ADDRESSES_MAX: Final = 256  # with open connections
_PORTS: Final = {"http": 80, "https": 443}


class Sessions:
    """Connections that are kept for the next request to the same name and address. Threads may share them."""

    def __init__(self) -> None:
        self._pools = PoolManager(ADDRESSES_MAX, maxsize=CONNECTIONS_MAX, retries=False)
        self._pools.pool_classes_by_scheme = deadline.POOLS

    def send(
        self,
        method: str,
        url: str,
        *,
        scope: Scope,
        body: bytes | None,
        headers: Mapping[str, str],
        connect_seconds: float,
        read_seconds: float,
    ) -> BaseHTTPResponse:
        """The answer with its body unread: close it. InvalidIPAddress when the name leads into our own network."""
        parts = urlsplit(url)
        return self._pool(url, parts, scope).urlopen(
            method,
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            body=body,
            headers={**headers, "Host": parts.netloc.rpartition("@")[2]},
            redirect=False,
            timeout=Timeout(connect=connect_seconds, read=read_seconds),
            preload_content=False,
            decode_content=False,
        )

    def close(self) -> None:
        self._pools.clear()

    def _pool(self, url: str, parts: SplitResult, scope: Scope) -> HTTPConnectionPool:
        name, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        address = name
        if not addresses.is_allowed_anyway(url):
            address = filter_host(name, port, allow_loopback=addresses.loopback_allowed(scope))
        of_name = {"ssl_context": _trusted(), "server_hostname": name, "assert_hostname": name}
        return self._pools.connection_from_host(
            address, port, parts.scheme, pool_kwargs=of_name if parts.scheme == "https" else None
        )


@cache
def _trusted() -> ssl.SSLContext:
    """Made once: reading the authorities takes longer than a request."""
    made = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    made.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return made
