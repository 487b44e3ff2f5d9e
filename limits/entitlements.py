"""effective(): plan + overrides + add-ons of a workspace at one moment. One statement, and arithmetic over its row."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from lamba_campaigns.lib import sql
from limits import catalogue, periods
from limits.catalogue import Catalogue, Overage, Plan, Published
from limits.keys import DIMENSIONS
from limits.models import Subscription
from limits.periods import Period
from projects.scoping import Scope

DEFAULT_PLAN: Final = "free"  # of a workspace that never chose one
DEFAULT_ANCHOR_DAY: Final = 1
DEFAULT_TIME_ZONE: Final = "UTC"
OVERAGE: Final = "overage"  # among the overrides: another policy than the plan's


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
    overrides: dict[str, Any] = field(default_factory=dict)  # agreed by hand: limits, and "overage"

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


@dataclass(frozen=True, slots=True)
class Count:
    """A counter as it stands."""

    used: int = 0
    reserved: int = 0

    def shown(self, kind: str) -> "Count":
        """As it is told: of a gauge, what is held is what is there."""
        return Count(self.used + self.reserved) if kind == "gauge" else self


@dataclass(frozen=True, slots=True)
class Standing:
    """What a judgement looks at: the entitlements, and one pool's counters and warnings in their period."""

    entitlements: Entitlements
    counts: Mapping[str, Count]
    told: frozenset[tuple[str, int]]  # (limit, threshold)
    reservation: int | None  # that the purpose has


def effective(*, scope: Scope, at: datetime) -> Entitlements:
    """What the workspace of `scope` may do at `at`: now, or when a launch will happen."""
    return of_workspace(workspace_id=scope.workspace_id, at=at)


def of_workspace(*, workspace_id: int, at: datetime) -> Entitlements:
    return standing(workspace_id=workspace_id, at=at).entitlements


def standing(
    *, workspace_id: int, at: datetime, pool: str = "", environment_id: int = 0, purpose: str = ""
) -> Standing:
    """Nothing is locked: what is judged by it must be guarded when it is written."""
    params = {"workspace_id": workspace_id, "at": at, "pool": pool}
    row = sql.one("limits", "standing", params | {"environment_id": environment_id, "purpose": purpose})
    assert row is not None
    found = build(
        plan=row[0],
        overrides=json.loads(row[1] or "{}"),
        anchor_day=row[2] or DEFAULT_ANCHOR_DAY,
        time_zone=row[3] or DEFAULT_TIME_ZONE,
        add_ons=json.loads(row[4] or "{}"),
        published=[Published(*each) for each in zip(*(column or () for column in row[5:8]), strict=True)],
        at=at,
    )
    begins = (periods.ALWAYS, found.period.start)
    counters = zip(*(column or () for column in row[8:12]), strict=True)
    counts = {key: Count(used, reserved) for key, start, used, reserved in counters if start in begins}
    told = zip(*(column or () for column in row[12:15]), strict=True)
    return Standing(found, counts, frozenset((key, n) for key, start, n in told if start in begins), row[15])


def build(
    *,
    plan: str | None,
    overrides: Mapping[str, Any],
    anchor_day: int,
    time_zone: str,
    add_ons: Mapping[str, int],
    published: list[Published],
    at: datetime,
) -> Entitlements:
    """The arithmetic. A period keeps the catalogue that it began with; `plan` None is the default plan."""
    period = periods.period_at(anchor_day=anchor_day, time_zone=time_zone, at=at)
    sheet = catalogue.in_force(published, period.start)
    chosen = sheet.plan(plan or DEFAULT_PLAN)
    included = {key: overrides.get(key, chosen.limits[key]) for key in DIMENSIONS}
    found = Entitlements(
        plan_id=chosen.id,
        plan_name=chosen.name,
        catalogue=sheet,
        limits={},
        included=included,
        channels=chosen.channels | {sheet.add_ons[sku].channel for sku in add_ons if sku in sheet.add_ons} - {""},
        overage=catalogue.overage_of(overrides[OVERAGE]) if OVERAGE in overrides else chosen.overage,
        anchor_day=anchor_day,
        time_zone=time_zone,
        period=period,
        add_ons=dict(add_ons),
        overrides=dict(overrides),
    )
    found.limits.update({key: None if n is None else n + found.added(key) for key, n in included.items()})
    return found


def coming(*, workspace_id: int, now: datetime) -> Subscription | None:
    """The change of plan that is still ahead, if any."""
    return (
        Subscription.objects.filter(
            workspace_id=workspace_id, effective_from__gt=now, status=Subscription.Status.ACTIVE
        )
        .order_by("effective_from")
        .first()
    )
