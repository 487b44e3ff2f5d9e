"""Forms of endpoints and of running things again. They check shape; the domain decides."""

from datetime import timedelta

from django import forms

from webhooks import catalog, rotation
from webhooks.endpoints import NAME_LENGTH_MAX
from webhooks.reasons import REASON_LENGTH_MAX

OVERLAPS = {0: "End the old secret now", 1: "1 hour", 24: "24 hours", 168: "7 days"}
assert timedelta(hours=max(OVERLAPS)) <= rotation.OVERLAP_MAX


class InboundForm(forms.Form):
    """A door for somebody else's events."""

    name = forms.CharField(label="Name", max_length=NAME_LENGTH_MAX)
    kind = forms.ChoiceField(label="Sender", choices=[("lamba", "Lamba"), ("provider", "Mail provider")])


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

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["event_types"].choices = [(each.name, each.name) for each in catalog.public()]  # type: ignore[attr-defined]


class NameForm(forms.Form):
    name = forms.CharField(label="Name", max_length=NAME_LENGTH_MAX)


class RotateForm(forms.Form):
    overlap = forms.TypedChoiceField(
        label="Keep the old secret valid for", coerce=int, choices=list(OVERLAPS.items()), initial=24
    )


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=REASON_LENGTH_MAX)
