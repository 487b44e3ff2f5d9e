"""Forms of the console. They check shape; whether something may be done is decided by the domain."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import available_timezones

from django import forms

from audiences.exclusions import CAP_DAYS_MAX, CAP_MESSAGES_MAX
from audiences.models import Audience, Segment
from campaigns import about, leaving_out, preflight, schedule
from campaigns.drafts import OVERAGE_MAX
from campaigns.leaving_out import HOLD_OUT_PERCENT_MAX
from campaigns.models import Campaign, Channel, Template, TemplateVersion
from campaigns.models.campaign import RATE_PER_MINUTE_MAX
from campaigns.models.template import Format
from campaigns.pacing_form import NAMES, PacingFields, pacing_field, pacing_initial, pacing_stored, pacing_values
from campaigns.split_form import SplitFields, split_initial, split_values
from lamba_campaigns.lib.errors import Invalid
from limits.keys import CHANNEL_LABELS
from projects.access import Access
from projects.scoping import Scope

CHOICES_MAX: Final = 500
_POINTERS: Final = {
    "#/name": "name",
    "#/channel": "channel",
    "#/templateId": "template",
    "#/templateVersion": "template",
    "#/audienceId": "audience",
    "#/at": "scheduled_at",
    "#/scheduledAt": "scheduled_at",
    "#/timeZone": "time_zone",
    "#/ratePerMinute": "rate_per_minute",
    "#/acceptOverage": "accept_overage",
    "#/topic": "topic",
    "#/trackOpens": "track_opens",
    "#/trackClicks": "track_clicks",
    "#/frequencyCap/messages": "cap_messages",
    "#/frequencyCap/days": "cap_days",
    "#/holdOutPercent": "hold_out_percent",
    "#/excludedSegments": "excluded_segments",
    "#/split": "split_template",
    "#/split/templateId": "split_template",
    "#/split/percent": "split_percent",
}
FOLDS: Final = [("", "As it comes"), ("0", "The first of the two"), ("1", "The second of the two")]


class WallClockField(forms.Field):
    """A time as a clock on a wall shows it. Its zone stands in another field, so it must not be read in any other."""

    def to_python(self, value: Any) -> datetime | None:
        if not value:
            return None
        try:
            return datetime.fromisoformat(str(value)).replace(tzinfo=None, second=0, microsecond=0)
        except ValueError:
            raise forms.ValidationError("Write a date and a time, such as 2026-11-24 09:30.", code="invalid") from None


class SetupForm(SplitFields, PacingFields):
    """A draft on one page: channel, template, audience, schedule, limits."""

    name = forms.CharField(label="Name", max_length=120, help_text="Only your team sees it.")
    channel = forms.ChoiceField(label="Channel", widget=forms.RadioSelect, initial="email")
    template = forms.ChoiceField(label="Template", required=False)
    audience = forms.ChoiceField(label="Audience", required=False)
    timing = forms.ChoiceField(
        label="When",
        widget=forms.RadioSelect,
        choices=[("now", "When I launch it"), ("later", "At a set time")],
        initial="now",
    )
    scheduled_at = WallClockField(
        label="Send at",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    time_zone = forms.ChoiceField(label="Time zone")
    fold = forms.ChoiceField(label="Where the clocks go back", choices=FOLDS, required=False)
    topic = forms.ChoiceField(
        label="Topic", required=False, help_text="Who does not want it is left out, and its link ends only this."
    )
    track_opens = forms.BooleanField(
        label="Count opens", required=False, help_text="Mail only. Programs that fetch every picture count as well."
    )
    track_clicks = forms.BooleanField(
        label="Count clicks", required=False, help_text="Mail only. Links lead through a signed address of ours."
    )
    rate_per_minute = forms.IntegerField(
        label="Pace limit",
        min_value=1,
        max_value=RATE_PER_MINUTE_MAX,
        required=False,
        help_text="Messages a minute at most. Empty sends as fast as the provider takes it.",
    )
    cap_messages = forms.IntegerField(
        label="At most", min_value=1, max_value=CAP_MESSAGES_MAX, required=False, help_text="Empty sends to everybody."
    )
    cap_days = forms.IntegerField(label="Within", min_value=1, max_value=CAP_DAYS_MAX, required=False)
    hold_out_percent = forms.DecimalField(
        label="Hold-out group",
        min_value=0,
        max_value=HOLD_OUT_PERCENT_MAX,
        decimal_places=2,
        required=False,
        help_text="So many get nothing, to compare with. Always the same people.",
    )
    excluded_segments = forms.MultipleChoiceField(
        label="Segments that get nothing", widget=forms.SelectMultiple(attrs={"size": 4}), required=False
    )
    accept_overage = forms.IntegerField(
        label="Accepted overage",
        min_value=0,
        max_value=OVERAGE_MAX,
        required=False,
        help_text="Messages beyond the plan that you agree to pay for.",
    )

    def __init__(
        self, *args: Any, scope: Scope, access: Access, current: Campaign | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.scope, self.access, self.current = scope, access, current
        self.fields["channel"].choices = _channels()  # type: ignore[attr-defined]
        self.fields["topic"].choices = about.topic_choices(scope)  # type: ignore[attr-defined]
        published = _templates(scope)
        self.fields["template"].choices = published  # type: ignore[attr-defined]
        self.offer_split(published[1:])
        self.fields["audience"].choices = _audiences(scope)  # type: ignore[attr-defined]
        self.fields["time_zone"].choices = _zones(scope.time_zone)  # type: ignore[attr-defined]
        self.fields["time_zone"].initial = scope.time_zone
        self.fields["excluded_segments"].choices = _segments(scope)  # type: ignore[attr-defined]
        if not access.may("billing.manage"):
            self.fields["accept_overage"].disabled = True
            self.fields["accept_overage"].help_text = "Only an owner can accept overage."
            self.fields["accept_overage"].initial = current.accept_overage if current else None
            self.initial.setdefault("accept_overage", current.accept_overage if current else None)

    @staticmethod
    def initial_of(campaign: Campaign, zone: Any) -> dict[str, Any]:
        """What the form shows of a draft."""
        version = campaign.template_version
        local = campaign.scheduled_at.astimezone(_zone(campaign.time_zone, zone)) if campaign.scheduled_at else None
        return {
            "name": campaign.name,
            "channel": campaign.channel,
            "template": version.template.public_id if version else "",
            "audience": campaign.audience.public_id if campaign.audience else "",
            "timing": "later" if campaign.scheduled_at else "now",
            "scheduled_at": local.replace(tzinfo=None) if local else None,
            "time_zone": campaign.time_zone,
            "rate_per_minute": campaign.rate_per_minute,
            "accept_overage": campaign.accept_overage,
            **_exclusions_initial(campaign),
            "topic": campaign.topic.slug if campaign.topic else "",
            "track_opens": campaign.track_opens,
            "track_clicks": campaign.track_clicks,
            **split_initial(campaign),
            **pacing_initial(campaign),
        }

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("timing") != "later":
            values["scheduled_at"] = None
        elif values.get("scheduled_at") is None and "scheduled_at" not in self.errors:
            self.add_error("scheduled_at", "Say when, or let it start when you launch it.")
        elif values.get("scheduled_at"):
            self._take_time(values)
        if (values.get("cap_messages") is None) != (values.get("cap_days") is None):
            missing = "cap_days" if values.get("cap_days") is None else "cap_messages"
            if missing not in self.errors:
                self.add_error(missing, "A cap needs both numbers: messages and days.")
        return values

    def setup(self) -> dict[str, Any]:
        """The fields of drafts.Setup."""
        values = self.cleaned_data
        return {
            "name": values["name"],
            "channel": values["channel"],
            "template": values["template"] or None,
            "audience": values["audience"] or None,
            "scheduled_at": values["scheduled_at"],
            "time_zone": values["time_zone"] or self.scope.time_zone,
            "rate_per_minute": values["rate_per_minute"],
            "accept_overage": values["accept_overage"] or None,
            "topic": values["topic"] or None,
            "track_opens": values["track_opens"],
            "track_clicks": values["track_clicks"],
            "split": split_values(values, self.current),
            **_exclusions_of(values),
            **pacing_values(values),
        }

    def take(self, refusal: Invalid) -> None:
        """Show a refusal of the domain beside the field that it names."""
        for each in refusal.problems:
            self.add_error(_POINTERS.get(each.pointer) or pacing_field(each.pointer), each.detail)
        if not refusal.problems:
            self.add_error(None, refusal.detail)

    def report(self, *, now: datetime) -> preflight.Report:
        """The preflight of what stands in the form, valid or not; nothing is kept."""
        values = self._loose()
        at = values["scheduled_at"] if values["scheduled_at"] and values["scheduled_at"] > now else now
        campaign = Campaign(
            environment_id=self.scope.environment_id,
            name=values["name"],
            channel=values["channel"],
            template_version=_version(self.scope, values["template"]),
            split_version=_version(self.scope, values["split_template"]),
            split_percent=values["split_percent"],
            topic=about.topic_named(self.scope, values["topic"], []),
            audience=_audience(self.scope, values["audience"]),
            scheduled_at=values["scheduled_at"],
            time_zone=values["time_zone"] or self.scope.time_zone,
            accept_overage=values["accept_overage"],
            exclusions=leaving_out.stored(self.scope, **_exclusions_of(values)),
            **pacing_stored(values, self.scope.time_zone),
        )
        if self.current:
            campaign.public_id = self.current.public_id  # the same people are held out as when it is launched
        return preflight.report(scope=self.scope, campaign=campaign, at=at, now=now)

    def progress(self) -> list[tuple[str, str, bool]]:
        """(anchor, label, is filled) of each section, for the list at the left."""
        values = self._loose()
        return [
            ("channel", "Channel", bool(values["name"])),
            ("template", "Template", bool(values["template"])),
            ("audience", "Audience", bool(values["audience"])),
            ("schedule", "Schedule", values["timing"] == "now" or bool(values["scheduled_at"])),
            ("limits", "Limits", True),
        ]

    def _loose(self) -> dict[str, Any]:
        """Values as far as they can be read."""
        known = getattr(self, "cleaned_data", {}) if self.is_bound else {}
        names: tuple[str, ...] = (
            "name",
            "channel",
            "template",
            "audience",
            "timing",
            "scheduled_at",
            "time_zone",
            "accept_overage",
            "split_template",
            "split_percent",
            "topic",
        )
        names += ("cap_messages", "cap_days", "hold_out_percent", "excluded_segments", *NAMES)
        found = {
            name: known.get(name) if self.is_bound else self.get_initial_for_field(self.fields[name], name)
            for name in names
        }
        channel = found["channel"] if found["channel"] in Channel.values else "email"
        if not self.is_bound and isinstance(found["scheduled_at"], datetime):
            zone = _zone(str(found["time_zone"] or ""), self.scope.zone)
            found["scheduled_at"] = found["scheduled_at"].replace(tzinfo=zone)
        return found | {"channel": channel, "name": found["name"] or "", "timing": found["timing"] or "now"}

    def _take_time(self, values: dict[str, Any]) -> None:
        wall = values["scheduled_at"]
        fold = int(values["fold"]) if values.get("fold") in ("0", "1") else None
        try:
            values["scheduled_at"] = schedule.moment_of(
                wall=wall, zone_name=values.get("time_zone") or self.scope.time_zone, fold=fold
            )
        except Invalid as refusal:
            values["scheduled_at"] = None
            self.take(refusal)


class TemplateForm(forms.Form):
    """The editor of a template."""

    name = forms.CharField(label="Name", max_length=120)
    subject = forms.CharField(label="Subject", max_length=300)
    preheader = forms.CharField(label="Preheader", max_length=300, required=False)
    body = forms.CharField(label="Body", max_length=100_000, strip=False, widget=forms.Textarea)
    text = forms.CharField(
        label="Plain text",
        max_length=100_000,
        strip=False,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text="Empty: made from the body. The unsubscribe line is added by itself.",
    )
    format = forms.ChoiceField(label="Written in", choices=Format.choices, required=False)
    layout = forms.ChoiceField(label="Layout", required=False)
    locale = forms.CharField(required=False, max_length=12, widget=forms.HiddenInput)
    person = forms.CharField(required=False, max_length=128)

    def __init__(self, *args: Any, layouts: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = str(self["layout"].value() or "")  # one that was archived stays to be seen
        names = dict.fromkeys([*layouts, *([chosen] if chosen else [])])
        self.fields["layout"].choices = [("", "The standard one"), *((name, name) for name in names)]  # type: ignore[attr-defined]

    def take(self, refusal: Invalid) -> None:
        names = {f"#/{name}": name for name in self.fields}
        for each in refusal.problems:
            self.add_error(names.get(each.pointer), each.detail)
        if not refusal.problems:
            self.add_error(None, refusal.detail)


def _channels() -> list[tuple[str, str]]:
    return [(channel, CHANNEL_LABELS[channel]) for channel in Channel.values]


def _templates(scope: Scope) -> list[tuple[str, str]]:
    rows = Template.objects.within(scope).filter(status="active", latest_number__gt=0).order_by("-updated_at")
    named = rows.values_list("public_id", "name", "latest_number")[:CHOICES_MAX]
    return [("", "Choose a template"), *((public_id, f"{name} v{number}") for public_id, name, number in named)]


def _audiences(scope: Scope) -> list[tuple[str, str]]:
    rows = Audience.objects.within(scope).filter(deleted_at=None).order_by("name")
    named = rows.values_list("public_id", "name")[:CHOICES_MAX]
    return [("", "Choose an audience"), *named]


def _segments(scope: Scope) -> list[tuple[str, str]]:
    return list(Segment.objects.within(scope).order_by("name").values_list("slug", "name")[:CHOICES_MAX])


def _exclusions_initial(campaign: Campaign) -> dict[str, Any]:
    found = leaving_out.exclusions_of(campaign)
    cap = found["frequency_cap"] or {}
    return {
        "cap_messages": cap.get("messages"),
        "cap_days": cap.get("days"),
        "hold_out_percent": found["hold_out_percent"],
        "excluded_segments": list(found["excluded_segments"]),
    }


def _exclusions_of(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of drafts.Setup that say who is left out."""
    messages, days = values.get("cap_messages"), values.get("cap_days")
    percent = values.get("hold_out_percent")
    return {
        "frequency_cap": {"messages": messages, "days": days} if messages and days else None,
        "hold_out_percent": float(percent) if percent else None,
        "excluded_segments": tuple(values.get("excluded_segments") or ()),
    }


def _zones(first: str) -> list[tuple[str, str]]:
    common = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/")))
    names = [first, "UTC", *common]
    return [(name, name.replace("_", " ")) for name in dict.fromkeys(names)]


def _zone(name: str, fallback: Any) -> Any:
    try:
        return schedule.require_zone(name)
    except Invalid:
        return fallback


def _version(scope: Scope, template_id: Any) -> TemplateVersion | None:
    if not template_id:
        return None
    found: TemplateVersion | None = (
        TemplateVersion.objects.within(scope)
        .filter(template__public_id=template_id)
        .select_related("template")
        .order_by("-number")
        .first()
    )
    return found


def _audience(scope: Scope, audience_id: Any) -> Audience | None:
    if not audience_id:
        return None
    found: Audience | None = Audience.objects.within(scope).filter(public_id=audience_id, deleted_at=None).first()
    return found
