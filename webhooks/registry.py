"""Who wants which events, and who can read those that are no Lamba envelopes.

Handlers and readers register when their app starts. `process` calls handlers inside its transaction, readers before it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lamba_campaigns.lib import clocks
from projects.scoping import Scope


@dataclass(frozen=True, slots=True)
class Event:
    """One parsed event of one environment. `data` is the payload as sent, unknown fields included.

    None of them occurs in the future, whoever makes it from what: a time that is ahead becomes `received_at`. What the
    sender claims stays in its body, and in the row's `occurred_at`.
    """

    id: str
    type: str
    occurred_at: datetime
    received_at: datetime
    data: Mapping[str, Any]
    source: str  # lamba | provider | internal

    def __post_init__(self) -> None:
        if clocks.is_ahead(self.occurred_at, received_at=self.received_at):
            object.__setattr__(self, "occurred_at", self.received_at)


class NotYet(Exception):
    """A row this event speaks of is not there yet. The event waits with a growing pause, up to 15 minutes."""


class Unmatched(Exception):
    """Nothing here is what this event speaks of. It parks at once, as it came, for reconciliation to show."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One event out of a provider's own body, in this product's words: `data` as the catalogue's schema has it."""

    type: str
    occurred_at: datetime | None  # None: the body does not say, so it counts from its arrival
    data: Mapping[str, Any]


Reader = Callable[[str, Mapping[str, str], bytes], Sequence[Reading]]
_readers: dict[str, Reader] = {}
Handler = Callable[[Scope, Sequence[Event], datetime], None]
_handlers: dict[str, list[Handler]] = {}


def handles(*types: str) -> Callable[[Handler], Handler]:
    """`@handles("membership.created", …)` on `def apply(scope, events, now)`.

    The function runs in process.run's transaction with the events of its types out of one batch, in the order they
    were received. If it raises, the batch is rolled back and split until the bad event stands alone.
    """
    assert types, "name at least one event type"

    def register(handler: Handler) -> Handler:
        for name in types:
            known = _handlers.setdefault(name, [])
            if handler not in known:
                known.append(handler)
        return handler

    return register


def reads(*schemes: str) -> Callable[[Reader], Reader]:
    """`@reads("postmark", …)` on `def read(scheme, headers, body)`: the events in a genuine request of this scheme.

    `providers.tracking_events` does the first half. ValueError: the body can't be read, and its row is quarantined with
    that text. No events: the row is ignored. Called again for each try, so it must not write.
    """

    def register(reader: Reader) -> Reader:
        for name in schemes:
            assert _readers.get(name, reader) is reader, f"two readers for {name}"
            _readers[name] = reader
        return reader

    return register


def read(scheme: str, headers: Mapping[str, str], body: bytes) -> Sequence[Reading]:
    reader = _readers.get(scheme)
    return reader(scheme, headers, body) if reader else ()


def is_handled(event_type: str) -> bool:
    return event_type in _handlers


def calls(events: Sequence[Event]) -> Iterator[tuple[Handler, list[Event]]]:
    """Each handler once, with its events in the order given; handlers come in the order of their first event."""
    batches: dict[Handler, list[Event]] = {}
    for event in events:
        for handler in _handlers.get(event.type, ()):
            batches.setdefault(handler, []).append(event)
    yield from batches.items()
