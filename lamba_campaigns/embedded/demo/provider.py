"""A mail provider: sees the mails that arrived, and posts signed receipts about them, some twice, in no order."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from lamba_campaigns.embedded.demo.lamba import Sender, delivery_order


def fate(recipient: str, index: int) -> str:
    """What becomes of the index-th mail: mostly delivered, a few bounced, complained about or unsubscribed from."""
    return {7: "bounced", 19: "complained", 33: "unsubscribed", 41: "deferred"}.get(index % 50, "delivered")


def receipts(
    sender: Sender, mails: Iterable[dict[str, Any]], *, start: int = 0
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Receipts for `mails`, and how many mails end in which account."""
    events: list[dict[str, Any]] = []
    ends: Counter[str] = Counter()
    for index, mail in enumerate(mails, start):
        what = fate(mail["recipient"], index)
        for type, code in _TOLD[what]:
            data = {"messageId": mail["messageId"], "recipient": mail["recipient"], "code": code, "detail": what}
            events.append(sender.envelope(f"message.{type}", data, datetime.now(UTC)))
        ends["bounced" if what == "bounced" else "delivered"] += 1
    return events, ends


def post(sender: Sender, events: Sequence[dict[str, Any]], *, seed: str) -> Counter[int]:
    """Deliver the receipts out of order, some twice."""
    return sender.deliver(delivery_order(events, seed=seed))


_TOLD = {
    "delivered": [("delivered", "250 2.0.0")],
    "deferred": [("deferred", "451 4.7.1"), ("delivered", "250 2.0.0")],
    "bounced": [("bounced", "550 5.1.1")],
    "complained": [("delivered", "250 2.0.0"), ("complained", "")],
    "unsubscribed": [("delivered", "250 2.0.0"), ("unsubscribed", "")],
}
