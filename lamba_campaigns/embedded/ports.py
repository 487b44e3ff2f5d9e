"""Which TCP port a part listens on: the wanted one, or the next that is free, claimed against other instances.

A free port is not ours until somebody listens there, which is seconds later, and some servers let two processes share
one. So an instance also holds the UDP port of the same number, which nothing here uses, for as long as it runs.
"""

import errno
import socket
from dataclasses import dataclass

PORTS_TRIED_MAX = 50
LOOPBACK = "127.0.0.1"


class NoFreePort(RuntimeError):
    """The port that the user fixed is taken, or fifty in a row are."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The port to listen on; `wanted` differs when it was taken. Held until `close`."""

    port: int
    wanted: int
    claim: socket.socket

    @property
    def moved(self) -> bool:
        return self.port != self.wanted

    def close(self) -> None:
        self.claim.close()


def choose(wanted: int, *, fixed: bool = False) -> Choice:
    """The first free port from `wanted` upwards; with `fixed` only `wanted` itself."""
    if not 0 < wanted < 65_536:
        raise NoFreePort(f"{wanted} is not a port number; use 1 to 65535.")
    for port in range(wanted, min(wanted + (1 if fixed else PORTS_TRIED_MAX), 65_536)):
        claim = _claim(port)
        if claim is not None:
            return Choice(port, wanted, claim)
    if fixed:
        raise NoFreePort(
            f"Port {wanted} is taken by another program, and PORT fixes it. Stop that program (lsof -i :{wanted} names "
            f"it), choose another PORT, or leave PORT out to get the next free one."
        )
    raise NoFreePort(f"Ports {wanted} to {wanted + PORTS_TRIED_MAX - 1} are all taken.")


def answers(port: int, seconds: float = 0.2) -> bool:
    """Somebody accepts connections on the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(seconds)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _claim(port: int) -> socket.socket | None:
    """The port is free and ours, or None."""
    claim = socket.socket(type=socket.SOCK_DGRAM)
    try:
        claim.bind((LOOPBACK, port))
        if not answers(port) and _may_listen(port):
            return claim
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            claim.close()
            raise
    claim.close()
    return None


def _may_listen(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
    return True
