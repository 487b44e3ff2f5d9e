"""Doorbells. Every task finds its work in Postgres, may run twice and may be lost."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from campaigns import launch, sweeps
from projects.access import scope_by_id


@shared_task(name="campaigns.tasks.run_launch")
def run_launch(*, environment_id: int, campaign_id: int, **_: Any) -> None:
    """Resolve the audience of one launching campaign and start its job."""
    launch.run_launch(scope=scope_by_id(environment_id), campaign_id=campaign_id, now=timezone.now())


@shared_task(name="campaigns.tasks.ring_launches")
def ring_launches(**_: Any) -> None:
    """Fire what is due, and ring for launches that nobody works on."""
    sweeps.ring_launches(now=timezone.now())


@shared_task(name="campaigns.tasks.settle_finished")
def settle_finished(**_: Any) -> None:
    """Follow jobs that ended or stopped without their campaign hearing of it, and close the books that waited."""
    now = timezone.now()
    sweeps.settle_finished(now=now)
    sweeps.close_books(now=now)


@shared_task(name="campaigns.tasks.review_books")
def review_books(**_: Any) -> None:
    sweeps.review_books(now=timezone.now())


@shared_task(name="campaigns.tasks.review_environments")
def review_environments(**_: Any) -> None:
    sweeps.review_environments(now=timezone.now())
