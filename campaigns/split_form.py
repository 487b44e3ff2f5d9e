"""The fields of an A/B split in the form of a draft: message B, and the share of people who get it."""

from typing import Any

from django import forms

from campaigns.models import Campaign
from campaigns.splitting import PERCENT_MAX, PERCENT_MIN


class SplitFields(forms.Form):
    """Both are said, or none."""

    split_template = forms.ChoiceField(
        label="Message B", required=False, help_text="A share gets this one instead, always the same people."
    )
    split_percent = forms.IntegerField(
        label="Share of message B", min_value=PERCENT_MIN, max_value=PERCENT_MAX, required=False
    )

    def offer_split(self, published: list[tuple[str, str]]) -> None:
        none = ("", "Everybody gets the same message")
        self.fields["split_template"].choices = [none, *published]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if bool(values.get("split_template")) != (values.get("split_percent") is not None):
            missing = "split_percent" if values.get("split_template") else "split_template"
            if missing not in self.errors:
                self.add_error(missing, "A split needs both: message B and its share.")
        return values


def split_initial(campaign: Campaign) -> dict[str, Any]:
    version = campaign.split_version
    return {"split_template": version.template.public_id if version else "", "split_percent": campaign.split_percent}


def split_values(values: dict[str, Any], current: Campaign | None) -> dict[str, Any] | None:
    """The split of drafts.Setup. The same template keeps its version: a later one never slips in by itself."""
    template, percent = values.get("split_template"), values.get("split_percent")
    if not template or percent is None:
        return None
    chosen = current.split_version if current else None
    version = chosen.number if chosen and chosen.template.public_id == template else None
    return {"template": template, "version": version, "percent": percent}
