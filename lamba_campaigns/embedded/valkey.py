"""The private Valkey: it only carries doorbells and caches, so nothing of it is written to disk."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import redis

from lamba_campaigns.embedded import binaries

START_SECONDS_MAX = 15


@dataclass(frozen=True, slots=True)
class Valkey:
    """One server on one socket."""

    server: Path
    sockets: Path

    @property
    def socket(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    @property
    def command(self) -> tuple[str, ...]:
        return (
            str(self.server),
            *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--save", "", "--appendonly", "no", "--dir", str(self.sockets), "--daemonize", "no"),
            *("--loglevel", "warning", "--maxmemory-policy", "noeviction"),
        )

    def accepts(self) -> bool:
        """It answers a PING right now."""
        try:
            with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def before_start(self) -> None:
        self.socket.unlink(missing_ok=True)


def prepare(*, sockets: Path) -> Valkey:
    return Valkey(binaries.valkey_server(), sockets)


def waiting_workers(url: str) -> int:
    """How many workers wait for a task at this server: each blocks in one BRPOP."""
    try:
        with redis.Redis.from_url(url, socket_timeout=2) as client:
            return sum(found["cmd"] == "brpop" for found in client.client_list())
    except redis.RedisError:
        return 0
