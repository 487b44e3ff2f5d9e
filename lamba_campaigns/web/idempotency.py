"""`Idempotency-Key` on POST: the same key gets the same answer, once."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.http import HttpResponse, HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from lamba_campaigns.lib.errors import Conflict, Invalid
from lamba_campaigns.web.problems import problem_response
from lamba_campaigns.web.rest import RestView
from projects.models import IdempotencyRecord

IDEMPOTENCY_KEPT = timedelta(hours=24)
IDEMPOTENCY_LEASE = timedelta(seconds=60)
IDEMPOTENCY_KEY_LENGTH_MAX = 255


def idempotent(handler: Callable[..., Response]) -> Callable[..., HttpResponseBase]:
    """For POST methods: a request with an `Idempotency-Key` seen before gets the first answer again.

    Same key with another body is 422, while the first still runs 409. A 5xx forgets the key. Keys live 24 hours.
    """

    def wrapper(self: RestView, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        key = request.headers.get("Idempotency-Key", "").strip().strip('"')
        if not key:
            return handler(self, request, *args, **kwargs)
        if len(key) > IDEMPOTENCY_KEY_LENGTH_MAX:
            raise Invalid(f"Idempotency-Key may have {IDEMPOTENCY_KEY_LENGTH_MAX} characters.")
        record, earlier = _claim_key(self, request, key)
        if earlier is not None:
            return earlier
        try:
            answer = handler(self, request, *args, **kwargs)
        except Exception as error:
            refusal = problem_response(error, {"request": request})
            if refusal is None or refusal.status_code >= 500:
                _forget_key(record)
                raise
            answer = refusal
        _keep_answer(self, request, record, answer)
        return answer

    wrapper.__name__, wrapper.__doc__ = handler.__name__, handler.__doc__
    return wrapper


def _claim_key(view: RestView, request: Request, key: str) -> tuple[IdempotencyRecord, HttpResponse | None]:
    now = timezone.now()
    body = request._request.body if hasattr(request._request, "_body") else b""
    fingerprint = hashlib.sha256(
        f"{request.method} {request.path}\n".encode() + (body or repr(request.data).encode())
    ).digest()
    mine = IdempotencyRecord(
        environment_id=view.scope.environment_id,
        caller=view.actor.id,
        key=key,
        fingerprint=fingerprint,
        locked_until=now + IDEMPOTENCY_LEASE,
        expires_at=now + IDEMPOTENCY_KEPT,
    )
    records = IdempotencyRecord.objects.within(view.scope).filter(caller=view.actor.id, key=key)
    with transaction.atomic():
        records.filter(expires_at__lte=now).delete()
        IdempotencyRecord.objects.bulk_create([mine], ignore_conflicts=True)
        found = records.select_for_update().get()
        if found.public_id == mine.public_id:
            return found, None
        if bytes(found.fingerprint) != fingerprint:
            raise Invalid(
                f"Idempotency-Key {key!r} was used for another request.", next_step="Use a new key for a new request."
            )
        if found.status is None and found.locked_until > now:
            raise Conflict(
                f"The first request with Idempotency-Key {key!r} still runs.", next_step="Ask again in a few seconds."
            )
        if found.status is None:
            records.update(locked_until=now + IDEMPOTENCY_LEASE)
            return found, None
    replay = HttpResponse(bytes(found.body or b""), status=found.status, content_type=found.content_type)
    replay.headers["Idempotency-Replayed"] = "true"
    return found, replay


def _keep_answer(view: RestView, request: Request, record: IdempotencyRecord, answer: Response) -> None:
    rendered = view.finalize_response(request, answer).render()
    IdempotencyRecord.objects.within(view.scope).filter(pk=record.pk).update(
        status=rendered.status_code, body=rendered.content, content_type=rendered["Content-Type"]
    )


def _forget_key(record: IdempotencyRecord) -> None:
    IdempotencyRecord.objects.across_environments("one row by its primary key").filter(pk=record.pk).delete()
