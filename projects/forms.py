"""Forms of settings, members, keys and signing in. They check shape; the domain decides."""

from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.validators import validate_email

from projects.models import Environment, Preference, Project
from projects.roles import PERMISSION_GROUPS, ROLE_CHOICES

ALLOW_LIST_MAX = 50
KEY_LIVES = {30: "30 days", 90: "90 days", 365: "1 year"}
ZONES = sorted(
    zone
    for zone in available_timezones()
    if zone == "UTC"
    or zone.split("/")[0]
    in ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
)


class SignInForm(forms.Form):
    username = forms.CharField(
        label="Email",
        max_length=150,
        widget=forms.TextInput({"autocomplete": "username", "autofocus": True, "autocapitalize": "none"}),
    )
    password = forms.CharField(
        label="Password",
        max_length=4096,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "current-password"}),
    )


class ProjectForm(forms.ModelForm):  # type: ignore[type-arg]
    """What the project is called and which zone its schedules are read in."""

    name = forms.CharField(label="Project name", max_length=120)
    time_zone = forms.ChoiceField(
        label="Time zone",
        choices=[(zone, zone.replace("_", " ")) for zone in ZONES],
        help_text="Schedules and rules are read in it, and times are shown in it.",
    )

    class Meta:
        model = Project
        fields = ["name", "time_zone"]


class SenderForm(forms.ModelForm):  # type: ignore[type-arg]
    """The From line of one environment."""

    sender_name = forms.CharField(label="Sender name", max_length=120)
    sender_address = forms.EmailField(
        label="Sender address", help_text="Replies come here unless a template says else."
    )

    class Meta:
        model = Environment
        fields = ["sender_name", "sender_address"]


class AllowListForm(forms.Form):
    """Who a sandbox may really mail."""

    addresses = forms.CharField(
        label="Addresses",
        required=False,
        widget=forms.Textarea({"rows": 4, "spellcheck": "false"}),
        help_text="One a line. Mail to anybody else is captured, never delivered.",
    )

    def clean_addresses(self) -> list[str]:
        """Each address once, in order; the first wrong line is named."""
        lines = [line.strip().lower() for line in self.cleaned_data["addresses"].splitlines() if line.strip()]
        for number, line in enumerate(lines, 1):
            try:
                validate_email(line)
            except forms.ValidationError:
                raise forms.ValidationError(f"Line {number} is no address: {line}", code="invalid") from None
        found = list(dict.fromkeys(lines))
        if len(found) > ALLOW_LIST_MAX:
            raise forms.ValidationError(f"A sandbox may mail {ALLOW_LIST_MAX} addresses; these are {len(found)}.")
        return found


class MemberForm(forms.Form):
    email = forms.EmailField(label="Email", widget=forms.EmailInput({"autocomplete": "off"}))
    role = forms.ChoiceField(label="Role", choices=ROLE_CHOICES, initial="viewer")


class RoleForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=ROLE_CHOICES)


class KeyForm(forms.Form):
    """A new API key. The permissions come in groups, so that nobody ticks nineteen boxes blindly."""

    name = forms.CharField(label="Name", max_length=120, help_text="Say what uses it: “Billing sync”, “CI”.")
    days = forms.TypedChoiceField(label="Valid for", choices=list(KEY_LIVES.items()), coerce=int, initial=90)
    permissions = forms.MultipleChoiceField(
        label="Permissions",
        widget=forms.CheckboxSelectMultiple,
        choices=[
            (group, [(name, words) for name, words in lines.items()]) for group, lines in PERMISSION_GROUPS.items()
        ],
        error_messages={"required": "Pick at least one permission."},
    )

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if "days" in found:
            found["life"] = timedelta(days=found["days"])
        return found


class PreferenceForm(forms.ModelForm):  # type: ignore[type-arg]
    keyboard = forms.BooleanField(
        label="Single-key shortcuts", required=False, help_text="Such as / for find and g c for campaigns."
    )
    time_zone = forms.ChoiceField(
        label="Show times in",
        required=False,
        choices=[("", "The project's time zone"), *((zone, zone.replace("_", " ")) for zone in ZONES)],
    )

    class Meta:
        model = Preference
        fields = ["time_zone", "keyboard"]
