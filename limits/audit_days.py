"""How long a workspace's plan keeps the contents of its audit trail: told to audit, which stands below limits."""

from datetime import datetime

from limits import entitlements


def days_of(workspace_id: int, at: datetime) -> int | None:
    """As the catalogue says; None is for ever."""
    return entitlements.of_workspace(workspace_id=workspace_id, at=at).plan.audit_days
