"""The seam to a billing system. The local one agrees to everything and charges nobody: it is what is shipped."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from limits.catalogue import AddOn, Plan


class Billing(Protocol):
    """Called inside the transaction of a change, so it must not use the network: it notes what is to be billed.

    Of an add-on it is told how many units more there are from then on; fewer is negative.
    """

    def plan_changed(self, *, workspace_id: int, plan: Plan, effective_from: datetime) -> str: ...

    def add_on_changed(self, *, workspace_id: int, add_on: AddOn, quantity: int, effective_from: datetime) -> str: ...


@dataclass(frozen=True, slots=True)
class LocalBilling:
    """Each change is agreed at once; the reference it returns stands in the audit entry."""

    name: str = "local"

    def plan_changed(self, *, workspace_id: int, plan: Plan, effective_from: datetime) -> str:
        return self.name

    def add_on_changed(self, *, workspace_id: int, add_on: AddOn, quantity: int, effective_from: datetime) -> str:
        return self.name


_billing: Billing = LocalBilling()


def use(billing: Billing) -> Billing:
    """Replace the billing system, once, in `AppConfig.ready()`. Returns the one before."""
    global _billing
    before, _billing = _billing, billing
    return before


def current() -> Billing:
    return _billing
