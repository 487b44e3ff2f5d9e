"""What can be bought: plans and add-ons as versioned data in catalogue.yaml, with source and effective date."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from lamba_campaigns.lib.errors import FieldProblem, Invalid
from limits.keys import CHANNELS, DIMENSIONS

OveragePolicy = Literal["block", "allow", "grace"]


@dataclass(frozen=True, slots=True)
class Overage:
    """Past the included email volume: refused, sold up to `cap` per period, or forgiven by a percentage."""

    policy: OveragePolicy = "block"
    cap: int = 0  # messages per period under `allow`
    price_per_thousand: Decimal = Decimal(0)
    grace_percent: int = 0  # once per period under `grace`


@dataclass(frozen=True, slots=True)
class Plan:
    id: str
    name: str
    rank: int  # 0 is the smallest
    price: Decimal  # per month
    limits: Mapping[str, int | None]  # None is unlimited
    channels: frozenset[str]
    overage: Overage


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


def at(moment: datetime) -> Catalogue:
    """The catalogue in force at `moment`; the first one for any time before it."""
    found = [each for each in _all() if each.effective_from <= moment]
    return found[-1] if found else _all()[0]


def _unknown(field: str, given: str, known: Mapping[str, Any]) -> Invalid:
    detail = f"There is no {field} {given!r}."
    return Invalid(
        detail,
        next_step=f"Use one of: {', '.join(known)}.",
        problems=(FieldProblem(f"#/{field}", "unknown", detail),),
    )


@cache
def _all() -> tuple[Catalogue, ...]:
    raw = yaml.safe_load(resources.files("limits").joinpath("catalogue.yaml").read_text())
    found = [_read(each, raw["source"], raw["currency"]) for each in raw["catalogues"]]
    return tuple(sorted(found, key=lambda each: each.effective_from))


def _read(raw: Mapping[str, Any], source: str, currency: str) -> Catalogue:
    day: date = raw["effective_from"]
    plans = {each["id"]: _plan(rank, each) for rank, each in enumerate(raw["plans"])}
    add_ons = {each["sku"]: _add_on(each, plans) for each in raw["add_ons"]}
    return Catalogue(raw["version"], datetime.combine(day, time(), UTC), source, currency, plans, add_ons)


def _plan(rank: int, raw: Mapping[str, Any]) -> Plan:
    assert set(raw["limits"]) == set(DIMENSIONS), f"{raw['id']} must say every limit"
    assert set(raw["channels"]) <= set(CHANNELS)
    given = raw["overage"]
    overage = Overage(
        given["policy"],
        given.get("cap", 0),
        Decimal(given.get("price_per_thousand", "0")),
        given.get("grace_percent", 0),
    )
    channels = frozenset(raw["channels"])
    return Plan(raw["id"], raw["name"], rank, Decimal(raw["price"]), raw["limits"], channels, overage)


def _add_on(raw: Mapping[str, Any], plans: Mapping[str, Plan]) -> AddOn:
    adds: Mapping[str, int] = raw.get("adds", {})
    assert set(adds) <= set(DIMENSIONS) and set(raw["plans"]) <= set(plans)
    return AddOn(raw["sku"], raw["name"], Decimal(raw["price"]), adds, raw.get("channel", ""), frozenset(raw["plans"]))
