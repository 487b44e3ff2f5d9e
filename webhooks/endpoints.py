"""Endpoints: made, changed and deleted with an audit entry each. A secret is shown when it is made, and never again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, Stale
from lamba_campaigns.lib.secrets import decrypt
from projects.scoping import Actor, Scope
from webhooks import catalog, directory, outbox, rotation, schemes, versions
from webhooks.addresses import require_reachable
from webhooks.models import Delivery, Endpoint

ENDPOINTS_MAX = 50
NAME_LENGTH_MAX = 120
_ONLY_OUT = {"url", "event_types", "ordered", "api_version"}
_ONLY_IN = {"scheme"}


class EndpointNotActive(Conflict):
    code = "ENDPOINT_NOT_ACTIVE"


class TooManyEndpoints(Conflict):
    code = "TOO_MANY_ENDPOINTS"


class Changes(TypedDict, total=False):
    """What `update` may change; what is absent stays."""

    name: str
    url: str
    event_types: Sequence[str]
    status: Literal["active", "disabled"]
    scheme: str
    ordered: bool
    api_version: str


def create_inbound(
    *,
    scope: Scope,
    actor: Actor,
    name: str,
    kind: Literal["lamba", "provider"],
    scheme: str = schemes.DEFAULT,
    secret: str = "",
    now: datetime,
) -> tuple[Endpoint, str]:
    """A receiver for signed events of this environment, and its secret: the sender's own, or one made here."""
    scheme = _scheme(kind, scheme)
    text = rotation.usable(scheme=scheme, secret=secret)
    return _create(
        scope=scope,
        actor=actor,
        now=now,
        secret=text,
        direction="in",
        kind=kind,
        scheme=scheme,
        name=_name(name),
        url="",
        event_types=[],
    )


def create_outbound(
    *,
    scope: Scope,
    actor: Actor,
    name: str,
    url: str,
    event_types: Sequence[str],
    ordered: bool = False,
    now: datetime,
) -> tuple[Endpoint, str]:
    """A customer's URL that gets events of `event_types` (empty: every public type), and its secret."""
    require_reachable(url=url, scope=scope)
    return _create(
        scope=scope,
        actor=actor,
        now=now,
        secret=rotation.usable(scheme=schemes.DEFAULT),
        direction="out",
        kind="customer",
        name=_name(name),
        url=url,
        event_types=_types(event_types),
        ordered=ordered,
    )


def update(
    *, scope: Scope, actor: Actor, endpoint_id: str, expected_version: int, changes: Changes, now: datetime
) -> Endpoint:
    """Apply `changes` to the version the caller read. Stale when somebody was faster; enabling forgets the failures."""
    if "url" in changes:
        require_reachable(url=changes["url"], scope=scope)
    with sql.durable():
        endpoint = _expected(scope, endpoint_id, expected_version)
        before = _summary(endpoint)
        _apply(endpoint, changes, now)
        if _summary(endpoint) == before:
            return endpoint
        _save(endpoint, now)
        if endpoint.status != Endpoint.Status.ACTIVE:
            skip_pending(endpoint=endpoint, now=now)
        _record(scope, actor, "endpoint.updated", endpoint, now, before=before, after=_summary(endpoint))
        return endpoint


def retire(*, scope: Scope, actor: Actor, endpoint_id: str, expected_version: int, now: datetime) -> None:
    """Delete: nothing is sent there any more and its receiver answers 410. What it received and got sent stays."""
    with sql.durable():
        endpoint = _expected(scope, endpoint_id, expected_version)
        before = _summary(endpoint)
        endpoint.status = Endpoint.Status.RETIRED
        _save(endpoint, now)
        skip_pending(endpoint=endpoint, now=now)
        rotation.live(endpoint=endpoint, now=now).update(not_after=now)
        _record(scope, actor, "endpoint.deleted", endpoint, now, before=before)


def send_test(*, scope: Scope, actor: Actor, endpoint_id: str, now: datetime) -> str:
    """Send `endpoint.test` to one outgoing endpoint and return the event's id."""
    with sql.durable():
        endpoint = rotation.locked(scope=scope, endpoint_id=endpoint_id)
        if endpoint.direction != Endpoint.Direction.OUT or endpoint.status != Endpoint.Status.ACTIVE:
            raise EndpointNotActive("Only an active outgoing endpoint gets a test event.", next_step="Enable it first.")
        _record(scope, actor, "endpoint.tested", endpoint, now)
        return outbox.publish_to(
            scope=scope, endpoint=endpoint, type="endpoint.test", data={"endpoint": endpoint.public_id}, now=now
        )


def receiver_url(endpoint: Endpoint) -> str:
    """What Lamba or a mail provider is told to post to."""
    return directory.address_of(endpoint)


def disable(*, scope: Scope, actor: Actor, endpoint: Endpoint, reason: str, now: datetime) -> None:
    """Stop sending to a locked endpoint, with the reason on its page. Nothing happens when it is not active.

    The other endpoints hear of it as `endpoint.disabled`, and a mail to those who manage endpoints is due.
    """
    sql.require_transaction()
    if endpoint.status != Endpoint.Status.ACTIVE:
        return
    before = _summary(endpoint)
    endpoint.status, endpoint.disabled_reason = Endpoint.Status.DISABLED, reason
    endpoint.notice_due_at = now
    _save(endpoint, now)
    skip_pending(endpoint=endpoint, now=now)
    _record(scope, actor, "endpoint.updated", endpoint, now, before=before, after=_summary(endpoint), reason=reason)
    news = {"endpoint": endpoint.public_id, "name": endpoint.name, "reason": reason}
    outbox.publish(scope=scope, type="endpoint.disabled", data=news, now=now)


def skip_pending(*, endpoint: Endpoint, now: datetime) -> int:
    """Give up every delivery that waits for this endpoint; each can be sent again by hand later."""
    sql.require_transaction()
    waiting = Delivery.objects.across_environments("the deliveries of one endpoint, by its primary key").filter(
        environment_id=endpoint.environment_id, endpoint=endpoint, status=Delivery.Status.PENDING
    )
    return int(waiting.update(status=Delivery.Status.SKIPPED, detail="The endpoint is not active.", settled_at=now))


def _create(*, scope: Scope, actor: Actor, now: datetime, secret: str, **columns: Any) -> tuple[Endpoint, str]:
    with sql.durable():
        rows = Endpoint.objects.within(scope).exclude(status=Endpoint.Status.RETIRED)
        if rows.count() >= ENDPOINTS_MAX:
            raise TooManyEndpoints(
                f"An environment has at most {ENDPOINTS_MAX} endpoints.", next_step="Delete one that is not used."
            )
        endpoint = Endpoint(
            environment_id=scope.environment_id,
            api_version=catalog.API_VERSION,
            created_at=now,
            updated_at=now,
            **columns,
        )
        endpoint.save(force_insert=True)
        rotation.store(endpoint=endpoint, secret=secret, now=now)
        _record(scope, actor, "endpoint.created", endpoint, now, after=_summary(endpoint))
        return endpoint, secret


def _expected(scope: Scope, endpoint_id: str, version: int) -> Endpoint:
    endpoint = rotation.locked(scope=scope, endpoint_id=endpoint_id)
    if endpoint.version != version:
        raise Stale(
            f"This endpoint is at version {endpoint.version}; the change was made to version {version}.",
            next_step="Reload it and decide again.",
        )
    return endpoint


def _apply(endpoint: Endpoint, changes: Changes, now: datetime) -> None:
    """Put the changes onto the row, or refuse those of the other direction."""
    unused = _ONLY_OUT if endpoint.direction == Endpoint.Direction.IN else _ONLY_IN
    for name in sorted(unused & set(changes)):
        detail = f"An endpoint of direction {endpoint.direction} has no {name} of its own."
        raise Invalid(detail, problems=(FieldProblem(f"#/{name}", "unused", detail),))
    if "name" in changes:
        endpoint.name = _name(changes["name"])
    if "url" in changes:
        endpoint.url = changes["url"]
    if "event_types" in changes:
        endpoint.event_types = _types(changes["event_types"])
    if "ordered" in changes:
        endpoint.ordered = changes["ordered"]
    if "api_version" in changes:
        endpoint.api_version = _api_version(changes["api_version"])
    if "scheme" in changes:
        _switch_scheme(endpoint, changes["scheme"], now)
    if "status" in changes:
        endpoint.status = changes["status"]
        endpoint.disabled_reason = "" if changes["status"] == "active" else endpoint.disabled_reason
        endpoint.failing_since = endpoint.notice_due_at = None


def _switch_scheme(endpoint: Endpoint, scheme: str, now: datetime) -> None:
    """Only to a scheme that every live secret can be one of; there is no time in which both are believed."""
    endpoint.scheme = _scheme(endpoint.kind, scheme)
    for each in rotation.live(endpoint=endpoint, now=now):
        rotation.usable(scheme=scheme, secret=decrypt(each.cipher))


def _save(endpoint: Endpoint, now: datetime) -> None:
    endpoint.version += 1
    endpoint.updated_at = now
    endpoint.save()


def _name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= NAME_LENGTH_MAX:
        detail = f"A name has 1 to {NAME_LENGTH_MAX} characters."
        raise Invalid(detail, problems=(FieldProblem("#/name", "length", detail),))
    return name


def _scheme(kind: str, scheme: str) -> str:
    known = schemes.SCHEMES_OF[kind]
    if scheme not in known:
        detail = f"{scheme!r} is no scheme of this kind of sender; these are: {', '.join(known)}."
        raise Invalid(detail, problems=(FieldProblem("#/scheme", "unknown_scheme", detail),))
    return scheme


def _api_version(version: str) -> str:
    if version not in versions.VERSIONS:
        detail = f"{version!r} is no version of the payloads; these are: {', '.join(versions.VERSIONS)}."
        raise Invalid(detail, problems=(FieldProblem("#/apiVersion", "unknown_version", detail),))
    return version


def _types(names: Sequence[str]) -> list[str]:
    known = {each.name for each in catalog.public()}
    unknown = sorted(set(names) - known)
    if unknown:
        detail = f"These are no public event types: {', '.join(unknown)}."
        raise Invalid(
            detail,
            next_step="Choose from the event catalogue.",
            problems=(FieldProblem("#/eventTypes", "unknown_type", detail),),
        )
    return sorted(set(names))


def _summary(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "direction": endpoint.direction,
        "kind": endpoint.kind,
        "url": endpoint.url,
        "eventTypes": list(endpoint.event_types),
        "status": endpoint.status,
        **({"scheme": endpoint.scheme} if endpoint.direction == Endpoint.Direction.IN else _how_it_is_sent(endpoint)),
    }


def _how_it_is_sent(endpoint: Endpoint) -> dict[str, Any]:
    return {"ordered": endpoint.ordered, "apiVersion": endpoint.api_version}


def _record(scope: Scope, actor: Actor, action: str, endpoint: Endpoint, now: datetime, **more: Any) -> None:
    subject = chain.Subject("endpoint", endpoint.public_id, endpoint.name)
    chain.record(scope=scope, actor=actor, action=action, subject=subject, now=now, **more)
