"""What mail providers tell of messages, as our own receipts. The token that we sent along says which one is meant."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from delivery.channels.esp import TOKEN
from webhooks import providers
from webhooks.registry import Reading, reads

TYPES: Final[Mapping[str, str]] = {
    "sent": "message.accepted",
    "delivered": "message.delivered",
    "deferred": "message.deferred",
    "bounced": "message.bounced",
    "rejected": "message.rejected",
    "failed": "message.failed",
    "complained": "message.complained",
    "unsubscribed": "message.unsubscribed",
    "opened": "message.opened",
    "clicked": "message.clicked",
}
_ENHANCED = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
NO_SUCH_MAILBOX: Final = "5.1.1"


@reads(*providers.PROVIDERS)
def read(scheme: str, headers: Mapping[str, str], body: bytes) -> Sequence[Reading]:
    """Every event of the body that says something about a message."""
    found = providers.tracking_events(scheme, headers=headers, body=body)
    return [_reading(event) for event in found if event.event_type in TYPES]


def _reading(event: Any) -> Reading:
    token = _text((event.metadata or {}).get(TOKEN))
    detail = _text(event.mta_response or event.description or event.click_url)
    return Reading(
        type=TYPES[event.event_type],
        occurred_at=event.timestamp,
        data={
            "messageId": f"<{token}@esp>" if token else f"<{_text(event.message_id or 'unknown').strip('<>')[:300]}>",
            "recipient": _text(event.recipient)[:320],
            "code": _code(event, detail),
            "detail": detail[:300],
        },
    )


def _text(found: Any) -> str:
    """As text that Postgres takes; a NUL names nobody."""
    return str(found or "").replace("\x00", "")


def _code(event: Any, detail: str) -> str:
    """The enhanced status code in the other server's words; a mailbox that does not exist gets its own."""
    stated = _ENHANCED.search(detail)
    if stated:
        return stated[1]
    hard = event.event_type == "bounced" and event.reject_reason in ("invalid", "bounced")
    return NO_SUCH_MAILBOX if hard else _text(event.reject_reason)[:40]
