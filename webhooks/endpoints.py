"""Endpoints: made, changed and deleted with an audit entry each. A secret is shown when it is made, and never again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, Stale
from projects.scoping import Actor, Scope
from webhooks import catalog, directory, outbox, rotation
from webhooks.addresses import require_reachable
from webhooks.models import Delivery, Endpoint

ENDPOINTS_MAX = 50
NAME_LENGTH_MAX = 120


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


def create_inbound(
    *, scope: Scope, actor: Actor, name: str, kind: Literal["lamba", "provider"], now: datetime
) -> tuple[Endpoint, str]:
    """A receiver for signed events of this environment, and its secret."""
    return _create(
        scope=scope, actor=actor, now=now, direction="in", kind=kind, name=_name(name), url="", event_types=[]
    )


def create_outbound(
    *, scope: Scope, actor: Actor, name: str, url: str, event_types: Sequence[str], now: datetime
) -> tuple[Endpoint, str]:
    """A customer's URL that gets events of `event_types` (empty: every public type), and its secret."""
    require_reachable(url=url, scope=scope)
    return _create(
        scope=scope,
        actor=actor,
        now=now,
        direction="out",
        kind="customer",
        name=_name(name),
        url=url,
        event_types=_types(event_types),
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
        _apply(endpoint, changes)
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


def send_test(*, scope: Scope, endpoint_id: str, now: datetime) -> str:
    """Send `endpoint.test` to one outgoing endpoint and return the event's id."""
    with sql.durable():
        endpoint = rotation.locked(scope=scope, endpoint_id=endpoint_id)
        if endpoint.direction != Endpoint.Direction.OUT or endpoint.status != Endpoint.Status.ACTIVE:
            raise EndpointNotActive("Only an active outgoing endpoint gets a test event.", next_step="Enable it first.")
        return outbox.publish_to(
            scope=scope, endpoint=endpoint, type="endpoint.test", data={"endpoint": endpoint.public_id}, now=now
        )


def receiver_url(endpoint: Endpoint) -> str:
    """What Lamba or a mail provider is told to post to."""
    return directory.address_of(endpoint)


def disable(*, scope: Scope, actor: Actor, endpoint: Endpoint, reason: str, now: datetime) -> None:
    """Stop sending to a locked endpoint, with the reason on its page. Nothing happens when it is not active."""
    sql.require_transaction()
    if endpoint.status != Endpoint.Status.ACTIVE:
        return
    before = _summary(endpoint)
    endpoint.status, endpoint.disabled_reason = Endpoint.Status.DISABLED, reason
    _save(endpoint, now)
    skip_pending(endpoint=endpoint, now=now)
    _record(scope, actor, "endpoint.updated", endpoint, now, before=before, after=_summary(endpoint), reason=reason)


def skip_pending(*, endpoint: Endpoint, now: datetime) -> int:
    """Give up every delivery that waits for this endpoint; each can be sent again by hand later."""
    sql.require_transaction()
    waiting = Delivery.objects.across_environments("the deliveries of one endpoint, by its primary key").filter(
        environment_id=endpoint.environment_id, endpoint=endpoint, status=Delivery.Status.PENDING
    )
    return int(waiting.update(status=Delivery.Status.SKIPPED, detail="The endpoint is not active.", settled_at=now))


def _create(*, scope: Scope, actor: Actor, now: datetime, **columns: Any) -> tuple[Endpoint, str]:
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
        _, secret = rotation.new_secret(endpoint=endpoint, now=now)
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


def _apply(endpoint: Endpoint, changes: Changes) -> None:
    if endpoint.direction == Endpoint.Direction.IN and ({"url", "event_types"} & set(changes)):
        raise Invalid("An incoming endpoint has no address and no subscription of its own.")
    if "name" in changes:
        endpoint.name = _name(changes["name"])
    if "url" in changes:
        endpoint.url = changes["url"]
    if "event_types" in changes:
        endpoint.event_types = _types(changes["event_types"])
    if "status" in changes:
        endpoint.status = changes["status"]
        endpoint.disabled_reason = "" if changes["status"] == "active" else endpoint.disabled_reason
        endpoint.failing_since = None


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
    }


def _record(scope: Scope, actor: Actor, action: str, endpoint: Endpoint, now: datetime, **more: Any) -> None:
    subject = chain.Subject("endpoint", endpoint.public_id, endpoint.name)
    chain.record(scope=scope, actor=actor, action=action, subject=subject, now=now, **more)
