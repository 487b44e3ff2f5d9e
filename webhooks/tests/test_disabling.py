"""An endpoint that says stop, or that fails for days, is switched off; what waits for it is skipped."""

from datetime import datetime
from typing import Any

import pytest

from projects.scoping import Scope
from webhooks import sender
from webhooks.models import Delivery, Endpoint, OutboxEvent
from webhooks.tests.customers import Receiver, later, published

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("answer", [(410, {}, b""), (500, {"webhook-delivery": "disable"}, b"")])
def test_a_receiver_that_says_stop_is_disabled_and_what_waits_is_skipped(
    sandbox: Scope, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver, answer: Any
) -> None:
    receiver.answers = [answer]
    published(sandbox, now)
    sender.run(now=later())
    published(sandbox, now)

    endpoint = Endpoint.objects.within(sandbox).get()
    assert endpoint.status == "disabled"
    assert endpoint.disabled_reason
    assert [each.status for each in Delivery.objects.within(sandbox)] == ["skipped"]
    assert sender.run(now=later(days=1)) == 0
    types = OutboxEvent.objects.within(sandbox).order_by("sequence").values_list("type", flat=True)
    assert list(types) == ["campaign.launched", "endpoint.disabled", "campaign.launched"]


def test_an_endpoint_that_fails_for_days_is_disabled(
    sandbox: Scope, customer: tuple[Endpoint, str], now: datetime, receiver: Receiver
) -> None:
    receiver.answers = [(500, {}, b"")]
    published(sandbox, now)
    sender.run(now=later())
    Endpoint.objects.within(sandbox).update(failing_since=later(days=-6))

    sender.run(now=later(hours=1))

    assert Endpoint.objects.within(sandbox).get().status == "disabled"
