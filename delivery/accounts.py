"""The accounts a message can stand in, as the ledger names them, and which fact outranks which.

A message stands in exactly one account. Facts from outside move it only upwards in rank, so that their order and
their repetition do not matter. Complaints, unsubscribes, opens and clicks are overlays: they never change the account.
"""

from enum import IntEnum
from typing import Final


class Account(IntEnum):
    """Stored as smallint; the lower-case name is the ledger's account."""

    EXCLUDED = 0
    PENDING = 1
    IN_FLIGHT = 2
    UNCERTAIN = 3
    ACCEPTED = 4
    DEFERRED = 5
    DELIVERED = 6
    BOUNCED = 7
    REJECTED = 8
    FAILED = 9
    CANCELLED = 10

    @property
    def ledger(self) -> str:
        return self.name.lower()


class Rank(IntEnum):
    """How much a fact knows. Equal ranks that disagree: the one that happened first stays."""

    CLAIMED = 10  # in flight
    UNKNOWN = 20  # uncertain, or waiting for our own next attempt
    ACCEPTED = 30
    DEFERRED = 40  # the provider accepted it and tries again itself
    INFERRED = 50  # delivered, because somebody opened, clicked, complained or unsubscribed
    FINAL = 60  # delivered, rejected, failed
    BOUNCED = 70  # a late bounce is legal after delivered
    CLOSED = 90  # excluded and cancelled: never handed over


class Overlay(IntEnum):
    """Bits of Message.overlays."""

    COMPLAINED = 1
    UNSUBSCRIBED = 2
    OPENED = 4
    CLICKED = 8

    @property
    def column(self) -> str:
        """The counter of JobCounters."""
        return self.name.lower()


ACCOUNT_NAMES: Final[tuple[str, ...]] = tuple(account.ledger for account in Account)
# The accounts whose people somebody looks for: they get an entry in a partial index, the rest never do.
EXCEPTIONAL: Final = (
    Account.EXCLUDED,
    Account.UNCERTAIN,
    Account.DEFERRED,
    Account.BOUNCED,
    Account.REJECTED,
    Account.FAILED,
    Account.CANCELLED,
)


def account_named(name: str) -> Account | None:
    """The account with this ledger name, or None."""
    return Account[name.upper()] if name in ACCOUNT_NAMES else None
