"""A launch ends in one running job or in a draft that says why; a crash between any two steps changes nothing."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from audiences.models import Snapshot
from audit.models import AuditEntry, Book, Break
from campaigns import completion, drafts, holds, launch, preflight, sweeps
from campaigns.lifecycle import WrongState
from campaigns.models import Campaign, State
from campaigns.tests.conftest import MakeDraft, Postbox, fresh, run_job
from conftest import World
from delivery import jobs
from delivery.models import SendJob
from lamba_campaigns.lib.errors import DomainError, Invalid, NotFound
from limits import reservations, usage
from limits.models import Reservation
from limits.reservations import PlanLimitExceeded
from projects.scoping import Actor, Scope
from webhooks.models import OutboxEvent


def limit(scope: Scope, key: str, now: datetime) -> tuple[int, int]:
    """(used, reserved) of one limit."""
    found = next(each for each in usage.usage(scope=scope, now=now) if each.key == key)
    return found.used, found.reserved


def actions(scope: Scope, campaign: Campaign) -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(environment_id=scope.environment_id, subject_id=campaign.public_id)
    return list(rows.order_by("sequence").values_list("action", "outcome"))


def events(scope: Scope) -> list[str]:
    return list(OutboxEvent.objects.within(scope).order_by("id").values_list("type", flat=True))


def test_a_launch_becomes_closed_books(
    scope: Scope,
    now: datetime,
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign],
    postbox: Postbox,
) -> None:
    draft = make_draft(people=5, consent=3)

    sending = launch_it(draft)

    assert sending.state == State.SENDING
    assert sending.snapshot is not None and (sending.snapshot.planned, sending.snapshot.included) == (5, 3)
    assert limit(scope, "active_campaigns", now) == (1, 0)
    assert limit(scope, "included_email_volume", now) == (0, 3)

    ended = send_it(sending)

    assert ended.state == State.COMPLETED and ended.books_closed_at == now
    assert postbox.addresses() == ["u1@example.com", "u2@example.com", "u3@example.com"]
    assert limit(scope, "active_campaigns", now) == (0, 0)
    assert limit(scope, "included_email_volume", now) == (3, 0)
    assert limit(scope, "email_campaigns_per_month", now) == (1, 0)
    assert not Break.objects.within(scope).exists()
    assert events(scope) == ["campaign.launched", "campaign.sent"]
    assert actions(scope, draft) == [
        ("campaign.created", "done"),
        ("campaign.launched", "done"),
        ("campaign.updated", "done"),
        ("books.closed", "done"),
        ("campaign.completed", "done"),
    ]
