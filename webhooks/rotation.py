"""Signing secrets of an endpoint: made here, shown once, encrypted at rest, replaced with an overlap."""

import base64
import secrets as random
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, NotFound
from lamba_campaigns.lib.secrets import encrypt
from projects.scoping import Actor, Scope
from webhooks.models import Endpoint, EndpointSecret

SECRET_BYTES = 32
SECRETS_LIVE_MAX = 3
OVERLAP_DEFAULT = timedelta(hours=24)
OVERLAP_MAX = timedelta(days=7)


class TooManySecrets(Conflict):
    code = "TOO_MANY_SECRETS"


def new_secret(*, endpoint: Endpoint, now: datetime) -> tuple[EndpointSecret, str]:
    """Store a fresh current secret and return it with its text, which nobody can read again."""
    sql.require_transaction()
    text = "whsec_" + base64.b64encode(random.token_bytes(SECRET_BYTES)).decode()
    row = EndpointSecret(
        environment_id=endpoint.environment_id, endpoint=endpoint, cipher=encrypt(text), hint=text[-4:], created_at=now
    )
    row.save(force_insert=True)
    return row, text


def rotate(
    *, scope: Scope, actor: Actor, endpoint_id: str, overlap: timedelta = OVERLAP_DEFAULT, now: datetime
) -> tuple[EndpointSecret, str]:
    """A new current secret; the one before stays valid for `overlap` (zero ends it now).

    TooManySecrets while three are live: wait until one ends, or rotate without overlap.
    """
    with sql.durable():
        endpoint = locked(scope=scope, endpoint_id=endpoint_id)
        if overlap and live(endpoint=endpoint, now=now).count() >= SECRETS_LIVE_MAX:
            raise TooManySecrets(
                f"This endpoint has {SECRETS_LIVE_MAX} live secrets already.",
                next_step="Wait until the oldest one ends, or rotate without an overlap.",
            )
        ends = EndpointSecret.objects.within(scope).filter(endpoint=endpoint, not_after=None)
        if overlap:
            ends.update(not_after=now + min(overlap, OVERLAP_MAX))
        else:
            live(endpoint=endpoint, now=now).update(not_after=now)
        row, text = new_secret(endpoint=endpoint, now=now)
        chain.record(
            scope=scope,
            actor=actor,
            action="secret.rotated",
            subject=chain.Subject("endpoint", endpoint.public_id, endpoint.name),
            now=now,
            after={"secret": row.public_id, "overlapHours": int(overlap.total_seconds() // 3600)},
        )
        return row, text


def live(*, endpoint: Endpoint, now: datetime) -> QuerySet[EndpointSecret]:
    """The secrets that sign and verify now, newest first."""
    found: QuerySet[EndpointSecret] = (
        EndpointSecret.objects.across_environments("the secrets of one endpoint, by its primary key")
        .filter(
            Q(not_after=None) | Q(not_after__gt=now), environment_id=endpoint.environment_id, endpoint_id=endpoint.pk
        )
        .order_by("-id")
    )
    return found


def locked(*, scope: Scope, endpoint_id: str) -> Endpoint:
    """The endpoint, locked until commit. NotFound for another environment's and for deleted ones."""
    sql.require_transaction()
    found: Endpoint | None = (
        Endpoint.objects.within(scope)
        .exclude(status=Endpoint.Status.RETIRED)
        .select_for_update()
        .filter(public_id=endpoint_id)
        .first()
    )
    if found is None:
        raise NotFound("There is no such endpoint.", next_step="Reload the list: it may have been deleted.")
    return found
