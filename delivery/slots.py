"""Connections to a relay, shared by all worker processes on all machines: together they never open more than it takes.

A process asks before it opens any, asks again every two seconds while it sends, and closes what it gives back before
it says so. A row whose process is gone ends by the database's clock.
"""

import time
from dataclasses import dataclass

from delivery import statements
from delivery.channels.base import NoRoom
from lamba_campaigns.lib.sql import durable
from projects.scoping import Scope

LEASE_SECONDS = 60  # longer than a hand-over and the wait for a database that is away together
WISH_SECONDS = 10  # that others see how somebody got nothing
ASK_SECONDS = 2.0  # how soon others get what this process does not need


@dataclass(slots=True)
class Share:
    """What one process may use of one relay. `most` connections of all processes, `within` those of the environment."""

    scope: Scope
    relay: str
    owner: str
    most: int
    within: int
    granted: int = 0
    fair: int = 0
    _asked_at: float = 0.0

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._asked_at >= ASK_SECONDS

    def ask(self, *, opened: int) -> int:
        """How many may be open now; `fair` is what it should be. Those that are `opened` already are granted whatever
        others want: close them, and ask again. NoRoom when there is none."""
        values = {"relay": self.relay, "owner": self.owner, "environment": self.scope.environment_id}
        limits = {
            "most": self.most,
            "within": self.within,
            "opened": opened,
            "seconds": LEASE_SECONDS,
            "wish": WISH_SECONDS,
        }
        with durable():
            statements.rows("lock_relay", {"relay": self.relay})
            statements.count("forget_relay_uses", {"relay": self.relay})
            self.granted, self.fair = statements.rows("use_relay", values | limits)[0]
        self._asked_at = time.monotonic() if self.granted else 0.0
        if not self.granted:
            raise NoRoom(f"Other workers use all connections to {self.relay}.")
        return self.granted

    def leave(self) -> None:
        """Nothing is open any more. Who got nothing stays on the list, so that the others give something back."""
        if self.granted:
            self.granted, self._asked_at = 0, 0.0
            with durable():
                statements.count("leave_relay", {"relay": self.relay, "owner": self.owner})
