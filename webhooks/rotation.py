"""Signing secrets of an endpoint: made here, shown once, encrypted at rest, replaced with an overlap."""

import base64
import secrets as random
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, NotFound
from lamba_campaigns.lib.secrets import encrypt
from projects.scoping import Actor, Scope
from webhooks import schemes
from webhooks.models import Endpoint, EndpointSecret
from webhooks.schemes import Scheme

SECRET_BYTES = 32
SECRETS_LIVE_MAX = 3
OVERLAP_DEFAULT = timedelta(hours=24)
OVERLAP_MAX = timedelta(days=7)
GIVEN_LENGTH = (16, 4_096)  # characters of a secret that somebody else made
HINT_CHARACTERS = 4
USER_NAME = "lamba"  # of basic authentication, where a provider has no signature


class TooManySecrets(Conflict):
    code = "TOO_MANY_SECRETS"


class CurrentSecret(Conflict):
    code = "CURRENT_SECRET"


def usable(*, scheme: str, secret: str = "") -> str:
    """`secret`, if it can be one of this scheme's, or a fresh one when the sender has none of its own."""
    known = schemes.find(scheme)
    if not secret:
        if known.secret_is_theirs:
            raise _not_usable(f"{known.label} makes the secret itself.", f"Paste it here. {known.sentence}")
        return _made(known)
    wrong = schemes.secret_problem(scheme, secret) or _length_problem(secret)
    if wrong:
        raise _not_usable(wrong, "Copy it again from the sender's console.")
    return secret


def store(*, endpoint: Endpoint, secret: str, now: datetime) -> EndpointSecret:
    """Keep a current secret, which nobody can read again."""
    sql.require_transaction()
    row = EndpointSecret(
        environment_id=endpoint.environment_id,
        endpoint=endpoint,
        cipher=encrypt(secret),
        hint=secret[-HINT_CHARACTERS:],
        created_at=now,
    )
    row.save(force_insert=True)
    return row


def rotate(
    *,
    scope: Scope,
    actor: Actor,
    endpoint_id: str,
    overlap: timedelta = OVERLAP_DEFAULT,
    secret: str = "",
    now: datetime,
) -> tuple[EndpointSecret, str]:
    """A new current secret, made here or the sender's own; the one before stays valid for `overlap` (zero ends it now).

    TooManySecrets while three are live: wait until one ends, end one, or rotate without overlap.
    """
    with sql.durable():
        endpoint = locked(scope=scope, endpoint_id=endpoint_id)
        text = usable(scheme=endpoint.scheme, secret=secret)
        if overlap and live(endpoint=endpoint, now=now).count() >= SECRETS_LIVE_MAX:
            raise TooManySecrets(
                f"This endpoint has {SECRETS_LIVE_MAX} live secrets already.",
                next_step="End the oldest one, wait until it ends, or rotate without an overlap.",
            )
        ends = EndpointSecret.objects.within(scope).filter(endpoint=endpoint, not_after=None)
        if overlap:
            ends.update(not_after=now + min(overlap, OVERLAP_MAX))
        else:
            live(endpoint=endpoint, now=now).update(not_after=now)
        row = store(endpoint=endpoint, secret=text, now=now)
        after = {"secret": row.public_id, "overlapHours": int(overlap.total_seconds() // 3600)}
        _record(scope, actor, "secret.rotated", endpoint, now, after)
        return row, text


def end(*, scope: Scope, actor: Actor, endpoint_id: str, secret_id: str, now: datetime) -> None:
    """End a secret before its time. The current one stays: replace it by rotating."""
    with sql.durable():
        endpoint = locked(scope=scope, endpoint_id=endpoint_id)
        row = live(endpoint=endpoint, now=now).filter(public_id=secret_id).first()
        if row is None:
            raise NotFound("There is no such live secret.", next_step="Reload the endpoint: it may have ended already.")
        if row.not_after is None:
            raise CurrentSecret("This is the current secret.", next_step="Rotate it without an overlap instead.")
        live(endpoint=endpoint, now=now).filter(pk=row.pk).update(not_after=now)
        _record(scope, actor, "secret.ended", endpoint, now, {"secret": row.public_id})


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
        .select_for_update(no_key=True)  # who publishes meanwhile refers to this row and need not wait
        .filter(public_id=endpoint_id)
        .first()
    )
    if found is None:
        raise NotFound("There is no such endpoint.", next_step="Reload the list: it may have been deleted.")
    return found


def _made(scheme: Scheme) -> str:
    key = random.token_bytes(SECRET_BYTES)
    if scheme.basic:
        return f"{USER_NAME}:{base64.urlsafe_b64encode(key).decode().rstrip('=')}"
    return "whsec_" + base64.b64encode(key).decode()


def _length_problem(secret: str) -> str:
    low, high = GIVEN_LENGTH
    return (
        "" if low <= len(secret) <= high else f"A secret has {low} to {high:,} characters; this one has {len(secret)}."
    )


def _not_usable(detail: str, next_step: str) -> Invalid:
    return Invalid(detail, next_step=next_step, problems=(FieldProblem("#/secret", "secret", detail),))


def _record(
    scope: Scope, actor: Actor, action: str, endpoint: Endpoint, now: datetime, after: Mapping[str, object]
) -> None:
    subject = chain.Subject("endpoint", endpoint.public_id, endpoint.name)
    chain.record(scope=scope, actor=actor, action=action, subject=subject, now=now, after=after)
