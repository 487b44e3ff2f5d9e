"""A refused attempt is evidence too. It is written after the rollback, so the refusal can't take it away."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import DomainError
from projects.scoping import Actor, Scope


@contextmanager
def recording(*, scope: Scope, actor: Actor, action: str, subject: chain.Subject, now: datetime) -> Iterator[None]:
    """Around an edge's own transaction: a DomainError leaves an entry with outcome `refused`, then goes on.

    A 404 is left out: nothing was there to be decided about. A plan limit (402) leaves a second entry, of the limit
    itself, so that all refusals of limits are found together, whatever was asked for.
    """
    try:
        yield
    except DomainError as error:
        if error.status != 404:
            with sql.durable():
                chain.record(
                    scope=scope,
                    actor=actor,
                    action=action,
                    subject=subject,
                    now=now,
                    after={"errorCode": error.code, "status": error.status, **_numbers(error)},
                    reason=error.detail,
                    outcome="refused",
                )
                if error.status == 402:
                    _record_limit(scope, actor, subject, error, now)
        raise


def _record_limit(scope: Scope, actor: Actor, asked: chain.Subject, error: DomainError, now: datetime) -> None:
    chain.record(
        scope=scope,
        actor=actor,
        action="limit.refused",
        subject=chain.Subject("limit", str(error.extra.get("limit", ""))),
        now=now,
        after={"asked": asked.id, **_numbers(error)},
        reason=error.detail,
    )


def _numbers(error: DomainError) -> dict[str, object]:
    """Which limit refused, and by how much: what a 402 says about itself."""
    return {name: error.extra[name] for name in ("limit", "allowed", "current", "plan") if name in error.extra}
