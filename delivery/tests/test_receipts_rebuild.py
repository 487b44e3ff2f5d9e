"""The receipts erased and made again from the stored events: the same rows, and what was tampered with put right."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from delivery import own_receipts, receipts_rebuild
from delivery.models import Receipt
from lamba_campaigns.lib import sql
from projects.scoping import Actor, Scope
from webhooks import endpoints, outbox, process
from webhooks.models import InboundEvent, OutboxEvent
from webhooks.tests.conftest import Sender

pytestmark = pytest.mark.django_db
COLUMNS = ("event_id", "type", "job_id", "position", "message_id", "recipient", "code", "detail")


@pytest.fixture
def provider(scope: Scope, actor: Actor, now: datetime) -> Sender:
    """A mail provider that speaks Lamba's envelope said two things, and we ourselves a third."""
    endpoint, secret = endpoints.create_inbound(scope=scope, actor=actor, name="Mail", kind="provider", now=now)
    sender = Sender(scope, endpoint, secret)
    for number, kind in enumerate(("delivered", "bounced")):
        data = {"messageId": f"<nobody{number}@mail.example>", "recipient": "a@example.com", "code": "2.0.0"}
        sender.post(sender.envelope(f"message.{kind}", data, id=f"evt_{number}"))
    sender.post(sender.envelope("message.delivered", {"messageId": 7}, id="evt_parked"))
    item = {"type": "message.opened", "messageId": "<nobody@lamba>", "occurredAt": now.isoformat(), "key": ""}
    with sql.durable():
        outbox.publish(scope=scope, type=own_receipts.EVENT, data={"items": [item]}, now=now)
    run()
    assert stored(scope) == 3
    return sender


def run() -> None:
    process.run(now=datetime.now(UTC) + timedelta(seconds=5))


def stored(scope: Scope) -> int:
    return Receipt.objects.filter(environment_id=scope.environment_id).count()


def rows(scope: Scope) -> list[tuple[Any, ...]]:
    found = Receipt.objects.filter(environment_id=scope.environment_id).order_by("event_id")
    return list(found.values_list(*COLUMNS, "occurred_at", "received_at"))


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("webhooks", "rebuild", *arguments, stdout=out)
    return out.getvalue()


def test_erased_receipts_come_back_as_the_same_rows(provider: Sender, scope: Scope) -> None:
    before = rows(scope)
    Receipt.objects.filter(environment_id=scope.environment_id).delete()

    assert "3 values put right" in said("receipts", scope.path)
    assert rows(scope) == before
    assert "Identical." in said("receipts", scope.path)
    assert rows(scope) == before


def test_a_check_names_the_differences_and_writes_nothing(provider: Sender, scope: Scope) -> None:
    Receipt.objects.filter(environment_id=scope.environment_id, event_id="evt_0").delete()
    known = Receipt.objects.filter(environment_id=scope.environment_id, event_id="evt_1").values().get()
    Receipt.objects.create(**known | {"id": None, "event_id": "evt_x"})
    before = rows(scope)

    with pytest.raises(CommandError, match="2 values are not what the events told") as refused:
        said("receipts", scope.path, "--check")

    assert refused.value.returncode == 1
    assert rows(scope) == before
    found = receipts_rebuild.check(scope, datetime.now(UTC))
    assert [each.partition(":")[0] for each in found.differences] == ["evt_0", "evt_x"]
    assert found.differences[1].endswith("rebuilt nothing")


def test_a_rebuild_publishes_nothing_and_moves_nothing_else(provider: Sender, scope: Scope) -> None:
    published, events = OutboxEvent.objects.within(scope).count(), InboundEvent.objects.within(scope).count()
    Receipt.objects.filter(environment_id=scope.environment_id).delete()

    receipts_rebuild.rebuild(scope, datetime.now(UTC))

    assert OutboxEvent.objects.within(scope).count() == published
    assert InboundEvent.objects.within(scope).count() == events


def test_facts_are_rebuilt_by_the_same_command(scope: Scope, provider: Sender) -> None:
    provider.post(provider.envelope("user.created", {"userId": "usr_1", "email": "ada@example.com"}, id="evt_user"))
    run()

    assert "Identical." in said("facts", scope.path, "--check")
    with pytest.raises(CommandError):
        said("weather", scope.path)
