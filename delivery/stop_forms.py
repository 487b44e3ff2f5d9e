"""The fields of stop limits, and of limits by domain: for the environment's settings and for one campaign alike."""

from collections.abc import Mapping
from typing import Any, Final

from django import forms

from delivery.stop_limits import KINDS, PERCENT_MAX, PERCENT_MIN, Document

SIDES: Final = {"warn": "warn at", "stop": "stop at"}
# where `stop_limits.read` refuses something -> the field that it belongs to
STOP_PLACES: Final = {
    **{f"{kind.name}/{side}": f"{kind.name}_{side}" for kind in KINDS for side in SIDES},
    **{kind.name: f"{kind.name}_stop" for kind in KINDS},
}
STOP_NAMES: Final = tuple(f"{kind.name}_{side}" for kind in KINDS for side in SIDES)


class StopFields(forms.Form):
    """Two numbers for each rule, in percent. What is empty is as it is without them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for kind in KINDS:
            for side, words in SIDES.items():
                self.fields[f"{kind.name}_{side}"] = forms.FloatField(
                    label=f"{kind.label}, {words} %",
                    min_value=PERCENT_MIN,
                    max_value=PERCENT_MAX,
                    required=False,
                    help_text=f"Usually {getattr(kind.usual, side):g}%.",
                    widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
                )

    def stops(self) -> list[list[forms.BoundField]]:
        """The two fields of each rule."""
        return [[self[f"{kind.name}_{side}"] for side in SIDES] for kind in KINDS]

    def has_stops(self) -> bool:
        return any(self[name].value() not in (None, "") for name in STOP_NAMES)


def stop_initial(document: Document) -> dict[str, float]:
    """What the fields show of a document."""
    return {f"{name}_{side}": value for name, values in document.items() for side, value in values.items()}


def stop_values(values: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """The document of the fields. One of two numbers is refused by `stop_limits.read`."""
    found = {kind.name: {side: values.get(f"{kind.name}_{side}") for side in SIDES} for kind in KINDS}
    return {name: sides for name, sides in found.items() if any(value is not None for value in sides.values())}


def domains_of(text: str) -> dict[str, int]:
    """Domain -> messages a minute, from lines such as "gmail.com 600". ValidationError names the line."""
    found = {}
    for line in filter(str.strip, text.splitlines()):
        domain, _, rate = line.strip().replace(":", " ").partition(" ")
        if not (rate.strip().isascii() and rate.strip().isdigit() and len(rate.strip()) < 10):
            raise forms.ValidationError(f"{line.strip()[:60]!r} is no domain with a number, such as gmail.com 600.")
        found[domain] = int(rate)
    return found


def domain_lines(limits: Mapping[str, int]) -> str:
    """As `domains_of` reads it."""
    return "\n".join(f"{domain} {rate}" for domain, rate in limits.items())
