"""Receipts as our own public events, in batches: what a customer's systems subscribe to."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from audiences.models import Person
from delivery.models import SendJob
from projects.scoping import Scope
from webhooks import outbox

PUBLISHED = frozenset({"message.delivered", "message.bounced", "message.complained", "message.unsubscribed"})
ITEMS_MAX = 500


def publish(*, scope: Scope, receipts: Iterable[Any], people: Mapping[tuple[int, int], int], now: datetime) -> None:
    """One event for each type, listing its messages. Last in its transaction: it holds the outbox's sequence."""
    batches: dict[str, list[Any]] = defaultdict(list)
    for receipt in receipts:
        if receipt.event.type in PUBLISHED and receipt.place in people:
            batches[receipt.event.type].append(receipt)
    if not batches:
        return
    users = dict(Person.objects.within(scope).filter(pk__in=people.values()).values_list("pk", "external_id"))
    jobs = dict(
        SendJob.objects.within(scope).filter(pk__in={place[0] for place in people}).values_list("pk", "subject")
    )
    for kind, batch in sorted(batches.items()):
        items = [
            {
                "messageId": "msg_" + receipt.message_id.strip("<> ").partition("@")[0],
                "userId": users[people[receipt.place]],
                "campaign": jobs[receipt.place[0]],
                "occurredAt": receipt.event.occurred_at.isoformat().replace("+00:00", "Z"),
                "detail": receipt.detail,
            }
            for receipt in batch
            if people[receipt.place] in users
        ]
        for start in range(0, len(items), ITEMS_MAX):
            outbox.publish(scope=scope, type=kind, data={"items": items[start : start + ITEMS_MAX]}, now=now)
