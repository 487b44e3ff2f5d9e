"""The part of the setup form about pace: plain fields in, the document of `delivery.pacing.rules` out."""

import re
from typing import Any, Final

from django import forms

from campaigns import pacing
from campaigns.models import Campaign
from campaigns.pacing import TOTAL_CAP_MAX
from delivery.pacing.rules import EVERY_DAY, PAST, Rules
from delivery.stop_forms import (
    STOP_NAMES,
    STOP_PLACES,
    StopFields,
    domain_lines,
    domains_of,
    stop_initial,
    stop_values,
)
from lamba_campaigns.lib.errors import FieldProblem

DAYS: Final = list(zip(map(str, EVERY_DAY), ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), strict=True))
ZONES: Final = [("environment", "In the time zone above"), ("recipient", "In each person's own time zone")]
NAMES: Final = (
    "total_cap", "opens", "closes", "days", "quiet_from", "quiet_until", "zone", "past", "waves", "domain_limits",
    *STOP_NAMES,
)  # fmt: skip
_FIELDS: Final = {
    "window/opens": "opens",
    "window/closes": "closes",
    "window/days": "days",
    "window": "opens",
    "quietHours/from": "quiet_from",
    "quietHours/until": "quiet_until",
    "quietHours": "quiet_until",
    "timeZone": "time_zone",
    **{f"stopLimits/{pointer}": name for pointer, name in STOP_PLACES.items()},
}


def _clock(label: str) -> forms.CharField:
    return forms.CharField(
        label=label, required=False, max_length=5, widget=forms.TextInput(attrs={"type": "time", "step": "300"})
    )


class PacingFields(StopFields):
    """Everything is optional: what is empty sends at any time, to everybody."""

    total_cap = forms.IntegerField(
        label="Send limit",
        min_value=1,
        max_value=TOTAL_CAP_MAX,
        required=False,
        help_text="So many people at most. Who stands behind it is cancelled, with that reason.",
    )
    opens = _clock("Opens")
    closes = _clock("Closes")
    days = forms.MultipleChoiceField(
        label="On", choices=DAYS, required=False, widget=forms.CheckboxSelectMultiple, initial=[day for day, _ in DAYS]
    )
    quiet_from = _clock("Quiet from")
    quiet_until = _clock("Quiet until")
    zone = forms.ChoiceField(
        label="Whose clock",
        choices=ZONES,
        required=False,
        widget=forms.RadioSelect,
        initial="environment",
        help_text="Somebody without a time zone counts as living in the one above.",
    )
    past = forms.ChoiceField(
        label="When somebody's window is over for the day",
        choices=list(PAST.items()),
        required=False,
        widget=forms.RadioSelect,
        initial="next_window",
    )
    waves = forms.CharField(
        label="Warm-up",
        max_length=400,
        required=False,
        help_text="People a day, such as 500, 2000, 10000. Days without anybody do not count; then everybody.",
    )
    domain_limits = forms.CharField(
        label="Limits by mailbox domain",
        max_length=4_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="One a line with messages a minute, such as gmail.com 600. All campaigns here share them.",
    )

    def clean_waves(self) -> list[int]:
        words = re.split(r"[,;\s]+", self.cleaned_data["waves"].strip())
        if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words if word):
            raise forms.ValidationError("Write numbers with commas between, such as 500, 2000, 10000.")
        return [int(word) for word in words if word]

    def clean_domain_limits(self) -> dict[str, int]:
        return domains_of(self.cleaned_data["domain_limits"])


def pacing_initial(campaign: Campaign) -> dict[str, Any]:
    """What the fields show of a draft."""
    found: Rules = pacing.rules_of(campaign)
    window, quiet = found.window, found.quiet
    return {
        "total_cap": campaign.total_cap,
        "opens": f"{window.start:%H:%M}" if window else "",
        "closes": f"{window.end:%H:%M}" if window else "",
        "days": [str(day) for day in found.days],
        "quiet_from": f"{quiet.start:%H:%M}" if quiet else "",
        "quiet_until": f"{quiet.end:%H:%M}" if quiet else "",
        "zone": "recipient" if found.local else "environment",
        "past": found.past,
        "waves": ", ".join(map(str, found.waves)),
        "domain_limits": domain_lines(found.limits),
        **stop_initial(found.stop_limits),
    }


def pacing_values(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of drafts.Setup. What the domain refuses it refuses by pointers, see `pacing_field`."""
    opens, closes = values.get("opens"), values.get("closes")
    days = [int(day) for day in values.get("days") or ()]
    quiet = {"from": values.get("quiet_from"), "until": values.get("quiet_until")}
    rules: dict[str, Any] = {
        "zone": values.get("zone") or "environment",
        "past": values.get("past") or "next_window",
        "waves": values.get("waves") or [],
        "domainLimits": values.get("domain_limits") or {},
        "stopLimits": stop_values(values),
    }
    if opens or closes or (days and len(days) < len(EVERY_DAY)):
        span = {"opens": opens, "closes": closes} if opens or closes else {"opens": "00:00", "closes": "00:00"}
        rules["window"] = span | {"days": days}
    if quiet["from"] or quiet["until"]:
        rules["quietHours"] = quiet
    return {"total_cap": values.get("total_cap"), "sending_rules": rules}


def pacing_stored(values: dict[str, Any], time_zone: str) -> dict[str, Any]:
    """The columns of Campaign for a form that may still have mistakes: as if nothing were ruled where it has."""
    read = values if isinstance(values.get("waves"), list) else values | {"waves": [], "domain_limits": {}}
    given, problems = pacing_values(read), list[FieldProblem]()
    zone = values.get("time_zone") or time_zone
    found = pacing.resolve_pacing(
        cap=given["total_cap"], document=given["sending_rules"], time_zone=zone, problems=problems
    )
    return found if not problems else {"total_cap": None, "sending_rules": {}}


def pacing_field(pointer: str) -> str | None:
    """The form field that a problem of the sending rules belongs to."""
    if pointer == "#/totalCap":
        return "total_cap"
    if not pointer.startswith("#/sendingRules/"):
        return None
    place = pointer.removeprefix("#/sendingRules/")
    first = place.partition("/")[0]
    return _FIELDS.get(place) or {"domainLimits": "domain_limits"}.get(first, first)
