"""Delivery reports of the SMS provider: verified by its signature, stored as receipts, then answered.

The signature covers the address and every field (HMAC-SHA1 under the auth token, as Twilio documents it), so a report
can't be moved to another message.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from delivery import connections, own_receipts, tokens
from delivery.channels.sms import callback_url
from delivery.own_receipts import Told
from lamba_campaigns.lib.sql import durable
from projects.access import scope_by_id

BODY_BYTES_MAX = 16_384
TYPES: Final[Mapping[str, str]] = {  # its statuses -> ours; queued and sending say nothing new
    "sent": "message.accepted",
    "delivered": "message.delivered",
    "undelivered": "message.bounced",
    "failed": "message.failed",
    "read": "message.opened",
}


@csrf_exempt
@login_not_required
@require_POST
def receive(request: HttpRequest, connection: str, token: str) -> HttpResponse:
    found = connections.by_id(public_id=connection)
    reference = tokens.read("message", token)
    if found is None or reference is None or reference.environment_id != found[0]:
        return HttpResponse("There is no such message.", status=404, content_type="text/plain")
    if int(request.META.get("CONTENT_LENGTH") or 0) > BODY_BYTES_MAX:
        return HttpResponse(f"A report has at most {BODY_BYTES_MAX:,} bytes.", status=413, content_type="text/plain")
    fields = {name: request.POST.get(name, "") for name in request.POST}
    expected = signature(found[1].secret, callback_url(connection, token), fields)
    if not hmac.compare_digest(expected.encode(), request.headers.get("X-Twilio-Signature", "").encode()):
        return HttpResponse("The signature does not match.", status=403, content_type="text/plain")
    kind = TYPES.get(fields.get("MessageStatus", ""))
    if kind is not None:
        now, scope = timezone.now(), scope_by_id(reference.environment_id)
        told = Told(
            kind,
            reference.job_id,
            reference.number,
            now,
            recipient=fields.get("To", ""),
            code=fields.get("ErrorCode", ""),
            detail=fields.get("MessageSid", ""),
            key=f"sms:{token}:{fields['MessageStatus']}",
        )
        with durable():
            own_receipts.publish(scope=scope, told=[told], now=now)
    return HttpResponse(status=204)


def signature(secret: str, url: str, fields: Mapping[str, str]) -> str:
    """What `X-Twilio-Signature` must be."""
    text = url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
