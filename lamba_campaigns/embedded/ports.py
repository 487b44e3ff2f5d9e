"""Which TCP port a part listens on: the wanted one, or the next that is free."""

import errno
import socket
from dataclasses import dataclass

PORTS_TRIED_MAX = 50
LOOPBACK = "127.0.0.1"


class NoFreePort(RuntimeError):
    """The port that the user fixed is taken, or fifty in a row are."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The port to listen on; `wanted` differs when it was taken."""

    port: int
    wanted: int

    @property
    def moved(self) -> bool:
        return self.port != self.wanted


def choose(wanted: int, *, fixed: bool = False, taken: frozenset[int] = frozenset()) -> Choice:
    """The first free port from `wanted` upwards; with `fixed` only `wanted` itself. `taken` are promised to others."""
    if not 0 < wanted < 65_536:
        raise NoFreePort(f"{wanted} is not a port number; use 1 to 65535.")
    for port in range(wanted, min(wanted + (1 if fixed else PORTS_TRIED_MAX), 65_536)):
        if port not in taken and is_free(port):
            return Choice(port, wanted)
    if fixed:
        raise NoFreePort(
            f"Port {wanted} is taken by another program, and PORT fixes it. Stop that program (lsof -i :{wanted} names "
            f"it), choose another PORT, or leave PORT out to get the next free one."
        )
    raise NoFreePort(f"Ports {wanted} to {wanted + PORTS_TRIED_MAX - 1} are all taken.")


def is_free(port: int) -> bool:
    """Nobody answers there, and we may listen there."""
    return not answers(port) and _may_listen(port)


def answers(port: int, seconds: float = 0.2) -> bool:
    """Somebody accepts connections on the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(seconds)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _may_listen(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
