"""A message that was sent, taken apart as a mailbox does it, or as the file that left."""

import email
from email import policy
from email.message import EmailMessage
from typing import Any

from django.http import HttpResponse

from delivery.content.mime import Envelope


def parts(envelope: Envelope) -> dict[str, Any]:
    """The message taken apart as a mailbox does it."""
    message: EmailMessage = email.message_from_bytes(envelope.data, policy=policy.default)
    bodies = {kind: message.get_body((kind,)) for kind in ("html", "plain")}
    return {
        "sender": envelope.sender,
        "recipient": envelope.recipient,
        "subject": str(message["Subject"]),
        "headers": [[name, str(value)] for name, value in message.items()],
        "html": bodies["html"].get_content() if bodies["html"] else "",
        "text": bodies["plain"].get_content() if bodies["plain"] else "",
    }


def source(envelope: Envelope, job: str, position: int) -> HttpResponse:
    name = f'attachment; filename="{job}-{position}.eml"'
    return HttpResponse(envelope.data, content_type="message/rfc822", headers={"Content-Disposition": name})
