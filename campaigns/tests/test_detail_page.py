"""The page of one campaign asks few questions, and shows what its stop rules warn of."""

from collections.abc import Callable
from datetime import datetime

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import AuditEntry
from campaigns import completion
from campaigns.models import Campaign
from campaigns.tests.conftest import MakeDraft
from conftest import World
from delivery.models import JobCounters, SendJob
from lamba_campaigns.lib.sql import durable
from projects.scoping import Scope

QUERIES_MAX = 12
ENDED_QUERIES_MAX = 13  # the books stand on it too
WARNING = "6.0% of 1,000 messages to gmail.com bounced (60); the warn limit is 5.0%."


def asked(client: Client, scope: Scope, campaign: Campaign) -> tuple[int, str]:
    address = f"/{scope.path}/campaigns/{campaign.public_id}/"
    client.get(address)
    with CaptureQueriesContext(connection) as queries:
        text = client.get(address).content.decode()
    return len(queries), text


def test_the_page_of_a_campaign_asks_few_questions_while_it_sends_and_when_it_has_ended(
    scope: Scope,
    world: World,
    browser_of: Callable[..., Client],
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign],
) -> None:
    alice = browser_of(world.alice)
    running = launch_it(make_draft(people=5, consent=4))
    count, text = asked(alice, scope, running)
    assert count <= QUERIES_MAX and "hello@acme.example" in text

    count, text = asked(alice, scope, send_it(running))
    assert count <= ENDED_QUERIES_MAX and "The books are closed" in text


def test_a_warning_stands_on_the_page_and_is_told_to_endpoints(
    scope: Scope,
    world: World,
    now: datetime,
    browser_of: Callable[..., Client],
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
) -> None:
    running = launch_it(make_draft(people=5, consent=4))
    shown = {"rule": "bounce_rate", "domain": "gmail.com", "detail": WARNING, "at": now.isoformat()}
    SendJob.objects.within(scope).filter(pk=running.job_id).update(warnings=[shown])
    with durable():
        completion.tell_warning(scope=scope, campaign_id=running.public_id, reason=WARNING, now=now)

    _, text = asked(browser_of(world.alice), scope, running)

    assert "A stop rule has passed its warn limit" in text and WARNING in text
    entry = AuditEntry.objects.get(action="campaign.warned", subject_id=running.public_id)
    assert entry.reason == WARNING


def test_what_only_a_person_can_decide_is_one_step_from_the_campaign(
    scope: Scope,
    world: World,
    browser_of: Callable[..., Client],
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
) -> None:
    alice = browser_of(world.alice)
    running = launch_it(make_draft(people=5, consent=4))
    assert "For you to decide" not in asked(alice, scope, running)[1]
    JobCounters.objects.within(scope).filter(job_id=running.job_id).update(pending=1, uncertain=2, failed=1)

    count, text = asked(alice, scope, running)

    messages = f"/{scope.path}/jobs/{running.job.public_id}/messages/"
    assert f'{messages}?account=uncertain">resolve 2 uncertain' in text
    assert f'{messages}?account=failed">retry 1 failed' in text
    assert count <= QUERIES_MAX
