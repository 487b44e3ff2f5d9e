"""The access of one environment to Lamba's API. The secret is encrypted at rest, and is never shown again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from audiences.backfill.client import Client, Refused, Throttled, Unreachable
from audiences.models import LambaConnection
from audit import chain
from lamba_campaigns.lib import secrets, sql
from lamba_campaigns.lib.errors import FieldProblem, Invalid, NotFound, Stale
from projects.scoping import Actor, Scope
from webhooks import addresses

PAGE_SIZE_MAX: Final = 1_000
HOSTS: Final = {
    "production": ("https://id.uselamba.com", "https://api.uselamba.com"),
    "sandbox": ("https://test.id.uselamba.com", "https://test.api.uselamba.com"),
}
_PATHS: Final = ("token_path", "members_path", "sms_path")
_URLS: Final = ("auth_url", "api_url")


@dataclass(frozen=True, slots=True)
class Access:
    """What an operator gives. An empty secret keeps the stored one."""

    auth_url: str
    api_url: str
    client_id: str
    client_secret: str = ""
    token_path: str = "/connect/token"  # noqa: S105 - a path
    members_path: str = "/v1/admin/members"
    sms_path: str = "/v1/admin/billing/addons/sms/status"
    cursor_parameter: str = "cursor"
    token_scope: str = ""
    page_size: int = 200


def find(*, scope: Scope) -> LambaConnection | None:
    found: LambaConnection | None = LambaConnection.objects.within(scope).first()
    return found


def get(*, scope: Scope) -> LambaConnection:
    found = find(scope=scope)
    if found is None:
        raise NotFound(
            "There is no access to Lamba's API in this environment.",
            next_step="Give the management client of this Project environment first.",
        )
    return found


def save(*, scope: Scope, actor: Actor, access: Access, state_version: int | None, now: datetime) -> LambaConnection:
    """Afterwards runs of this environment use this access. Stale if somebody was faster; None: there was none yet."""
    _require_right(scope, access)
    with sql.durable():
        rows = LambaConnection.objects.within(scope)
        found: LambaConnection | None = rows.select_for_update().first()
        if (found.state_version if found else None) != state_version:
            raise Stale("The access was changed since you opened it.", next_step="Load it again, then change it.")
        if found is None:
            if not access.client_secret:
                raise _wrong("client_secret", "Give the client's secret.")
            found = LambaConnection(environment_id=scope.environment_id, state_version=0)
        for name in (*_URLS, *_PATHS, "client_id", "cursor_parameter", "token_scope", "page_size"):
            setattr(found, name, getattr(access, name))
        if access.client_secret:
            found.secret_cipher, found.secret_hint = secrets.encrypt(access.client_secret), access.client_secret[-4:]
        found.state_version += 1
        found.updated_by, found.updated_at = actor.label[:200], now
        found.save()
        chain.record(
            scope=scope,
            actor=actor,
            action="backfill.connected",
            subject=chain.Subject("lamba_connection", found.public_id, found.api_url),
            now=now,
            after={"apiUrl": found.api_url, "clientId": found.client_id, "secretChanged": bool(access.client_secret)},
        )
        return found


def refresh_sms(*, scope: Scope, connection: LambaConnection, client: Client, now: datetime) -> None:
    """Keep what Lamba says of the SMS add-on, or why it says nothing. A courtesy: no run fails for it."""
    status, problem = connection.sms_status, ""
    try:
        status = dict(client.sms_status())
    except (Refused, Unreachable, Throttled) as refusal:
        problem = str(refusal)[:300]
    rows = LambaConnection.objects.within(scope).filter(pk=connection.pk)
    rows.update(sms_status=status, sms_problem=problem, sms_checked_at=now)


def _require_right(scope: Scope, access: Access) -> None:
    for name in _URLS:
        url = getattr(access, name)
        try:
            addresses.require_reachable(url=url, scope=scope)
        except Invalid as refusal:
            raise _wrong(name, refusal.detail) from None
        if urlsplit(url).path or urlsplit(url).query:
            raise _wrong(name, "Give scheme and host only, such as https://api.uselamba.com.")
    for name in _PATHS:
        path = getattr(access, name)
        if not path.startswith("/") or not path.isascii() or any(each in path for each in " ?#\\"):
            raise _wrong(name, "A path starts with / and holds no spaces and no query.")
    if not access.client_id.strip():
        raise _wrong("client_id", "Give the id of the management client.")
    if not access.cursor_parameter.isidentifier():
        raise _wrong("cursor_parameter", "Give the name of the parameter, such as cursor.")
    if not 1 <= access.page_size <= PAGE_SIZE_MAX:
        raise _wrong("page_size", f"A page has 1 to {PAGE_SIZE_MAX:,} members.")


def _wrong(field: str, detail: str) -> Invalid:
    return Invalid(detail, problems=(FieldProblem(f"#/{field}", "invalid", detail),))
