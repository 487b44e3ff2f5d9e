"""Doorbells of the projects app."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from projects.models import IdempotencyRecord

ANSWERS_PER_SWEEP_MAX = 10_000


@shared_task(name="projects.tasks.forget_answers")
def forget_answers(**_: Any) -> int:
    """Forget answers to idempotent requests whose 24 hours are over; the rest waits for the next ring."""
    everywhere = IdempotencyRecord.objects.across_environments("a sweep forgets old answers everywhere")
    old = everywhere.filter(expires_at__lte=timezone.now()).order_by("expires_at").values("pk")[:ANSWERS_PER_SWEEP_MAX]
    return everywhere.filter(pk__in=old).delete()[0]
