"""Where the parts of an instance listen, and how they are reached."""

import os
from contextlib import ExitStack, closing
from dataclasses import dataclass

from lamba_campaigns.embedded import ports
from lamba_campaigns.embedded.problems import CannotStart
from lamba_campaigns.embedded.terminal import Terminal

WEB_PORT, CAPTURE_PORT = 8000, 1025


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts listen and how they are reached."""

    host: str
    web: int
    ingest: int
    capture: int
    console_url: str
    ingest_url: str
    capture_url: str
    email_url: str

    @property
    def captures(self) -> bool:
        """Whether the capture server is ours."""
        return self.capture != 0


def choose_addresses(terminal: Terminal, cleanup: ExitStack) -> Addresses:
    """Free ports, held until `cleanup`. One that had to give way is said; one that the user fixed is not moved."""
    host = os.environ.get("HOST") or ports.LOOPBACK
    fixed = _number("PORT")
    try:
        web = cleanup.enter_context(closing(ports.choose(fixed or WEB_PORT, fixed=bool(fixed))))
        ingest = cleanup.enter_context(closing(ports.choose(web.port + 1)))
        capture = None
        if not os.environ.get("LAMBA_CAPTURE_URL"):
            capture = cleanup.enter_context(closing(ports.choose(_number("CAPTURE_PORT") or CAPTURE_PORT)))
    except ports.NoFreePort as refusal:
        raise CannotStart(str(refusal)) from None
    if web.moved:
        terminal.warn(f"Port {web.wanted} is taken by another program; the console is on {web.port} instead.")
    capture_url = os.environ.get("LAMBA_CAPTURE_URL") or f"smtp://{ports.LOOPBACK}:{capture.port if capture else 0}"
    return Addresses(
        host=host,
        web=web.port,
        ingest=ingest.port,
        capture=capture.port if capture else 0,
        console_url=os.environ.get("LAMBA_PUBLIC_URL") or f"http://localhost:{web.port}",
        ingest_url=os.environ.get("LAMBA_INGEST_URL") or f"http://localhost:{ingest.port}",
        capture_url=capture_url,
        email_url=os.environ.get("EMAIL_URL") or capture_url,
    )


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    if text and not text.isdecimal():
        raise CannotStart(f"{name} is {text!r}; it must be a port number such as 8000.")
    return int(text or 0)
