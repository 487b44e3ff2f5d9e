"""effective(): plan + overrides + add-ons of a workspace at one moment. Pure arithmetic over a few rows."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from limits import catalogue, periods
from limits.catalogue import Catalogue, Overage, Plan
from limits.keys import DIMENSIONS
from limits.models import Subscription, WorkspaceAddOn
from limits.periods import Period
from projects.scoping import Scope

DEFAULT_PLAN: Final = "free"  # of a workspace that never chose one
DEFAULT_ANCHOR_DAY: Final = 1
DEFAULT_TIME_ZONE: Final = "UTC"


@dataclass(frozen=True, slots=True)
class Entitlements:
    """What a workspace may do at a moment. `limits` are totals: included (or overridden) plus what add-ons bring."""

    plan_id: str
    plan_name: str
    catalogue: Catalogue
    limits: dict[str, int | None]  # None is unlimited
    included: dict[str, int | None]
    channels: frozenset[str]
    overage: Overage
    anchor_day: int
    time_zone: str
    period: Period
    add_ons: dict[str, int] = field(default_factory=dict)  # sku -> units
    overrides: dict[str, int | None] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        return self.catalogue.plan(self.plan_id)

    def added(self, key: str) -> int:
        """How much of a limit comes from add-ons."""
        return sum(
            self.catalogue.add_ons[sku].adds.get(key, 0) * units
            for sku, units in self.add_ons.items()
            if sku in self.catalogue.add_ons
        )

    def on_plan(self, plan: Plan) -> dict[str, int | None]:
        """The limits if the workspace had `plan` and kept its add-ons. Overrides are agreed anew with a plan."""
        return {key: None if (limit := plan.limits[key]) is None else limit + self.added(key) for key in DIMENSIONS}


def effective(*, scope: Scope, at: datetime) -> Entitlements:
    """What the workspace of `scope` may do at `at`: now, or when a launch will happen."""
    return of_workspace(workspace_id=scope.workspace_id, at=at)


def of_workspace(*, workspace_id: int, at: datetime) -> Entitlements:
    subscription = current(workspace_id=workspace_id, at=at)
    sheet = catalogue.at(at)
    anchor_day = subscription.anchor_day if subscription else DEFAULT_ANCHOR_DAY
    time_zone = subscription.time_zone if subscription else DEFAULT_TIME_ZONE
    overrides: dict[str, int | None] = subscription.overrides if subscription else {}
    plan = sheet.plan(subscription.plan if subscription else DEFAULT_PLAN)
    units = _units(workspace_id, at)
    included = {key: overrides.get(key, plan.limits[key]) for key in DIMENSIONS}
    found = Entitlements(
        plan_id=plan.id,
        plan_name=plan.name,
        catalogue=sheet,
        limits={},
        included=included,
        channels=plan.channels | {sheet.add_ons[sku].channel for sku in units if sku in sheet.add_ons} - {""},
        overage=plan.overage,
        anchor_day=anchor_day,
        time_zone=time_zone,
        period=periods.period_at(anchor_day=anchor_day, time_zone=time_zone, at=at),
        add_ons=units,
        overrides=overrides,
    )
    found.limits.update({key: None if n is None else n + found.added(key) for key, n in included.items()})
    return found


def current(*, workspace_id: int, at: datetime) -> Subscription | None:
    """The subscription in force at `at`; None means the default plan."""
    return (
        Subscription.objects.filter(
            workspace_id=workspace_id, effective_from__lte=at, status=Subscription.Status.ACTIVE
        )
        .order_by("-effective_from")
        .first()
    )


def coming(*, workspace_id: int, now: datetime) -> Subscription | None:
    """The change of plan that is still ahead, if any."""
    return (
        Subscription.objects.filter(
            workspace_id=workspace_id, effective_from__gt=now, status=Subscription.Status.ACTIVE
        )
        .order_by("effective_from")
        .first()
    )


def _units(workspace_id: int, at: datetime) -> dict[str, int]:
    rows = WorkspaceAddOn.objects.filter(workspace_id=workspace_id, effective_from__lte=at).exclude(
        effective_to__lte=at
    )
    found: dict[str, int] = {}
    for sku, quantity in rows.values_list("sku", "quantity"):
        found[sku] = found.get(sku, 0) + quantity
    return found
