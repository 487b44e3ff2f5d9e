"""Outgoing events: claim, sign, post, write down. The retry ladder stands in rows; no transaction is open meanwhile.

Every attempt carries the same id and the same bytes under a fresh timestamp. Only a 2xx counts as taken.
"""

import json
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from lamba_campaigns.lib import sql
from lamba_campaigns.lib.ids import new_id
from lamba_campaigns.lib.secrets import decrypt
from lamba_campaigns.lib.signing import lamba_v1_signature, standard_signature
from projects.access import scope_by_id
from projects.scoping import SYSTEM, Scope
from webhooks import endpoints, rotation, versions
from webhooks.connections import Sessions
from webhooks.models import Delivery, DeliveryAttempt, Endpoint
from webhooks.posting import Answer, post

RETRY_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)  # after attempt 1, 2, …; then it failed
ATTEMPTS_MAX = len(RETRY_SECONDS) + 1
JITTER = 0.2
THROTTLED_SECONDS_MIN = 60  # after a 429, a 502 to 504 or no answer
CLAIM_MAX = 256
CLAIM_PER_ENDPOINT_MAX = 64  # so that one that hangs leaves room for the others
PARALLEL_POSTS_MAX = 32
SETTLE_SECONDS = 0.1  # answers that come within it are written down together
ORDERED_ATTEMPTS = 2  # of the earlier event; after their failure the later ones of an ordered endpoint go on
LEASE = timedelta(minutes=5)
FAILING_MAX = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class Request:
    """One POST, ready to go."""

    delivery_id: int
    endpoint_id: int
    number: int
    scope: Scope
    url: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Customer:
    """An active endpoint, and what its requests are signed by, the newest secret first."""

    endpoint: Endpoint
    scope: Scope
    secrets: Sequence[str]


def drain(*, seconds: float) -> int:
    """Post until nothing is due, or for so long; how many. Connections are kept from one claim to the next."""
    ends, total = time.monotonic() + seconds, 0
    with closing(Sessions()) as sessions, ThreadPoolExecutor(PARALLEL_POSTS_MAX) as pool:
        while claimed := _run(timezone.now(), sessions, pool):
            total += claimed
            if time.monotonic() >= ends:
                break
    return total


def run(*, now: datetime) -> int:
    """Post what is due, at most CLAIM_MAX deliveries; how many."""
    with closing(Sessions()) as sessions, ThreadPoolExecutor(PARALLEL_POSTS_MAX) as pool:
        return _run(now, sessions, pool)


def _run(now: datetime, sessions: Sessions, pool: ThreadPoolExecutor) -> int:
    """Answers are written down as they come, those of a tenth of a second together; no receiver waits for another's."""
    with sql.durable():
        rows = sql.rows("webhooks", "claim_deliveries", _claim_values(now))
    waiting = {pool.submit(_posted, each, sessions): each for each in _prepared(rows, now)}
    while waiting:
        done, _ = wait(waiting, timeout=SETTLE_SECONDS)
        if not done:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        _settle([(waiting.pop(each), each.result()) for each in done], now)
    return len(rows)


def _claim_values(now: datetime) -> dict[str, object]:
    return {
        "now": now,
        "lease_ends": now + LEASE,
        "limit": CLAIM_MAX,
        "per_endpoint": CLAIM_PER_ENDPOINT_MAX,
        "ordered_attempts": ORDERED_ATTEMPTS,
    }


def _prepared(rows: Sequence[sql.Row], now: datetime) -> list[Request]:
    """The signed requests of claimed deliveries; those whose endpoint went away are settled instead."""
    every = Endpoint.objects.across_environments("the endpoints of claimed rows, by their primary keys")
    customers: dict[int, Customer] = {}
    for endpoint in every.filter(pk__in={row[2] for row in rows}).order_by("pk"):
        if endpoint.status == Endpoint.Status.ACTIVE:
            secrets = [decrypt(each.cipher) for each in rotation.live(endpoint=endpoint, now=now)]
            customers[endpoint.pk] = Customer(endpoint, scope_by_id(endpoint.environment_id), secrets)
        else:
            with sql.durable():
                endpoints.skip_pending(endpoint=endpoint, now=now)
    return [_request(customers[row[2]], row) for row in rows if row[2] in customers]


def _request(customer: Customer, row: sql.Row) -> Request:
    delivery_id, number, endpoint_id, event_id, event_type, payload = row
    body = versions.written_for(bytes(payload), version=customer.endpoint.api_version)
    headers = signed_headers(
        event_id=event_id,
        event_type=event_type,
        workspace=customer.scope.workspace,
        body=body,
        secrets=customer.secrets,
        attempt=number,
        timestamp=int(time.time()),
    )
    return Request(delivery_id, endpoint_id, number, customer.scope, customer.endpoint.url, body, headers)


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


def _posted(request: Request, sessions: Sessions) -> Answer:
    return post(url=request.url, body=request.body, headers=request.headers, scope=request.scope, sessions=sessions)


def _settle(answered: Sequence[tuple[Request, Answer]], now: datetime) -> None:
    """What was taken, all at once; what failed, one by one, since each decides about its endpoint."""
    taken = [(request, answer) for request, answer in answered if answer.ok]
    if taken:
        with sql.durable():
            _log_attempts(taken)
            sql.binary_execute("webhooks", "settle_delivered", _delivered_values(taken))
            recovered = sorted({request.endpoint_id for request, _ in taken})
            sql.execute("webhooks", "endpoints_recovered", {"endpoint_ids": recovered})
    for request, answer in answered:
        if not answer.ok:
            _settle_failed(request, answer)


def _delivered_values(taken: Sequence[tuple[Request, Answer]]) -> dict[str, object]:
    return {
        "ids": [request.delivery_id for request, _ in taken],
        "numbers": [request.number for request, _ in taken],
        "codes": [answer.code for _, answer in taken],
        "settled_ats": [answer.ended_at for _, answer in taken],
    }


def _settle_failed(request: Request, answer: Answer) -> None:
    """Write the attempt down and decide what follows, under the endpoint's lock."""
    with sql.durable():
        delivery: Delivery = (
            Delivery.objects.across_environments("a claimed row by its primary key")
            .select_for_update(of=("self", "endpoint"), no_key=True)
            .select_related("endpoint")
            .get(pk=request.delivery_id)
        )
        _log_attempts([(request, answer)])
        if delivery.attempts != request.number or delivery.status != Delivery.Status.PENDING:
            return  # the lease ran out and another worker has tried since, or somebody disabled the endpoint
        delivery.response_code, delivery.detail = answer.code, answer.detail
        if delivery.attempts >= ATTEMPTS_MAX:
            delivery.status, delivery.settled_at = Delivery.Status.FAILED, answer.ended_at
        else:
            pause = pause_seconds(attempt=delivery.attempts, answer=answer)
            delivery.next_attempt_at = answer.ended_at + timedelta(seconds=pause)
        delivery.save(update_fields=["response_code", "detail", "status", "settled_at", "next_attempt_at"])
        _note_failure(request.scope, delivery.endpoint, answer, answer.ended_at)


def _log_attempts(answered: Sequence[tuple[Request, Answer]]) -> None:
    values = {
        "environment_ids": [request.scope.environment_id for request, _ in answered],
        "public_ids": [new_id(DeliveryAttempt.id_prefix) for _ in answered],
        "ids": [request.delivery_id for request, _ in answered],
        "numbers": [request.number for request, _ in answered],
        "started_ats": [answer.started_at for _, answer in answered],
        "durations": [answer.duration_ms for _, answer in answered],
        "request_headers": [json.dumps(request.headers) for request, _ in answered],
        "codes": [answer.code for _, answer in answered],
        "response_headers": [json.dumps(answer.headers) for _, answer in answered],
        "excerpts": [answer.excerpt for _, answer in answered],
        "details": [answer.detail for _, answer in answered],
    }
    sql.binary_execute("webhooks", "log_attempts", values)


def pause_seconds(*, attempt: int, answer: Answer) -> float:
    """How long to wait after this failed attempt: the ladder, what the receiver asked for, and a little chance."""
    base = float(RETRY_SECONDS[attempt - 1])
    if answer.throttled:
        base = max(base, THROTTLED_SECONDS_MIN)
    if answer.retry_after is not None:
        return min(max(answer.retry_after, base), 2 * base)
    return base * (1 + random.uniform(-JITTER, JITTER))  # noqa: S311 - spreads retries, guards nothing


def _note_failure(scope: Scope, endpoint: Endpoint, answer: Answer, now: datetime) -> None:
    if answer.gone:
        endpoints.disable(scope=scope, actor=SYSTEM, endpoint=endpoint, reason=answer.detail, now=now)
    elif endpoint.failing_since is None:
        endpoint.failing_since = now
        endpoint.save(update_fields=["failing_since"])
    elif now - endpoint.failing_since >= FAILING_MAX:
        reason = f"Every delivery has failed for {FAILING_MAX.days} days."
        endpoints.disable(scope=scope, actor=SYSTEM, endpoint=endpoint, reason=reason, now=now)
