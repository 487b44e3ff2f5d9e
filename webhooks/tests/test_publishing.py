"""News is published in its cause's transaction, in sequence, in its schema's shape, to whom it concerns."""

from datetime import datetime
from typing import Any

import pytest
from django.db import transaction

from projects.scoping import Actor, Scope
from webhooks import catalog, endpoints, outbox, sender
from webhooks.models import Endpoint, OutboxEvent
from webhooks.outbox import PayloadRefused
from webhooks.tests.customers import CAMPAIGN, Receiver, later, published

pytestmark = pytest.mark.django_db


def test_only_subscribed_types_are_sent_and_all_are_kept_in_sequence(
    sandbox: Scope, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver
) -> None:
    for type in ("campaign.launched", "campaign.paused", "campaign.launched"):
        published(sandbox, now, type)

    while sender.run(now=later()):
        pass

    assert [headers["x-lamba-event"] for headers, _ in receiver.got] == ["campaign.launched"] * 2
    kept = OutboxEvent.objects.within(sandbox).order_by("sequence").values_list("sequence", "type")
    assert list(kept) == [(1, "campaign.launched"), (2, "campaign.paused"), (3, "campaign.launched")]


def test_news_of_a_change_that_is_rolled_back_never_existed(sandbox: Scope, now: datetime) -> None:
    with transaction.atomic():
        outbox.publish(scope=sandbox, type="campaign.launched", data=CAMPAIGN, now=now)
        transaction.set_rollback(True)

    assert OutboxEvent.objects.within(sandbox).count() == 0
    published(sandbox, now)
    assert OutboxEvent.objects.within(sandbox).get().sequence == 1


def test_a_publisher_with_the_wrong_shape_is_a_bug(sandbox: Scope, now: datetime) -> None:
    with transaction.atomic():
        with pytest.raises(PayloadRefused):
            outbox.publish(scope=sandbox, type="campaign.launched", data={}, now=now)
        with pytest.raises(KeyError):
            outbox.publish(scope=sandbox, type="campaign.exploded", data={}, now=now)
        with pytest.raises(AssertionError):
            outbox.publish(scope=sandbox, type="user.created", data={"userId": "x"}, now=now)


@pytest.mark.parametrize("data", [CAMPAIGN, {}, {"sends": [1, 2]}, {"campaign": "cmp_1", "accounts": 7}])
def test_lambas_campaign_sent_may_have_any_shape_and_ours_only_its_own(
    sandbox: Scope, now: datetime, data: dict[str, Any]
) -> None:
    assert catalog.problems("campaign.sent", data) == ()
    with transaction.atomic(), pytest.raises(PayloadRefused):
        outbox.publish(scope=sandbox, type="campaign.sent", data=data, now=now)


def test_a_test_event_goes_to_its_endpoint_alone(
    sandbox: Scope, actor: Actor, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver
) -> None:
    endpoints.create_outbound(scope=sandbox, actor=actor, name="Other", url=receiver.url, event_types=[], now=now)

    event_id = endpoints.send_test(scope=sandbox, actor=actor, endpoint_id=customer[0].public_id, now=now)
    sender.run(now=later())

    [(headers, _)] = receiver.got
    assert (headers["webhook-id"], headers["x-lamba-event"]) == (event_id, "endpoint.test")
