"""What was sent can be shown later, byte for byte as the mail server got it, whatever changed meanwhile."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from audiences.models import Person
from conftest import World
from delivery import replay
from delivery.models import SendJob
from delivery.pacing.rules import frozen
from delivery.tests.conftest import Postbox
from lamba_campaigns.lib.errors import NotFound
from projects.scoping import Scope

MakeJob = Callable[..., SendJob]
Deliver = Callable[..., None]


def test_the_same_bytes_come_out_again_after_the_person_changed(
    scope: Scope, now: datetime, make_job: MakeJob, deliver: Deliver, postbox: Postbox
) -> None:
    job = make_job(260)  # more than one micro-batch
    deliver(job, at=now)
    Person.objects.within(scope).update(given_name="Changed", email="other@example.com")

    received = dict(postbox.received)
    assert len(received) == 260
    for position in (1, 100, 101, 259, 260):
        built = replay.sent(scope=scope, job=job, position=position)
        assert built.data == received[built.recipient]


def test_a_second_attempt_is_shown_as_the_second_attempt(
    scope: Scope, now: datetime, make_job: MakeJob, deliver: Deliver, postbox: Postbox
) -> None:
    postbox.rcpt = lambda address: "451 4.7.1 Later" if address.startswith("u2") else None
    job = make_job(3)
    deliver(job, at=now)
    postbox.rcpt = lambda address: None
    deliver(job, at=now + timedelta(hours=1, seconds=7))

    received = dict(postbox.received)
    for position in (1, 2, 3):
        built = replay.sent(scope=scope, job=job, position=position)
        assert built.data == received[built.recipient]
    assert b"10:30:07 +0000" in replay.sent(scope=scope, job=job, position=2).data


def test_nothing_is_shown_of_somebody_who_got_nothing(
    scope: Scope, now: datetime, make_job: MakeJob, deliver: Deliver, postbox: Postbox
) -> None:
    rules = frozen({"zone": "recipient", "window": {"opens": "20:00", "closes": "21:00"}}, time_zone="UTC")
    job = make_job(1, pacing=rules)
    deliver(job, at=now)

    with pytest.raises(replay.NotSent, match="Nothing was handed over"):
        replay.sent(scope=scope, job=job, position=1)
    with pytest.raises(NotFound):
        replay.sent(scope=scope, job=job, position=2)


def test_rest_gives_the_message_as_it_left(
    scope: Scope, now: datetime, make_job: MakeJob, deliver: Deliver, postbox: Postbox, api: Callable[..., APIClient]
) -> None:
    job = make_job(1)
    deliver(job, at=now)

    found = api().get(f"/api/v1/jobs/{job.public_id}/messages/1/sent")
    raw = api().get(f"/api/v1/jobs/{job.public_id}/messages/1/sent.eml")

    assert found.json()["subject"] == "Hello U1" and found.json()["recipient"] == "u1@example.com"
    assert "Hi" in found.json()["text"] and "<strong" in found.json()["html"]
    assert raw.content == postbox.received[0][1] and raw.headers["Content-Type"] == "message/rfc822"
    assert "attachment" in raw.headers["Content-Disposition"]
    assert api().get(f"/api/v1/jobs/{job.public_id}/messages/2/sent").status_code == 404


def test_the_page_shows_it_and_links_to_the_file(
    world: World,
    scope: Scope,
    now: datetime,
    make_job: MakeJob,
    deliver: Deliver,
    postbox: Postbox,
    browser_of: Callable[..., Client],
) -> None:
    job = make_job(1)
    deliver(job, at=now)
    browser, base = browser_of(world.alice), f"/{scope.path}/jobs/{job.public_id}/messages/1/"

    with CaptureQueriesContext(connection) as queries:
        page = browser.get(base)

    assert page.status_code == 200 and "Hello U1" in page.content.decode() and len(queries) <= 20
    assert "<strong" in browser.get(f"{base}body/").content.decode()
    assert browser.get(f"{base}source.eml").content == postbox.received[0][1]
    assert browser.get(f"/{scope.path}/jobs/{job.public_id}/messages/9/").status_code == 404
