"""Doorbells of the evidence: what they miss, the next ring finds."""

from datetime import timedelta
from typing import Any

from celery import shared_task
from django.utils import timezone

from audit import checkpoints, retention, sealing
from audit.models import Chain
from projects import access


@shared_task(name="audit.tasks.seal_ledger")
def seal_ledger(**_: Any) -> None:
    for environment_id in sealing.environments_to_seal():
        scope = access.scope_by_id(environment_id)
        while sealing.seal(scope=scope, now=timezone.now()) is not None:
            pass


@shared_task(name="audit.tasks.checkpoint")
def checkpoint(**_: Any) -> None:
    now = timezone.now()
    for chain_id in checkpoints.chains_to_sign(before=now - timedelta(minutes=30)):
        checkpoints.sign(chain_id=chain_id, now=now)


@shared_task(name="audit.tasks.apply_retention")
def apply_retention(**_: Any) -> None:
    now = timezone.now()
    for row in Chain.objects.order_by("pk"):
        days = retention.days_of(row, now)
        if days is not None:
            retention.apply(chain_id=row.pk, days=days, now=now)
