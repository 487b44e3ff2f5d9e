"""API keys of one environment. Nobody can hand out a permission that they do not have; a key is shown exactly once."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from audit import chain
from audit.chain import Subject
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Forbidden, Invalid, NotFound
from projects import api_keys
from projects.access import Access
from projects.models import ApiKey, Environment
from projects.roles import PERMISSIONS
from projects.scoping import Actor, Scope

KEY_LIFE_MIN = timedelta(hours=1)
KEY_LIFE_MAX = timedelta(days=366)
KEY_LIFE_DEFAULT = timedelta(days=90)
KEYS_LIVE_MAX = 50  # of one environment


def listed(*, scope: Scope) -> Sequence[ApiKey]:
    """Every key of the environment, newest first; expired and revoked ones too, as evidence."""
    return list(ApiKey.objects.within(scope).order_by("-pk"))


def state_of(key: ApiKey, *, now: datetime) -> str:
    """live, revoked or expired."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at <= now else "live"


def find(*, scope: Scope, key: str) -> ApiKey:
    """The key with this `key_…` id. NotFound for one of another environment too."""
    found: ApiKey | None = ApiKey.objects.within(scope).filter(public_id=key).first()
    if found is None:
        raise NotFound("There is no such key in this environment.", next_step="Load the list of keys again.")
    return found


def create(
    *, access: Access, name: str, permissions: Sequence[str], life: timedelta, now: datetime
) -> tuple[ApiKey, str]:
    """A live key of this environment and its text, which is stored nowhere."""
    wanted = _allowed(access, permissions)
    if not KEY_LIFE_MIN <= life <= KEY_LIFE_MAX:
        detail = f"A key lives between 1 hour and {KEY_LIFE_MAX.days} days."
        raise Invalid(detail, problems=(FieldProblem("#/expiresAt", "out_of_range", detail),))
    scope = access.scope
    text, parts = api_keys.generate(environment=scope.environment)
    with sql.durable():
        _leave_room(scope, now)
        key = ApiKey.objects.create(
            environment_id=scope.environment_id,
            name=name,
            key_id=parts.key_id,
            secret_hash=api_keys.hash_secret(parts.secret),
            permissions=wanted,
            created_by=access.actor.label,
            created_at=now,
            expires_at=now + life,
        )
        after = {"permissions": wanted, "expiresAt": key.expires_at.isoformat()}
        _record(scope, access.actor, "key.created", key, now, after=after)
    return key, text


def revoke(*, scope: Scope, actor: Actor, key: str, now: datetime) -> ApiKey:
    """The key opens nothing from this moment on. Revoking twice changes nothing."""
    with sql.durable():
        found = find(scope=scope, key=key)
        moved = ApiKey.objects.within(scope).filter(pk=found.pk, revoked_at=None).update(revoked_at=now)
        if moved:
            found.revoked_at = now
            _record(scope, actor, "key.revoked", found, now)
        return found


def _allowed(access: Access, permissions: Sequence[str]) -> list[str]:
    """The permissions in the order of the table, each once."""
    unknown = sorted(set(permissions) - set(PERMISSIONS))
    if unknown or not permissions:
        detail = f"Unknown: {', '.join(unknown)}." if unknown else "A key needs at least one permission."
        raise Invalid(detail, problems=(FieldProblem("#/permissions", "invalid_choice", detail),))
    beyond = sorted(set(permissions) - access.permissions)
    if beyond:
        raise Forbidden(
            f"You can't hand out what you do not have here: {', '.join(beyond)}.",
            next_step="Leave those permissions out, or ask somebody who has them.",
        )
    return [permission for permission in PERMISSIONS if permission in permissions]


def _leave_room(scope: Scope, now: datetime) -> None:
    """Counts under the environment's row lock, so that two at once can't pass the limit together."""
    Environment.objects.select_for_update().get(pk=scope.environment_id)
    live = ApiKey.objects.within(scope).filter(Q(revoked_at=None), expires_at__gt=now).count()
    if live >= KEYS_LIVE_MAX:
        raise Conflict(
            f"This environment has {live} live keys; {KEYS_LIVE_MAX} is the most.",
            next_step="Revoke one that nobody uses.",
        )


def _record(
    scope: Scope, actor: Actor, action: str, key: ApiKey, now: datetime, after: Mapping[str, object] | None = None
) -> None:
    subject = Subject("api_key", key.public_id, key.name)
    chain.record(scope=scope, actor=actor, action=action, subject=subject, now=now, after=after)
