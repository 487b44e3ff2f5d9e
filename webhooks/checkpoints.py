"""Each signed checkpoint of an environment's audit chain leaves the house as an event, so that somebody else has it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from projects.scoping import Scope
from webhooks import outbox


def publish(*, scope: Scope | None, data: Mapping[str, Any], now: datetime) -> None:
    """Inside the checkpoint's own transaction. Chains of workspaces and of the platform belong to no environment."""
    if scope is not None:
        outbox.publish(scope=scope, type="audit.checkpoint", data=data, now=now)
