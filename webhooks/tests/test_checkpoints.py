"""Signed checkpoints are published: a chain that shrinks later contradicts what others hold."""

from datetime import datetime

import pytest
from django.db import transaction

from audit import chain, checkpoints
from audit.models import Chain
from projects.scoping import Actor, Scope
from webhooks.models import OutboxEvent

pytestmark = pytest.mark.django_db


def test_a_checkpoint_is_published_and_those_without_an_environment_stay(
    scope: Scope, actor: Actor, now: datetime
) -> None:
    subject = chain.Subject("campaign", "cmp_1")
    with transaction.atomic():
        chain.record(scope=scope, actor=actor, action="campaign.launched", subject=subject, now=now)
        chain.record(scope=None, actor=actor, action="signed_out", subject=chain.Subject("user", "usr_1"), now=now)
    for row in Chain.objects.all():
        checkpoints.sign(chain_id=row.pk, now=now)

    event = OutboxEvent.objects.within(scope).get()
    assert event.type == "audit.checkpoint"
