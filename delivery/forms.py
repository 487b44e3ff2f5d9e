"""Shapes of console forms; whether an address may be suppressed is decided by the domain."""

from typing import Any

from django import forms

from audiences.channels import CHANNEL_BITS
from limits.keys import CHANNEL_LABELS

REASON_CHARS_MAX = 300


class SuppressionForm(forms.Form):
    address = forms.CharField(
        label="Address",
        max_length=320,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "inputmode": "email"}),
    )
    channel = forms.ChoiceField(
        label="Channel",
        choices=[(name, CHANNEL_LABELS[name]) for name in CHANNEL_BITS],
        initial="email",
    )
    detail = forms.CharField(
        label="Why",
        max_length=REASON_CHARS_MAX,
        required=False,
        help_text="Shown on the list and kept in the audit trail.",
    )

    def refuse(self, message: str) -> None:
        """Show what the domain refused beside the address."""
        self.add_error("address", message)


class RemoveForm(forms.Form):
    reason = forms.CharField(label="Why", max_length=REASON_CHARS_MAX)


class ResolveForm(forms.Form):
    decision = forms.ChoiceField(choices=[(name, name) for name in ("accepted", "resend", "failed")])
    position = forms.TypedMultipleChoiceField(required=False, coerce=int)
    reason = forms.CharField(max_length=REASON_CHARS_MAX, required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        given = data.getlist("position")
        self.fields["position"].choices = [(each, each) for each in given if each.isascii() and each.isdigit()]  # type: ignore[attr-defined]
