"""Shapes of the consent forms of the console; what may be decided is decided by the domain."""

from typing import Any, Final

from django import forms

from audiences.channels import CHANNEL_BITS
from delivery import suppression_files, topics
from delivery.standing import REASON_CHARS_MAX
from lamba_campaigns.lib.errors import DomainError, Invalid
from limits.keys import CHANNEL_LABELS

CHANNELS: Final = [(channel, CHANNEL_LABELS[channel]) for channel in CHANNEL_BITS]
DECISIONS: Final = [
    ("unsubscribed", "Wants no more"),
    ("resubscribed", "Wants it again"),
    ("consented", "Agrees to be contacted"),
    ("withdrawn", "Takes the agreement back"),
]


class Refusable(forms.Form):
    """Shows a refusal of the domain beside the field that it names."""

    places: dict[str, str] = {}

    def take(self, refusal: DomainError) -> None:
        problems = refusal.problems if isinstance(refusal, Invalid) else ()
        for each in problems:
            name = self.places.get(each.pointer, each.pointer.removeprefix("#/"))
            self.add_error(name if name in self.fields else None, each.detail)
        if not problems:
            self.add_error(None, refusal.detail)


class TopicForm(Refusable):
    name = forms.CharField(label="Name", max_length=topics.NAME_CHARS_MAX, help_text="What people read.")
    slug = forms.CharField(
        label="Short name",
        max_length=topics.SLUG_CHARS_MAX,
        help_text="For files and REST, such as product-news. It never changes.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    description = forms.CharField(
        label="What it brings", max_length=topics.DESCRIPTION_CHARS_MAX, required=False, help_text="One line."
    )
    opt_in = forms.BooleanField(
        label="Only for people who asked for it", required=False, help_text="It never changes: people decided by it."
    )


class TopicEditForm(Refusable):
    name = forms.CharField(label="Name", max_length=topics.NAME_CHARS_MAX)
    description = forms.CharField(label="What it brings", max_length=topics.DESCRIPTION_CHARS_MAX, required=False)
    version = forms.IntegerField(widget=forms.HiddenInput)


class DecisionForm(Refusable):
    places = {"#/decision": "action"}
    action = forms.ChoiceField(label="The person", choices=DECISIONS)
    channel = forms.ChoiceField(label="Channel", choices=CHANNELS)
    topic = forms.ChoiceField(label="Topic", required=False)
    reason = forms.CharField(
        label="How you know", max_length=REASON_CHARS_MAX, help_text="Kept with the evidence, such as “by phone”."
    )

    def __init__(self, *args: Any, offered: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["topic"].choices = [("", "The whole channel"), *offered]  # type: ignore[attr-defined]


class SuppressionFileForm(Refusable):
    places = {"#": "file"}
    file = forms.FileField(
        label="CSV file", help_text=f"UTF-8, up to {suppression_files.ROWS_MAX:,} rows.", allow_empty_file=True
    )
