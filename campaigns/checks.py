"""The shape of a preflight: one check is one reason why a launch may or may not go ahead, with the ways to mend it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

CheckState = Literal["pass", "warn", "block", "todo"]
TONES: Final[Mapping[CheckState, str]] = {"pass": "ok", "warn": "warn", "block": "bad", "todo": "todo"}


@dataclass(frozen=True, slots=True)
class Meter:
    """How much is asked for, and how much there is (None: no limit)."""

    requested: int
    available: int | None
    unit: str = "left"

    @property
    def over(self) -> int:
        return 0 if self.available is None else max(0, self.requested - self.available)


@dataclass(frozen=True, slots=True)
class Fix:
    """One way out. `kind` names it for machines; the console turns `to` into a link or a button."""

    kind: str  # upgrade, add_on, accept_overage, reduce_audience, wait, look, edit, publish, settings
    label: str
    permission: str
    to: Mapping[str, str] = field(default_factory=dict)  # what the kind needs: plan, sku, quantity, audience, section
    primary: bool = False
    facts: Sequence[tuple[str, str]] = ()  # what it costs and brings, for the dialog that asks first

    @property
    def dialog(self) -> str:
        """The name of the dialog that asks before money is spent; '' where a click is enough."""
        asks = {"upgrade": "plan", "add_on": "sku", "accept_overage": "quantity"}
        if self.kind not in asks or self.to.get("url"):
            return ""
        return f"fix-{self.kind}-{self.to[asks[self.kind]]}"


@dataclass(frozen=True, slots=True)
class Check:
    """`key` never changes; `label`, `detail` and `short` are for people."""

    key: str
    label: str
    state: CheckState
    detail: str
    meter: Meter | None = None
    fixes: Sequence[Fix] = ()

    @property
    def tone(self) -> str:
        return TONES[self.state]

    def as_json(self) -> dict[str, Any]:
        meter = {"requested": self.meter.requested, "available": self.meter.available} if self.meter else None
        return {
            "key": self.key,
            "label": self.label,
            "state": self.state,
            "detail": self.detail,
            "meter": meter,
            "fixes": [{"kind": fix.kind, "label": fix.label, "permission": fix.permission} for fix in self.fixes],
        }
