"""Forms of endpoints and of running things again. They check shape; the domain decides."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django import forms

from webhooks import catalog, dead_letters, rotation, schemes
from webhooks.endpoints import NAME_LENGTH_MAX
from webhooks.models import EVENT_TYPE_LENGTH_MAX, Endpoint
from webhooks.reasons import REASON_LENGTH_MAX

OVERLAPS = {0: "End the old secret now", 1: "1 hour", 24: "24 hours", 168: "7 days"}
assert timedelta(hours=max(OVERLAPS)) <= rotation.OVERLAP_MAX


class InboundForm(forms.Form):
    """A door for somebody else's events."""

    name = forms.CharField(label="Name", max_length=NAME_LENGTH_MAX)
    kind = forms.ChoiceField(label="Sender", choices=[("lamba", "Lamba"), ("provider", "Mail provider")])
    scheme = forms.ChoiceField(
        label="Signature",
        required=False,
        choices=[(each.name, each.label) for each in schemes.SCHEMES.values()],
        help_text="How the sender proves itself. No other way is tried.",
    )
    secret = forms.CharField(
        label="The sender's secret",
        required=False,
        strip=False,
        max_length=rotation.GIVEN_LENGTH[1],
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
        help_text="Paste it where the sender makes the secret. Leave it empty and one is made here.",
    )

    def clean_scheme(self) -> str:
        return self.cleaned_data["scheme"] or schemes.DEFAULT


class OutboundForm(forms.Form):
    """Where our events go, and which."""

    name = forms.CharField(label="Name", max_length=NAME_LENGTH_MAX)
    url = forms.CharField(
        label="Address",
        max_length=2_000,
        widget=forms.URLInput({"placeholder": "https://", "autocomplete": "off", "spellcheck": "false"}),
    )
    event_types = forms.MultipleChoiceField(
        label="Events",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Tick none to get every public event, new ones too.",
    )
    ordered = forms.BooleanField(
        label="Keep the order: one event at a time, the earlier one first",
        required=False,
        help_text="Slower. An event that fails twice no longer holds up the later ones.",
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["event_types"].choices = [(each.name, each.name) for each in catalog.public()]  # type: ignore[attr-defined]


class NameForm(forms.Form):
    """What may change of an incoming endpoint."""

    name = forms.CharField(label="Name", max_length=NAME_LENGTH_MAX)
    scheme = forms.ChoiceField(
        label="Signature",
        choices=[(each.name, each.label) for each in schemes.SCHEMES.values()],
        help_text="From the moment you save, only this one is believed.",
    )


class VersionForm(forms.Form):
    """Which payload version an outgoing endpoint is pinned to; `version` is that of the row that was read."""

    to = forms.CharField(max_length=10)
    version = forms.IntegerField(min_value=1)


class RotateForm(forms.Form):
    overlap = forms.TypedChoiceField(
        label="Keep the old secret valid for", coerce=int, choices=list(OVERLAPS.items()), initial=24
    )
    secret = forms.CharField(
        label="The sender's new secret",
        required=False,
        strip=False,
        max_length=rotation.GIVEN_LENGTH[1],
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
        help_text="Leave it empty and one is made here.",
    )


class ReplayForm(forms.Form):
    """A range of published events for one endpoint."""

    since = forms.DateTimeField(label="From", widget=forms.DateTimeInput({"type": "datetime-local"}))
    until = forms.DateTimeField(label="To", required=False, widget=forms.DateTimeInput({"type": "datetime-local"}))
    reason = forms.CharField(label="Reason", max_length=REASON_LENGTH_MAX)


class DeadLetterForm(forms.Form):
    """Which events that were set aside are meant. A value that can't be read shows its error, and filters nothing."""

    state = forms.ChoiceField(required=False, choices=[(state, state) for state in dead_letters.STATES])
    type = forms.CharField(
        label="Type", required=False, max_length=EVENT_TYPE_LENGTH_MAX, widget=forms.TextInput({"list": "types"})
    )
    reason = forms.ChoiceField(
        label="Reason", required=False, choices=[("", "Every reason"), *dead_letters.REASON_WORDS.items()]
    )
    endpoint = forms.ChoiceField(label="Endpoint", required=False)
    since = forms.DateTimeField(label="From", required=False, widget=forms.DateTimeInput({"type": "datetime-local"}))
    until = forms.DateTimeField(label="To", required=False, widget=forms.DateTimeInput({"type": "datetime-local"}))

    def __init__(self, data: Mapping[str, Any], *, endpoints: Sequence[Endpoint]) -> None:
        super().__init__(data)
        self.endpoints = endpoints
        named = [(row.public_id, row.name) for row in endpoints]
        self.fields["endpoint"].choices = [("", "Every endpoint"), *named]  # type: ignore[attr-defined]

    def selection(self) -> dead_letters.Selection:
        self.is_valid()
        known = {name: value for name, value in self.cleaned_data.items() if value}
        return dead_letters.Selection(**({"state": ""} | known))


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=REASON_LENGTH_MAX)
