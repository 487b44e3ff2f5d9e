"""An endpoint that was switched off by itself is told by mail to everybody who may manage it.

The row says what is due, so a lost ring loses nothing. A mail counts as sent once the relay took it; after a crash in
between it goes out a second time.
"""

import logging
import smtplib
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import formataddr, make_msgid
from urllib.parse import urlsplit

from django.conf import settings

from delivery import installation
from delivery.channels import relay
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.web.navigation import url_of
from projects.access import scope_by_id
from projects.models import Environment, Member
from projects.roles import ROLES
from projects.scoping import Scope
from webhooks.models import Endpoint

NOTICES_PER_RING_MAX = 20
TRY_AGAIN = timedelta(minutes=10)
GIVEN_UP_AFTER = timedelta(days=3)
RELAY_SECONDS_MAX = 10
MANAGERS = [role for role, held in ROLES.items() if "webhooks.manage" in held]

_log = logging.getLogger(__name__)


def send_due(*, now: datetime) -> int:
    """Send every notice that is due; how many are settled. One that fails is tried again, for GIVEN_UP_AFTER."""
    rows = Endpoint.objects.across_environments("the sweep tells of all of them")
    due = list(rows.filter(notice_due_at__lte=now).order_by("notice_due_at")[:NOTICES_PER_RING_MAX])
    return sum(_send_one(each, now) for each in due)


def _send_one(endpoint: Endpoint, now: datetime) -> bool:
    """Claimed by moving its time on, so that two workers do not both send it."""
    row = Endpoint.objects.across_environments("one row by its primary key").filter(pk=endpoint.pk)
    with sql.durable():
        if not row.filter(notice_due_at=endpoint.notice_due_at).update(notice_due_at=now + TRY_AGAIN):
            return False
    try:
        _send(endpoint)
    except (OSError, smtplib.SMTPException, DomainError) as problem:
        _log.warning("The notice about endpoint %s did not go out: %r", endpoint.public_id, problem)
        if now - endpoint.updated_at < GIVEN_UP_AFTER:
            return False
    with sql.durable():
        row.update(notice_due_at=None)
    return True


def _send(endpoint: Endpoint) -> None:
    installation.require_own()
    scope = scope_by_id(endpoint.environment_id)
    people = Member.objects.filter(workspace_id=scope.workspace_id, role__in=MANAGERS, user__is_active=True)
    addresses = sorted({each.user.email for each in people.select_related("user") if each.user.email})
    if addresses:
        _hand_over([_message(scope, endpoint, address) for address in addresses])


def _message(scope: Scope, endpoint: Endpoint, address: str) -> EmailMessage:
    found = EmailMessage()
    found["Subject"] = f"{endpoint.name} gets no more events from {scope.project_name}, {scope.environment}"
    found["From"] = _sender(scope)
    found["To"] = address
    found["Message-ID"] = make_msgid("notice", domain=urlsplit(settings.PUBLIC_URL).hostname)
    found["Auto-Submitted"] = "auto-generated"
    found.set_content(
        f"The endpoint {endpoint.name} of {scope.project_name}, {scope.environment}, was switched off.\n\n"
        f"Why: {endpoint.disabled_reason}\n"
        f"Address: {endpoint.url}\n\n"
        "Events go on being stored. Once the receiver answers, enable the endpoint and send it what it missed:\n\n"
        f"{settings.PUBLIC_URL}{url_of(scope, 'endpoint-detail', endpoint.public_id)}\n"
    )
    return found


def _sender(scope: Scope) -> str:
    row = Environment.objects.only("sender_name", "sender_address").get(pk=scope.environment_id)
    return formataddr((row.sender_name, row.sender_address or f"noreply@{urlsplit(settings.PUBLIC_URL).hostname}"))


def _hand_over(messages: Sequence[EmailMessage]) -> None:
    """To the relay of EMAIL_URL, in sandbox too: these are the console's own people."""
    to = relay.parse(settings.EMAIL_URL)
    with _connected(to) as connection:
        if to.security == "starttls":
            connection.starttls(context=to.tls())
        if to.user:
            connection.login(to.user, to.password)
        for each in messages:
            connection.send_message(each)


def _connected(to: relay.Relay) -> smtplib.SMTP:
    if to.security == "tls":
        return smtplib.SMTP_SSL(to.host, to.port, timeout=RELAY_SECONDS_MAX, context=to.tls())
    return smtplib.SMTP(to.host, to.port, timeout=RELAY_SECONDS_MAX)
