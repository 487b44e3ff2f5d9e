"""At which share of a job's messages a stop rule warns and stops: the product's limits, an environment's, a campaign's.

The nearest document that names a rule decides about it: the campaign's, then the environment's, then ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamba_campaigns.lib.errors import FieldProblem

PERCENT_MIN: Final = 0.01
PERCENT_MAX: Final = 100.0


@dataclass(frozen=True, slots=True)
class Limit:
    """Percent of what was attempted."""

    warn: float
    stop: float


@dataclass(frozen=True, slots=True)
class Kind:
    """What REST, forms and pages call a rule of `breaker.RULES`."""

    code: str
    name: str
    label: str
    usual: Limit


# Complaints: Gmail's and Yahoo's limits for bulk mail. Bounces: where providers begin to review and to block senders.
KINDS: Final = (
    Kind("complaint_rate", "complaintRate", "Reported as spam", Limit(0.1, 0.3)),
    Kind("bounce_rate", "bounceRate", "Bounced", Limit(5, 10)),
    Kind("error_rate", "errorRate", "Refused or failed", Limit(10, 25)),
    Kind("uncertain_rate", "uncertainRate", "Uncertain", Limit(5, 15)),
)
_KINDS: Final = {kind.name: kind for kind in KINDS}
Document = Mapping[str, Mapping[str, float]]  # name -> {"warn", "stop"}; what it does not name, it leaves as it is


def read(given: Any, *, pointer: str, problems: list[FieldProblem]) -> dict[str, dict[str, float]]:
    """The document in one spelling, in the order of the rules; every wrong place is added to `problems`."""
    if not isinstance(given or {}, Mapping):
        problems.append(FieldProblem(pointer, "shape", "Use {rule: {warn, stop}} with percent."))
        return {}
    found = {name: _limit(value, f"{pointer}/{name}", problems) for name, value in (given or {}).items()}
    for name in sorted(set(found) - set(_KINDS)):
        detail = f"There is no stop rule {name[:40]!r}; there are {', '.join(_KINDS)}."
        problems.append(FieldProblem(f"{pointer}/{name[:40]}", "unknown", detail))
    return {name: {"warn": limit.warn, "stop": limit.stop} for name in _KINDS if (limit := found.get(name))}


def combined(*documents: Document) -> dict[str, Limit]:
    """Rule code -> what holds. Later documents win."""
    found = {kind.code: kind.usual for kind in KINDS}
    for document in documents:
        found |= {_KINDS[name].code: Limit(**values) for name, values in document.items()}
    return found


def sentences(document: Document) -> list[str]:
    """What a document rules, in plain words."""
    return [
        f"{_KINDS[name].label.lower()}: warn at {said(values['warn'])}, stop at {said(values['stop'])}"
        for name, values in document.items()
    ]


def said(percent: float) -> str:
    """As in "0.3%" or "10.0%"."""
    return f"{percent:.1f}%" if percent >= 0.1 else f"{percent:g}%"


def _limit(value: Any, pointer: str, problems: list[FieldProblem]) -> Limit | None:
    if not isinstance(value, Mapping) or set(value) != {"warn", "stop"} or not all(map(_is_percent, value.values())):
        detail = f"Use {{warn, stop}} with percent from {PERCENT_MIN:g} to {PERCENT_MAX:g}."
        problems.append(FieldProblem(pointer, "range", detail))
        return None
    found = Limit(float(value["warn"]), float(value["stop"]))
    if found.warn > found.stop:
        problems.append(FieldProblem(f"{pointer}/warn", "order", "A warning comes before the stop: use a lower limit."))
        return None
    return found


def _is_percent(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and PERCENT_MIN <= value <= PERCENT_MAX
