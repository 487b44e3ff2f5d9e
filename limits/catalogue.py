"""What can be bought: plans and add-ons as versioned data, with source and effective date. A published version stands.

The shipped catalogue.yaml is in force until the first version that `manage.py plans_load` published begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final, Literal

import yaml

from audit.retention import DAYS_WITHOUT_PLAN
from lamba_campaigns.lib.canonical import digest
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from limits import sheets
from limits.models import PlanCatalogue

OveragePolicy = Literal["block", "allow", "grace"]
ADD_ON_UNITS_MAX: Final = 100  # of one purchase
VERSIONS_KEPT: Final = 64  # read versions, in each process; they never change


@dataclass(frozen=True, slots=True)
class Overage:
    """Past the included email volume: refused, sold up to `cap` per period, or forgiven by a percentage."""

    policy: OveragePolicy = "block"
    cap: int = 0  # messages per period under `allow`
    price_per_thousand: Decimal = Decimal(0)
    grace_percent: int = 0  # of the limit, in each period, under `grace`


@dataclass(frozen=True, slots=True)
class Plan:
    id: str
    name: str
    rank: int  # 0 is the smallest
    price: Decimal  # per month
    limits: Mapping[str, int | None]  # None is unlimited
    channels: frozenset[str]
    overage: Overage
    audit_days: int | None  # how long contents of the audit trail are kept; None is for ever


@dataclass(frozen=True, slots=True)
class AddOn:
    """More of one limit, or one more channel, per unit and month."""

    sku: str
    name: str
    price: Decimal
    adds: Mapping[str, int]
    channel: str
    plans: frozenset[str]  # that may buy it


@dataclass(frozen=True, slots=True)
class Catalogue:
    version: str
    effective_from: datetime
    source: str
    currency: str
    plans: Mapping[str, Plan]
    add_ons: Mapping[str, AddOn]

    def plan(self, plan_id: str) -> Plan:
        """Invalid names the plans that exist."""
        if plan_id not in self.plans:
            raise _unknown("plan", plan_id, self.plans)
        return self.plans[plan_id]

    def add_on(self, sku: str) -> AddOn:
        if sku not in self.add_ons:
            raise _unknown("sku", sku, self.add_ons)
        return self.add_ons[sku]


@dataclass(frozen=True, slots=True)
class Published:
    """That a version exists, and from when it counts."""

    version: str
    effective_from: datetime
    digest: str  # hex SHA-256 of its content


def at(moment: datetime) -> Catalogue:
    """The catalogue in force at `moment`."""
    rows = PlanCatalogue.objects.filter(effective_from__lte=moment).order_by("effective_from")
    return in_force([Published(row.version, row.effective_from, row.digest) for row in rows], moment)


def in_force(published: list[Published], moment: datetime) -> Catalogue:
    """The newest of `published` that has begun at `moment`, else the shipped one."""
    begun = [each for each in published if each.effective_from <= moment]
    if not begun:
        return shipped()
    newest = max(begun, key=lambda each: each.effective_from)
    return _stored(newest.version, newest.digest)


@cache
def shipped() -> Catalogue:
    """The demo figures of this repository."""
    file = yaml.safe_load(resources.files("limits").joinpath("catalogue.yaml").read_text())
    return read(sheets.split(file)[0])


def read(sheet: sheets.Sheet) -> Catalogue:
    """One checked version as plans and add-ons."""
    day: date = sheet["effective_from"]
    plans = {each["id"]: _plan(rank, each) for rank, each in enumerate(sheet["plans"])}
    add_ons = {each["sku"]: _add_on(each) for each in sheet["add_ons"]}
    return Catalogue(sheet["version"], sheets.midnight(day), sheet["source"], sheet["currency"], plans, add_ons)


def overage_of(raw: Mapping[str, Any]) -> Overage:
    return Overage(
        raw["policy"], raw.get("cap", 0), Decimal(raw.get("price_per_thousand", "0")), raw.get("grace_percent", 0)
    )


def _unknown(field: str, given: str, known: Mapping[str, Any]) -> Invalid:
    detail = f"There is no {field} {given!r}."
    return Invalid(
        detail,
        next_step=f"Use one of: {', '.join(known)}.",
        problems=(FieldProblem(f"#/{field}", "unknown", detail),),
    )


@lru_cache(maxsize=VERSIONS_KEPT)
def _stored(version: str, expected: str) -> Catalogue:
    row = PlanCatalogue.objects.get(version=version)
    assert digest(row.content).hex() == expected == row.digest, f"catalogue {version} is not what was published"
    return read(sheets.from_json(row.content))


def _plan(rank: int, raw: Mapping[str, Any]) -> Plan:
    overage = overage_of(raw["overage"])
    channels = frozenset(raw["channels"])
    days: int | None = raw.get("audit_days", DAYS_WITHOUT_PLAN)
    return Plan(raw["id"], raw["name"], rank, Decimal(raw["price"]), raw["limits"], channels, overage, days)


def _add_on(raw: Mapping[str, Any]) -> AddOn:
    adds: Mapping[str, int] = raw.get("adds", {})
    return AddOn(raw["sku"], raw["name"], Decimal(raw["price"]), adds, raw.get("channel", ""), frozenset(raw["plans"]))
