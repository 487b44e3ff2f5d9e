"""Forms of people's pages. They check shape; whether something may be done is decided by the domain."""

from typing import Any, Final

from django import forms

from audiences import segments
from lamba_campaigns.lib.errors import Invalid

PEOPLE_CHARS_MAX: Final = 100_000


class UploadForm(forms.Form):
    """A CSV file of people."""

    file = forms.FileField(
        label="CSV file",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
        help_text="UTF-8, separated by commas, semicolons or tabs. The first line names the columns.",
    )
    check_only = forms.BooleanField(
        label="Check only",
        required=False,
        initial=True,
        help_text="See what would happen first. You can import the checked file with one click.",
    )
    skip_invalid = forms.BooleanField(
        label="Import the right rows even if others are wrong",
        required=False,
        help_text="Otherwise one wrong row stops the whole file, and nothing is changed.",
    )


class SegmentForm(forms.Form):
    """Name and description of a list."""

    name = forms.CharField(label="Name", max_length=segments.NAME_LENGTH_MAX)
    description = forms.CharField(
        label="Description", max_length=segments.DESCRIPTION_LENGTH_MAX, required=False, widget=forms.Textarea
    )
    state_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def take(self, refusal: Invalid) -> None:
        """Show a refusal of the domain beside its field."""
        take(self, refusal)


class MembersForm(forms.Form):
    """People to put into a list or to take out: one a line."""

    people = forms.CharField(
        label="People",
        max_length=PEOPLE_CHARS_MAX,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=f"Addresses or user IDs, one a line, up to {segments.CHANGE_PEOPLE_MAX:,}.",
    )

    def clean_people(self) -> list[str]:
        lines = str(self.cleaned_data["people"]).replace(",", "\n").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def take(self, refusal: Invalid) -> None:
        self.add_error("people", refusal.detail)


def take(form: forms.Form, refusal: Invalid) -> None:
    """Each problem goes to the field that its pointer names; the rest stands above the form."""
    for problem in refusal.problems:
        name = problem.pointer.rpartition("/")[2]
        form.add_error(name if name in form.fields else None, problem.detail)
    if not refusal.problems:
        form.add_error(None, refusal.detail)


def initial_of(segment: Any) -> dict[str, Any]:
    """The form of a segment as it is."""
    return {"name": segment.name, "description": segment.description, "state_version": segment.state_version}
