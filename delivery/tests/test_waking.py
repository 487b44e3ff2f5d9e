"""A job that waits says why, and one click makes it try again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from audit.models import AuditEntry
from delivery import jobs, ringing
from delivery.models import SendJob
from delivery.tests.conftest import Postbox, counters
from lamba_campaigns.lib.errors import Conflict
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db


def page_of(scope: Scope, job: SendJob, end: str) -> str:
    return f"/{scope.workspace_slug}/{scope.project_slug}/{scope.environment}/jobs/{job.public_id}/{end}/"


def test_a_job_whose_provider_was_away_is_sent_after_one_click(
    world: Any,
    scope: Scope,
    settings: Any,
    browser_of: Callable[..., Client],
    make_job: Callable[..., SendJob],
    deliver: Callable[..., None],
    postbox: Postbox,
) -> None:
    relay, settings.EMAIL_URL = settings.EMAIL_URL, "smtp://127.0.0.1:9"
    job, moment = make_job(3), datetime.now(UTC)
    deliver(job, at=moment)
    settings.EMAIL_URL = relay
    assert ringing.due(now=moment + timedelta(seconds=3)) == []
    browser = browser_of(world.alice)
    assert "Try now" in browser.get(page_of(scope, job, "messages")).content.decode()
    assert browser_of(world.bob).post(page_of(scope, job, "wake")).status_code == 403

    answer = browser.post(page_of(scope, job, "wake"))

    assert answer.status_code == 302
    assert ringing.due(now=datetime.now(UTC) + timedelta(seconds=3)) == [job.pk]
    deliver(job, at=moment)
    assert counters(job) == {"accepted": 3}
    entries = AuditEntry.objects.filter(environment_id=scope.environment_id, action="delivery.woken", outcome="done")
    assert entries.count() == 1
    assert "Try now" not in browser.get(page_of(scope, job, "messages")).content.decode()


def test_waking_leaves_the_rules_about_pace_alone(
    scope: Scope, actor: Actor, now: datetime, make_job: Callable[..., SendJob]
) -> None:
    job = make_job(3)
    rows = SendJob.objects.within(scope).filter(pk=job.pk)
    rows.update(held_until=now + timedelta(hours=1), held_code="send_window", held_reason="It is night.")
    with transaction.atomic():
        woken = jobs.wake(scope=scope, actor=actor, job=job, now=now)
    woken.refresh_from_db()
    assert woken.held_until == now + timedelta(hours=1)
    rows.update(state="paused")
    with pytest.raises(Conflict), transaction.atomic():
        jobs.wake(scope=scope, actor=actor, job=job, now=now)


def test_rest_wakes_a_job_and_says_how_it_stands(
    scope: Scope, now: datetime, api: Callable[..., Any], make_job: Callable[..., SendJob]
) -> None:
    job = make_job(3)
    SendJob.objects.within(scope).filter(pk=job.pk).update(held_until=now + timedelta(days=1), held_reason="down")
    answer = api().post(f"/api/v1/jobs/{job.public_id}/wake", {}, format="json", HTTP_IDEMPOTENCY_KEY="k1")
    assert answer.status_code == 202
    assert answer.json()["state"] == "sending"
    job.refresh_from_db()
    assert job.held_until is None
