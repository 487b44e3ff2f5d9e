"""Outgoing events: claim, sign, post, write down. The retry ladder stands in rows; no transaction is open meanwhile.

Every attempt carries the same id and the same bytes under a fresh timestamp. Only a 2xx counts as taken.
"""

import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from lamba_campaigns.lib import sql
from lamba_campaigns.lib.secrets import decrypt
from lamba_campaigns.lib.signing import lamba_v1_signature, standard_signature
from projects.access import scope_by_id
from projects.scoping import SYSTEM, Scope
from webhooks import endpoints, rotation
from webhooks.models import Delivery, DeliveryAttempt, Endpoint
from webhooks.posting import Answer, post

RETRY_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)  # after attempt 1, 2, …; then it failed
ATTEMPTS_MAX = len(RETRY_SECONDS) + 1
JITTER = 0.2
THROTTLED_SECONDS_MIN = 60  # after a 429, a 502 to 504 or no answer
CLAIM_MAX = 32
PARALLEL_POSTS_MAX = 8
LEASE = timedelta(minutes=5)
FAILING_MAX = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class Request:
    """One POST, ready to go."""

    delivery_id: int
    number: int
    scope: Scope
    url: str
    body: bytes
    headers: Mapping[str, str]


def run(*, now: datetime) -> int:
    """Post what is due, at most CLAIM_MAX deliveries; how many. Call it until it says 0."""
    with sql.durable():
        ids = [row[0] for row in sql.rows("webhooks", "claim_deliveries", _claim_values(now))]
    requests = [request for request in (_prepared(each, now) for each in sorted(ids)) if request is not None]
    if requests:
        with ThreadPoolExecutor(min(PARALLEL_POSTS_MAX, len(requests))) as pool:
            answers = list(pool.map(_posted, requests))
        for request, answer in zip(requests, answers, strict=True):
            _settle(request, answer, now)
    return len(ids)


def _claim_values(now: datetime) -> dict[str, object]:
    return {"now": now, "lease_ends": now + LEASE, "limit": CLAIM_MAX}


def _prepared(delivery_id: int, now: datetime) -> Request | None:
    """The signed request of a claimed delivery; None when its endpoint went away, which settles it."""
    delivery: Delivery = (
        Delivery.objects.across_environments("a claimed row by its primary key")
        .select_related("event", "endpoint")
        .get(pk=delivery_id)
    )
    if delivery.endpoint.status != Endpoint.Status.ACTIVE:
        with sql.durable():
            endpoints.skip_pending(endpoint=delivery.endpoint, now=now)
        return None
    scope = scope_by_id(delivery.environment_id)
    secrets = [decrypt(each.cipher) for each in rotation.live(endpoint=delivery.endpoint, now=now)]
    body = bytes(delivery.event.payload)
    headers = signed_headers(
        event_id=delivery.event.public_id,
        event_type=delivery.event.type,
        workspace=scope.workspace,
        body=body,
        secrets=secrets,
        attempt=delivery.attempts,
        timestamp=int(time.time()),
    )
    return Request(delivery.pk, delivery.attempts, scope, delivery.endpoint.url, body, headers)


def signed_headers(
    *,
    event_id: str,
    event_type: str,
    workspace: str,
    body: bytes,
    secrets: Sequence[str],
    attempt: int,
    timestamp: int,
) -> dict[str, str]:
    """Lamba's headers and those of Standard Webhooks, over the same bytes.

    During a rotation `webhook-signature` carries one signature per live secret, newest first. Lamba's header has room
    for one: attempts take turns, so that a receiver that knows only one of the secrets is served by every other one.
    """
    moment = str(timestamp)
    turn = secrets[(attempt - 1) % len(secrets)]
    return {
        "Content-Type": "application/json",
        "User-Agent": "Lamba-Campaigns-Webhooks/1",
        "X-Lamba-Event": event_type,
        "X-Lamba-Tenant": workspace,
        "X-Lamba-Timestamp": moment,
        "X-Lamba-Signature": lamba_v1_signature(secret=turn, timestamp=moment, body=body),
        "webhook-id": event_id,
        "webhook-timestamp": moment,
        "webhook-signature": " ".join(
            standard_signature(secret=each, message_id=event_id, timestamp=moment, body=body) for each in secrets
        ),
    }


def _posted(request: Request) -> Answer:
    return post(url=request.url, body=request.body, headers=request.headers, scope=request.scope)


def _settle(request: Request, answer: Answer, now: datetime) -> None:
    """Write the attempt down and decide what follows, under the endpoint's lock."""
    with sql.durable():
        delivery: Delivery = (
            Delivery.objects.across_environments("a claimed row by its primary key")
            .select_for_update(of=("self", "endpoint"))
            .select_related("endpoint")
            .get(pk=request.delivery_id)
        )
        _log_attempt(delivery, request, answer)
        if delivery.attempts != request.number or delivery.status != Delivery.Status.PENDING:
            return  # the lease ran out and another worker has tried since, or somebody disabled the endpoint
        settled_at = answer.started_at + timedelta(milliseconds=answer.duration_ms)
        delivery.response_code, delivery.detail = answer.code, answer.detail
        if answer.ok:
            delivery.status, delivery.settled_at = Delivery.Status.DELIVERED, settled_at
        elif delivery.attempts >= ATTEMPTS_MAX:
            delivery.status, delivery.settled_at = Delivery.Status.FAILED, settled_at
        else:
            pause = pause_seconds(attempt=delivery.attempts, answer=answer)
            delivery.next_attempt_at = settled_at + timedelta(seconds=pause)
        delivery.save(update_fields=["response_code", "detail", "status", "settled_at", "next_attempt_at"])
        _note_health(request.scope, delivery.endpoint, answer, settled_at)


def _log_attempt(delivery: Delivery, request: Request, answer: Answer) -> None:
    DeliveryAttempt(
        environment_id=delivery.environment_id,
        delivery=delivery,
        number=request.number,
        started_at=answer.started_at,
        duration_ms=answer.duration_ms,
        response_code=answer.code,
        excerpt=answer.excerpt,
        detail=answer.detail,
    ).save(force_insert=True)


def pause_seconds(*, attempt: int, answer: Answer) -> float:
    """How long to wait after this failed attempt: the ladder, what the receiver asked for, and a little chance."""
    base = float(RETRY_SECONDS[attempt - 1])
    if answer.throttled:
        base = max(base, THROTTLED_SECONDS_MIN)
    if answer.retry_after is not None:
        return min(max(answer.retry_after, base), 2 * base)
    return base * (1 + random.uniform(-JITTER, JITTER))  # noqa: S311 - spreads retries, guards nothing


def _note_health(scope: Scope, endpoint: Endpoint, answer: Answer, now: datetime) -> None:
    if answer.ok:
        if endpoint.failing_since is not None:
            endpoint.failing_since = None
            endpoint.save(update_fields=["failing_since"])
        return
    if answer.gone:
        endpoints.disable(scope=scope, actor=SYSTEM, endpoint=endpoint, reason=answer.detail, now=now)
    elif endpoint.failing_since is None:
        endpoint.failing_since = now
        endpoint.save(update_fields=["failing_since"])
    elif now - endpoint.failing_since >= FAILING_MAX:
        reason = f"Every delivery has failed for {FAILING_MAX.days} days."
        endpoints.disable(scope=scope, actor=SYSTEM, endpoint=endpoint, reason=reason, now=now)
