"""Facts about one message, merged so that order and repetition do not matter.

The fact of the highest rank stands; of two different facts of one rank, the one that happened first. That is a maximum
over a set, and a maximum does not care in which order, or how often, it is shown its elements.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from delivery.accounts import Account, Overlay, Rank


@dataclass(frozen=True, slots=True)
class Fact:
    """What one receipt says. `account` is None for one that only adds an overlay."""

    account: Account | None
    rank: Rank
    occurred_at: datetime
    overlay: Overlay | None = None
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one message stands. `retrying`: it waits for an attempt of ours."""

    account: Account
    rank: int
    settled_at: datetime
    overlays: int
    retrying: bool
    code: str
    detail: str


# receipt type -> account and rank; an overlay that only a reader can cause implies that the message was delivered
TYPES: dict[str, tuple[Account, Rank, Overlay | None]] = {
    "message.accepted": (Account.ACCEPTED, Rank.ACCEPTED, None),
    "message.deferred": (Account.DEFERRED, Rank.DEFERRED, None),
    "message.delivered": (Account.DELIVERED, Rank.FINAL, None),
    "message.rejected": (Account.REJECTED, Rank.FINAL, None),
    "message.failed": (Account.FAILED, Rank.FINAL, None),
    "message.bounced": (Account.BOUNCED, Rank.BOUNCED, None),
    "message.complained": (Account.DELIVERED, Rank.INFERRED, Overlay.COMPLAINED),
    "message.unsubscribed": (Account.DELIVERED, Rank.INFERRED, Overlay.UNSUBSCRIBED),
    "message.opened": (Account.DELIVERED, Rank.INFERRED, Overlay.OPENED),
    "message.clicked": (Account.DELIVERED, Rank.INFERRED, Overlay.CLICKED),
}


def merge(standing: Standing, facts: Iterable[Fact]) -> Standing:
    """Where the message stands once all facts are known."""
    for fact in facts:
        standing = _with(standing, fact)
    return standing


def _with(standing: Standing, fact: Fact) -> Standing:
    if fact.overlay is not None:
        standing = replace(standing, overlays=standing.overlays | fact.overlay)
    if fact.account is None or not _outranks(fact, standing):
        return standing
    said = bool(fact.code or fact.detail)  # one reply: never the code of one and the words of another
    return replace(
        standing,
        account=fact.account,
        rank=int(fact.rank),
        settled_at=fact.occurred_at,
        retrying=False,
        code=fact.code if said else standing.code,
        detail=fact.detail if said else standing.detail,
    )


def _outranks(fact: Fact, standing: Standing) -> bool:
    if fact.rank != standing.rank:
        return fact.rank > standing.rank
    return (fact.occurred_at, fact.account or 0) < (standing.settled_at, standing.account)
