"""The form of a catalogue file. What is wrong with it is said at once, each with its place, before anything is used."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from lamba_campaigns.lib.errors import FieldProblem, Invalid
from limits.keys import CHANNELS, DIMENSIONS

Sheet = Mapping[str, Any]  # one version: version, effective_from, source, currency, plans, add_ons
PLAN_KEYS = {"id", "name", "price", "channels", "limits", "overage"}
ADD_ON_KEYS = {"sku", "name", "price", "plans"}
OVERAGE_KEYS = {
    "block": {"policy"},
    "allow": {"policy", "cap", "price_per_thousand"},
    "grace": {"policy", "grace_percent"},
}
COUNT_MAX = 10**12
GRACE_PERCENT_MAX = 1_000
NAME_LENGTH_MAX = 40
AUDIT_DAYS_MAX = 36_500


def split(file: Any) -> list[Sheet]:
    """The versions of one file, by effective date. Invalid names everything that is wrong."""
    problems = tuple(FieldProblem(pointer, "invalid", detail) for pointer, detail in _problems(file))
    if problems:
        words = " ".join(f"{each.pointer}: {each.detail}" for each in problems)
        raise Invalid(f"This is no catalogue. {words}", next_step="Mend the file and load it again.", problems=problems)
    found = [each | {"source": file["source"], "currency": file["currency"]} for each in file["catalogues"]]
    return sorted(found, key=lambda each: each["effective_from"])


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def as_json(sheet: Sheet) -> dict[str, Any]:
    """As it is stored and hashed: no dates, no numbers that a reader could round."""
    return {**sheet, "effective_from": sheet["effective_from"].isoformat()}


def from_json(stored: Mapping[str, Any]) -> Sheet:
    return {**stored, "effective_from": date.fromisoformat(stored["effective_from"])}


def is_count(value: Any) -> bool:
    """A whole number that a limit can be."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= COUNT_MAX


def _problems(file: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(file, dict) or set(file) != {"source", "currency", "catalogues"}:
        yield "#", "Say source, currency and catalogues, and nothing else."
        return
    for name in ("source", "currency"):
        if not isinstance(file[name], str) or not file[name].strip():
            yield f"#/{name}", "Say it in words."
    if not isinstance(file["catalogues"], list) or not file["catalogues"]:
        yield "#/catalogues", "List at least one version."
        return
    for number, sheet in enumerate(file["catalogues"]):
        yield from _sheet(f"#/catalogues/{number}", sheet)
    dates = [sheet.get("effective_from") for sheet in file["catalogues"] if isinstance(sheet, dict)]
    if len(set(map(str, dates))) != len(dates):
        yield "#/catalogues", "Two versions begin on the same day."


def _sheet(place: str, sheet: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(sheet, dict) or set(sheet) != {"version", "effective_from", "plans", "add_ons"}:
        yield place, "Say version, effective_from, plans and add_ons, and nothing else."
        return
    if not isinstance(sheet["version"], str) or not 0 < len(sheet["version"]) <= NAME_LENGTH_MAX:
        yield f"{place}/version", f"Use text of 1 to {NAME_LENGTH_MAX} characters, in quotes."
    if type(sheet["effective_from"]) is not date:
        yield f"{place}/effective_from", "Use a date: 2026-12-01. It begins at midnight UTC."
    if not isinstance(sheet["plans"], list) or not sheet["plans"] or not isinstance(sheet["add_ons"], list):
        yield place, "List the plans, smallest first, and the add-ons."
        return
    plans = [plan.get("id") for plan in sheet["plans"] if isinstance(plan, dict)]
    skus = [each.get("sku") for each in sheet["add_ons"] if isinstance(each, dict)]
    if len(set(map(str, plans))) != len(sheet["plans"]) or len(set(map(str, skus))) != len(sheet["add_ons"]):
        yield place, "Two plans or two add-ons have the same name."
    for number, plan in enumerate(sheet["plans"]):
        yield from _plan(f"{place}/plans/{number}", plan)
    for number, add_on in enumerate(sheet["add_ons"]):
        yield from _add_on(f"{place}/add_ons/{number}", add_on, plans)


def _plan(place: str, plan: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(plan, dict) or not PLAN_KEYS <= set(plan) <= PLAN_KEYS | {"audit_days"}:
        yield place, f"Say {', '.join(sorted(PLAN_KEYS))}, perhaps audit_days, and nothing else."
        return
    yield from _names(place, plan, ("id", "name"))
    yield from _money(f"{place}/price", plan["price"])
    if not isinstance(plan["limits"], dict) or set(plan["limits"]) != set(DIMENSIONS):
        yield f"{place}/limits", f"Say every limit once: {', '.join(DIMENSIONS)}."
    else:
        for key, value in plan["limits"].items():
            if value is not None and not is_count(value):
                yield f"{place}/limits/{key}", "Use a whole number, or null for no limit."
    if not isinstance(plan["channels"], list) or not set(map(str, plan["channels"])) <= set(CHANNELS):
        yield f"{place}/channels", f"Use some of: {', '.join(CHANNELS)}."
    yield from overage_problems(f"{place}/overage", plan["overage"])
    days = plan.get("audit_days")
    if days is not None and not (is_count(days) and 1 <= days <= AUDIT_DAYS_MAX):
        yield f"{place}/audit_days", f"Use 1 to {AUDIT_DAYS_MAX:,} days, or null for ever."


def overage_problems(place: str, given: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with an overage policy; also for one that is agreed for a workspace."""
    policy = given.get("policy") if isinstance(given, dict) else None
    if policy not in OVERAGE_KEYS:
        yield f"{place}/policy", f"Use one of: {', '.join(OVERAGE_KEYS)}."
        return
    if set(given) != OVERAGE_KEYS[policy]:
        yield place, f"Say {', '.join(sorted(OVERAGE_KEYS[policy]))} for the policy {policy}."
        return
    if policy == "allow":
        if not is_count(given["cap"]):
            yield f"{place}/cap", "Use a whole number of messages per period."
        yield from _money(f"{place}/price_per_thousand", given["price_per_thousand"])
    percent = given.get("grace_percent", 1)
    if not is_count(percent) or not 1 <= percent <= GRACE_PERCENT_MAX:
        yield f"{place}/grace_percent", f"Use 1 to {GRACE_PERCENT_MAX}."


def _add_on(place: str, add_on: Any, plans: list[Any]) -> Iterator[tuple[str, str]]:
    if not isinstance(add_on, dict) or not ADD_ON_KEYS <= set(add_on) <= ADD_ON_KEYS | {"adds", "channel"}:
        yield place, f"Say {', '.join(sorted(ADD_ON_KEYS))}, and adds or channel."
        return
    yield from _names(place, add_on, ("sku", "name"))
    yield from _money(f"{place}/price", add_on["price"])
    if not isinstance(add_on["plans"], list) or not set(map(str, add_on["plans"])) <= set(map(str, plans)):
        yield f"{place}/plans", "Name plans of this version."
    adds, channel = add_on.get("adds", {}), add_on.get("channel", "")
    if not isinstance(adds, dict) or not set(adds) <= set(DIMENSIONS) or not all(map(is_count, adds.values())):
        yield f"{place}/adds", "Use limits with whole numbers."
    if channel and channel not in CHANNELS:
        yield f"{place}/channel", f"Use one of: {', '.join(CHANNELS)}."
    if not adds and not channel:
        yield place, "An add-on adds to a limit or opens a channel."


def _names(place: str, given: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in names:
        if not isinstance(given[name], str) or not 0 < len(given[name]) <= NAME_LENGTH_MAX:
            yield f"{place}/{name}", f"Use text of 1 to {NAME_LENGTH_MAX} characters."


def _money(place: str, given: Any) -> Iterator[tuple[str, str]]:
    try:
        good = isinstance(given, str) and Decimal(given).is_finite() and Decimal(given) >= 0
    except InvalidOperation:
        good = False
    if not good:
        yield place, 'Use an amount in quotes, such as "29.00".'
