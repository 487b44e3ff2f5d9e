"""What every channel promises: it gets a micro-batch and says of every message, honestly, what became of it.

`uncertain` is an answer: the other side may have it. Only what surely was not handed over may be called anything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from delivery.content.mime import Envelope

Kind = Literal["accepted", "deferred", "rejected", "failed", "uncertain"]
DETAIL_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Outcome:
    """accepted: taken over. deferred: not now, try again. rejected: refused for good. failed: could not be sent by us.
    uncertain: may have been taken over. `code` is an enhanced status code where there is one, else the reply code."""

    kind: Kind
    code: str = ""
    detail: str = ""


class ChannelDown(Exception):
    """The provider takes nothing from anybody at the moment; the text is for the operator."""


class NoRoom(Exception):
    """Others use all that this process could open; they are working, so nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Handed:
    """Outcomes in the order of the batch. `down` says why the whole channel seems unable to send, if so."""

    outcomes: list[Outcome]
    down: str = ""


@runtime_checkable
class Channel(Protocol):
    """One way out. Used by one thread at a time."""

    def ready(self) -> None:
        """Returns when something can be sent now; else ChannelDown, or NoRoom. Asked before anybody is claimed."""

    def keep(self) -> None:
        """Asked before each window: what is held for sending is still ours."""

    def leave(self) -> None:
        """Nothing is held any more. Asked at the end of a turn."""

    def send_batch(self, batch: Sequence[Envelope]) -> Handed:
        """One outcome for each message, in order, within a chunk's lease. What the other side does never raises."""
