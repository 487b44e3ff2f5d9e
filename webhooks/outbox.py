"""publish(): news of a committed change. The row commits with the change, or not at all."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Q

from lamba_campaigns.lib import sql
from lamba_campaigns.lib.ids import new_id
from projects.scoping import Scope
from webhooks import catalog, doorbell, envelope
from webhooks.models import Delivery, Endpoint, OutboxEvent

PAYLOAD_BYTES_MAX = 262_144
PROCESS_EVENTS = "webhooks.tasks.process_events"
SEND_DELIVERIES = "webhooks.tasks.send_deliveries"


class PayloadRefused(ValueError):
    """`publish` was called with data that its type's schema does not allow, or with too much of it. A bug."""


def publish(*, scope: Scope, type: str, data: Mapping[str, Any], now: datetime) -> str:
    """Store one event and return its id (`evt_…`).

    A public type goes to the outbox, to every endpoint that subscribed to it. An internal type goes to the queue of
    inbound events, where its `@handles` functions get it. Call it last: it holds the environment's sequence until
    commit.
    """
    sql.require_transaction()
    kind = catalog.get(type)
    assert kind.direction != "in", f"{type} comes from Lamba; it is not ours to publish"
    _check(type, data)
    if kind.audience == "internal":
        return _to_inbox(scope, type, data, now)
    return _to_outbox(scope, type, data, now).public_id


def publish_to(*, scope: Scope, endpoint: Endpoint, type: str, data: Mapping[str, Any], now: datetime) -> str:
    """Store one public event for a single endpoint, whatever it subscribed to."""
    sql.require_transaction()
    _check(type, data)
    return _to_outbox(scope, type, data, now, only=endpoint).public_id


def _check(type: str, data: Mapping[str, Any]) -> None:
    if settings.PRODUCTION:
        return  # the suite has proved the callers; a campaign never fails over the wording of its news
    found = catalog.problems(type, dict(data), published=True)
    if found:
        raise PayloadRefused(f"{type}: " + "; ".join(f"{each.pointer} {each.detail}" for each in found))


def _to_inbox(scope: Scope, type: str, data: Mapping[str, Any], now: datetime) -> str:
    event_id = new_id("evt")
    raw = _written(envelope.write(scope=scope, event_id=event_id, event_type=type, occurred_at=now, data=data))
    values = {
        "environment_id": scope.environment_id,
        "event_id": event_id,
        "type": type,
        "now": now,
        "raw": raw,
        "sha256": hashlib.sha256(raw).digest(),
    }
    sql.execute("webhooks", "insert_internal", values)
    doorbell.ring_after_commit(PROCESS_EVENTS)
    return event_id


def _to_outbox(
    scope: Scope, type: str, data: Mapping[str, Any], now: datetime, only: Endpoint | None = None
) -> OutboxEvent:
    found = sql.one("webhooks", "next_sequence", {"environment_id": scope.environment_id})
    assert found is not None
    event = OutboxEvent(
        environment_id=scope.environment_id,
        sequence=found[0],
        type=type,
        api_version=catalog.API_VERSION,
        occurred_at=now,
        created_at=now,
    )
    event.payload = _written(
        envelope.write(
            scope=scope, event_id=event.public_id, event_type=type, occurred_at=now, data=data, sequence=event.sequence
        )
    )
    event.save(force_insert=True)
    _address(event, [only] if only else _subscribers(scope, type), now)
    return event


def _written(raw: bytes) -> bytes:
    if len(raw) > PAYLOAD_BYTES_MAX:
        raise PayloadRefused(
            f"the event has {len(raw):,} bytes; {PAYLOAD_BYTES_MAX:,} are allowed: publish smaller batches"
        )
    return raw


def _subscribers(scope: Scope, type: str) -> Iterable[Endpoint]:
    found: Iterable[Endpoint] = Endpoint.objects.within(scope).filter(
        Q(event_types=[]) | Q(event_types__contains=[type]),
        direction=Endpoint.Direction.OUT,
        status=Endpoint.Status.ACTIVE,
    )
    return found


def _address(event: OutboxEvent, endpoints: Iterable[Endpoint], now: datetime) -> None:
    rows = [
        Delivery(
            environment_id=event.environment_id, event=event, endpoint=endpoint, next_attempt_at=now, created_at=now
        )
        for endpoint in endpoints
    ]
    if rows:
        Delivery.objects.bulk_create(rows)
        doorbell.ring_after_commit(SEND_DELIVERIES)
