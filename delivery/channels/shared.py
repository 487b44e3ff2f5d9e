"""A relay that all worker processes share: this one opens as many connections to it as it was granted, never more."""

import os
import socket
import time
from collections.abc import Sequence

from delivery.channels.base import Handed, NoRoom
from delivery.channels.smtp import SmtpChannel
from delivery.content.mime import Envelope
from delivery.slots import ASK_SECONDS, Share
from projects.scoping import Scope

WAIT_SECONDS = 0.25
WAIT_SECONDS_MAX = 2 * ASK_SECONDS  # shorter than a turn


class SharedRelay:
    """One turn's use of a relay."""

    def __init__(self, *, scope: Scope, channel: SmtpChannel, within: int | None) -> None:
        owner = f"{socket.gethostname()}:{os.getpid()}"
        most = channel.relay.connections
        self._channel = channel
        self._share = Share(scope, repr(channel.relay), owner, most, min(within or most, most))

    def ready(self) -> None:
        """Waits a moment for a part: whoever has more than theirs gives it back when they ask next."""
        until = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            try:
                self.keep()
                break
            except NoRoom:
                if time.monotonic() > until:
                    raise
                time.sleep(WAIT_SECONDS)
        self._channel.ready()

    def keep(self) -> None:
        if not self._share.is_due:
            return
        opened = max(1, self._channel.allow(self._share.granted)) if self._share.granted else 0
        self._channel.allow(self._share.ask(opened=opened))
        if self._share.fair < self._share.granted:  # others want some: close first, then say so
            self._share.ask(opened=max(1, self._channel.allow(self._share.fair)))

    def leave(self) -> None:
        self._channel.close()
        self._share.leave()

    def send_batch(self, batch: Sequence[Envelope]) -> Handed:
        return self._channel.send_batch(batch)
