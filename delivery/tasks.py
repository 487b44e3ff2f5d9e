"""Doorbells. Each finds its work in Postgres; a lost or repeated ring changes nothing."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from delivery import breaker, leases, notices, ringing
from delivery import deliver as engine

RING_EXPIRES_SECONDS = 10


@shared_task(name="delivery.tasks.deliver")
def deliver(*, job_id: int, **_: Any) -> None:
    if engine.deliver(job_id=job_id):
        ring(job_id)


@shared_task(name="delivery.tasks.ring_jobs")
def ring_jobs(**_: Any) -> None:
    for job_id in ringing.due(now=timezone.now()):
        ring(job_id)


@shared_task(name="delivery.tasks.expire_leases")
def expire_leases(**_: Any) -> None:
    leases.expire(now=timezone.now())


@shared_task(name="delivery.tasks.check_stop_rules")
def check_stop_rules(**_: Any) -> None:
    breaker.sweep(now=timezone.now())


@shared_task(name="delivery.tasks.send_notices")
def send_notices(**_: Any) -> None:
    notices.send_due(now=timezone.now())


def ring(job_id: int) -> None:
    """Ask for a worker. A ring that finds nobody within seconds is dropped: the sweep rings again."""
    deliver.apply_async(kwargs={"job_id": job_id}, expires=RING_EXPIRES_SECONDS)
