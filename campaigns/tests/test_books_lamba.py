"""Lamba's campaign.sent: matched by whatever it carries and held against the books, or parked in plain sight."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from audit.models import Break, OutsideReport
from campaigns import books_lamba, books_reports, sweeps
from campaigns.models import Campaign
from campaigns.tests.conftest import MakeDraft, fresh
from conftest import World
from delivery import tokens
from delivery.models import Message
from lamba_campaigns.web.console import url
from projects.scoping import Actor, Scope
from webhooks import endpoints, process
from webhooks.models import InboundEvent
from webhooks.registry import Event, Unmatched
from webhooks.tests.conftest import Sender

pytestmark = pytest.mark.django_db(transaction=True)
PEOPLE = 3


@pytest.fixture
def sent(make_draft: MakeDraft, launch_it: Callable[..., Campaign], send_it: Callable[..., Campaign]) -> Campaign:
    return send_it(launch_it(make_draft("Spring renewal", people=PEOPLE)))


@pytest.fixture
def other(sent: Campaign, make_draft: MakeDraft, launch_it: Callable[..., Campaign]) -> Campaign:
    return launch_it(make_draft("Summer sale"))


def told(data: dict[str, Any], now: datetime) -> Event:
    return Event("evt_lamba", "campaign.sent", now, now, data, "lamba")


def message_ids(campaign: Campaign, scope: Scope) -> list[str]:
    assert campaign.job_id is not None
    token = tokens.tokens(
        "message", environment_id=scope.environment_id, job_id=campaign.job_id, numbers=range(1, PEOPLE + 1)
    )
    return [f"<{each}@mail.example>" for each in token]


def payloads(sent: Campaign, scope: Scope) -> list[dict[str, Any]]:
    """Every way in which the event may name this campaign."""
    assert sent.job is not None
    ids = message_ids(sent, scope)
    users = [f"u{number}" for number in range(1, PEOPLE + 1)]
    return [
        {"campaignId": sent.public_id},
        {"campaign": sent.public_id},
        {"campaign": {"id": sent.public_id, "name": "Whatever it is called there"}},
        {"jobId": sent.job.public_id},
        {"job": {"id": sent.job.public_id}},
        {"messageId": ids[0]},
        {"messageIds": ids},
        {"items": [{"messageId": each} for each in ids]},
        {"campaignName": sent.name},
        {"campaign": {"id": "7c1f0c9e-lamba's own", "name": sent.name}},
        {"campaign": sent.name},
        {"userId": users[0]},
        {"recipients": [{"userId": each} for each in users]},
        {"recipientIds": users},
    ]


def test_a_campaign_is_found_by_any_id_that_the_event_carries(sent: Campaign, scope: Scope, now: datetime) -> None:
    assert Message.objects.filter(environment_id=scope.environment_id).count() == PEOPLE

    for data in payloads(sent, scope):
        assert books_lamba.campaign_of(scope=scope, event=told(data, now)) == sent, data


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"campaignId": "cmp_01JDCEXAMPLE00000000000001", "name": "Spring renewal"},
        {"campaignName": "Autumn"},
        {"campaignId": ["x", 7, None, {"id": 3}], "items": "?", "campaign": {"name": 9}},
        {"messageId": "<nobody@mail.example>"},
        {"userId": "usr_nobody"},
        {"userIds": ["u1", "usr_nobody"]},
    ],
)
def test_what_names_nothing_of_ours_is_unmatched(
    data: dict[str, Any], sent: Campaign, scope: Scope, now: datetime
) -> None:
    with pytest.raises(Unmatched):
        books_lamba.campaign_of(scope=scope, event=told(data, now))


def test_two_campaigns_at_once_are_no_match(sent: Campaign, other: Campaign, scope: Scope, now: datetime) -> None:
    data = {"campaignId": other.public_id, "messageIds": message_ids(sent, scope)}

    with pytest.raises(Unmatched, match="2 campaigns at once: Spring renewal, Summer sale"):
        books_lamba.campaign_of(scope=scope, event=told(data, now))


def test_a_recipient_long_before_is_not_guessed_at(sent: Campaign, scope: Scope, now: datetime) -> None:
    with pytest.raises(Unmatched):
        books_lamba.campaign_of(scope=scope, event=told({"userId": "u1"}, now - timedelta(days=30)))


def test_ids_of_another_environment_match_nothing(sent: Campaign, world: World, scope: Scope, now: datetime) -> None:
    for data in payloads(sent, scope):
        with pytest.raises(Unmatched):
            books_lamba.campaign_of(scope=world.sandbox, event=told(data, now))


def test_a_matched_number_feeds_the_books_once(sent: Campaign, scope: Scope, now: datetime) -> None:
    event = told({"campaignName": sent.name, "sent": PEOPLE - 1}, now)
    for _ in range(2):
        with transaction.atomic():
            books_reports.note_lamba(scope=scope, event=event, now=now)

    assert OutsideReport.objects.within(scope).get().counts == {"handed_over": PEOPLE - 1}


def test_a_list_of_recipients_is_a_number_and_no_number_feeds_nothing(
    sent: Campaign, scope: Scope, now: datetime
) -> None:
    assert books_lamba.total_of({"recipients": ["a", "b"]}) == 2
    assert books_lamba.total_of({"sent": True, "count": -1}) is None
    with transaction.atomic():
        assert books_reports.note_lamba(scope=scope, event=told({"campaignName": sent.name}, now), now=now) is None


def test_an_unmatched_event_parks_as_it_came_and_reconciliation_shows_it(
    sent: Campaign, scope: Scope, actor: Actor, now: datetime, world: World, browser_of: Callable[..., Any]
) -> None:
    endpoint, secret = endpoints.create_inbound(scope=scope, actor=actor, name="Lamba", kind="lamba", now=now)
    lamba = Sender(scope, endpoint, secret)
    body = lamba.envelope("campaign.sent", {"campaign": "Autumn", "sent": 9}, id="evt_autumn")
    lamba.post(body)
    lamba.post(lamba.envelope("campaign.sent", {"campaign": sent.name, "sent": PEOPLE}, id="evt_spring"))

    process.run(now=InboundEvent.objects.within(scope).latest("id").received_at + timedelta(seconds=1))

    row = InboundEvent.objects.within(scope).get(event_id="evt_autumn")
    assert (row.state, row.attempts, json.loads(bytes(row.raw))) == ("parked", 1, body)
    assert row.error.startswith("Unmatched: nothing in it names a launched campaign")
    assert InboundEvent.objects.within(scope).get(event_id="evt_spring").state == "processed"
    assert OutsideReport.objects.within(scope).get().job_id == fresh(sent).job_id
    sweeps.review_environments(now=now + timedelta(hours=1))
    difference = Break.objects.within(scope).get(type="unmatched_event")
    assert (difference.quantity, difference.state) == (1, "open")
    page = browser_of(world.alice).get(url(scope, "break-detail", difference.public_id)).content.decode()
    assert url(scope, "dead-letter-list") + "?reason=unmatched" in page
