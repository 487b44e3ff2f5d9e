"""Doorbells of the limits."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from limits import upkeep


@shared_task(name="limits.tasks.expire_reservations")
def expire_reservations(**_: Any) -> None:
    upkeep.expire(now=timezone.now())


@shared_task(name="limits.tasks.prove_counters")
def prove_counters(**_: Any) -> None:
    upkeep.prove(now=timezone.now())
