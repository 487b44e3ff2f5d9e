"""A sandbox mails nobody by accident: everything goes to the capture server, except who is on the allow-list."""

from collections.abc import Collection, Sequence

from delivery.channels.base import Channel, Handed, Outcome
from delivery.content.mime import Envelope


class SandboxChannel:
    """Two ways out: `world` for addresses on the allow-list, `capture` for everybody else."""

    def __init__(self, *, world: Channel, capture: Channel, allowed: Collection[str]) -> None:
        self._world, self._capture = world, capture
        self._allowed = frozenset(address.lower() for address in allowed)

    def ready(self) -> None:
        self._capture.ready()
        if self._allowed:
            self._world.ready()

    def keep(self) -> None:
        self._capture.keep()
        if self._allowed:
            self._world.keep()

    def leave(self) -> None:
        self._capture.leave()
        self._world.leave()

    def send_batch(self, batch: Sequence[Envelope]) -> Handed:
        outcomes: dict[int, Outcome] = {}
        down = ""
        for way, wanted in ((self._capture, False), (self._world, True)):
            part = [item for item in batch if (item.recipient.lower() in self._allowed) is wanted]
            handed = way.send_batch(part)
            outcomes |= {item.position: outcome for item, outcome in zip(part, handed.outcomes, strict=True)}
            down = down or handed.down
        return Handed([outcomes[item.position] for item in batch], down)
