"""The filters of the audit page, all in the query string."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms

from audit import trail, wording

FAMILY_LABELS = {
    "addon": "Add-ons",
    "audience": "Audiences",
    "books": "Books",
    "break": "Differences",
    "campaign": "Campaigns",
    "checkpoint": "Checkpoints",
    "consent": "Consent",
    "delivery": "Delivery",
    "endpoint": "Endpoints",
    "export": "Exports",
    "key": "API keys",
    "ledger": "Ledger seals",
    "limit": "Limits",
    "member": "Members",
    "people": "People",
    "person": "Erasures",
    "plan": "Plan",
    "secret": "Secrets",
    "segment": "Segments",
    "settings": "Settings",
    "report": "Provider reports",
    "retention": "Retention",
    "sign_in": "Signing in",
    "signed_out": "Signing out",
    "signing_key": "Signing keys",
    "snapshot": "Snapshots",
    "statement": "Statements",
    "suppression": "Suppressions",
    "template": "Templates",
    "verification": "Verifications",
    "webhook": "Webhooks",
}


class TrailForm(forms.Form):
    """GET only. A value that can't be read shows its error, and filters nothing."""

    action = forms.ChoiceField(label="What", required=False)
    actor = forms.ChoiceField(label="Who", required=False)
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    subject = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    reach = forms.ChoiceField(
        required=False,
        choices=[("environment", "Environment"), ("workspace", "Workspace")],
        widget=forms.HiddenInput,
    )

    def __init__(self, *args: Any, actors: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        families = sorted(
            ((key, FAMILY_LABELS.get(key, wording.words(key))) for key in trail.families()), key=lambda pair: pair[1]
        )
        self.fields["action"].choices = [("", "Everything"), *families]  # type: ignore[attr-defined]
        self.fields["actor"].choices = [("", "Everybody"), *actors]  # type: ignore[attr-defined]
        for name in ("action", "actor"):
            self.fields[name].widget.attrs["data-submits"] = ""

    def wanted(self, zone: ZoneInfo) -> trail.Wanted:
        """What to show. Days are whole days of `zone`."""
        self.is_valid()
        given = self.cleaned_data
        since, until = given.get("since"), given.get("until")
        return trail.Wanted(
            action=given.get("action") or "",
            actor=given.get("actor") or "",
            subject=given.get("subject") or "",
            since=datetime.combine(since, time(), zone).astimezone(UTC) if since else None,
            until=datetime.combine(until + timedelta(days=1), time(), zone).astimezone(UTC) if until else None,
            reach="workspace" if given.get("reach") == "workspace" else "environment",
        )
