"""Campaigns as REST shows them and takes them. camelCase outside, our own words inside."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audiences.channels import CHANNEL_BITS
from audiences.exclusions import CAP_DAYS_MAX, CAP_MESSAGES_MAX, SEGMENTS_MAX
from campaigns import leaving_out, pacing
from campaigns.api.pacing import SendingRules
from campaigns.leaving_out import HOLD_OUT_PERCENT_MAX
from campaigns.lifecycle import allowed
from campaigns.models import Campaign
from campaigns.splitting import PERCENT_MAX, PERCENT_MIN, sides, split_of
from delivery.pacing.rules import as_document
from lamba_campaigns.web.rest import MomentField, StrictSerializer, etag

CHANNELS = list(CHANNEL_BITS)


class FrequencyCap(StrictSerializer):
    """Nobody gets more than `messages` within `days`, over all campaigns."""

    messages = serializers.IntegerField(min_value=1, max_value=CAP_MESSAGES_MAX)
    days = serializers.IntegerField(min_value=1, max_value=CAP_DAYS_MAX)


class SplitBody(StrictSerializer):
    """An A/B split: message B goes to a share of the people, always the same ones; the others get message A."""

    templateId = serializers.CharField(source="template", max_length=31)
    templateVersion = serializers.IntegerField(
        source="version", min_value=1, required=False, allow_null=True, help_text="The newest when left out."
    )
    percent = serializers.IntegerField(
        min_value=PERCENT_MIN, max_value=PERCENT_MAX, help_text="So many percent get message B."
    )


class SplitRead(serializers.Serializer[Any]):
    templateId = serializers.CharField()
    templateName = serializers.CharField()
    templateVersion = serializers.IntegerField()
    percent = serializers.IntegerField()
    people = serializers.DictField(
        child=serializers.IntegerField(), help_text="How many people get a and b, once they are frozen; they add up."
    )


class CampaignBody(StrictSerializer):
    """A draft as it is created. Only the name is needed; the rest may come later."""

    name = serializers.CharField(max_length=120)
    channel = serializers.ChoiceField(choices=CHANNELS, default="email")
    templateId = serializers.CharField(source="template", max_length=31, required=False, allow_null=True)
    templateVersion = serializers.IntegerField(
        source="template_version", min_value=1, required=False, allow_null=True, help_text="The newest when left out."
    )
    audienceId = serializers.CharField(source="audience", max_length=31, required=False, allow_null=True)
    scheduledAt = MomentField(source="scheduled_at", required=False, allow_null=True)
    timeZone = serializers.CharField(source="time_zone", max_length=64, required=False)
    ratePerMinute = serializers.IntegerField(
        source="rate_per_minute",
        min_value=1,
        required=False,
        allow_null=True,
        help_text="Null sends as fast as it can.",
    )
    acceptOverage = serializers.IntegerField(
        source="accept_overage",
        min_value=0,
        required=False,
        allow_null=True,
        help_text="Messages beyond the plan that you agree to pay for. Needs the permission billing.manage.",
    )
    frequencyCap = FrequencyCap(source="frequency_cap", required=False, allow_null=True)
    holdOutPercent = serializers.FloatField(
        source="hold_out_percent",
        min_value=0,
        max_value=HOLD_OUT_PERCENT_MAX,
        required=False,
        allow_null=True,
        help_text="So many percent of the audience get nothing, to compare with. Always the same people.",
    )
    excludedSegments = serializers.ListField(
        source="excluded_segments",
        child=serializers.CharField(max_length=60),
        max_length=SEGMENTS_MAX,
        required=False,
        help_text="Slugs of segments whose people get nothing.",
    )
    totalCap = serializers.IntegerField(
        source="total_cap",
        min_value=1,
        required=False,
        allow_null=True,
        help_text="So many people at most. Who stands behind it is cancelled, with that reason.",
    )
    sendingRules = SendingRules(source="sending_rules", required=False, allow_null=True)
    topic = serializers.CharField(
        max_length=40, required=False, allow_null=True, help_text="Slug. Who does not want it is left out."
    )
    trackOpens = serializers.BooleanField(source="track_opens", required=False, help_text="By a pixel; mail only.")
    trackClicks = serializers.BooleanField(source="track_clicks", required=False, help_text="By signed links.")
    split = SplitBody(required=False, allow_null=True)


class CampaignPatch(CampaignBody):
    """What changes; what is left out stays."""

    name = serializers.CharField(max_length=120, required=False)
    channel = serializers.ChoiceField(choices=CHANNELS, required=False)


class ScheduleBody(StrictSerializer):
    at = serializers.CharField(
        max_length=40, help_text="A moment with offset (2026-11-24T08:30:00Z), or wall-clock time in timeZone."
    )
    timeZone = serializers.CharField(source="time_zone", max_length=64, required=False, help_text="IANA name.")
    fold = serializers.ChoiceField(
        choices=[0, 1], required=False, allow_null=True, help_text="Which of two, where clocks go back over the time."
    )


class PreflightBody(StrictSerializer):
    action = serializers.ChoiceField(
        choices=["launch", "schedule"],
        required=False,
        help_text="Left out: schedule for a draft that proposes a time, else launch.",
    )


class ReasonBody(StrictSerializer):
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class NothingBody(StrictSerializer):
    """An empty object, or no body at all."""


class CampaignRead(serializers.Serializer[Campaign]):
    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    channel = serializers.CharField()
    state = serializers.CharField()
    etag = serializers.SerializerMethodField()
    allowedActions = serializers.SerializerMethodField()
    templateId = serializers.CharField(source="template_version.template.public_id", default=None)
    templateName = serializers.CharField(source="template_version.template.name", default=None)
    templateVersion = serializers.IntegerField(source="template_version.number", default=None)
    audienceId = serializers.CharField(source="audience.public_id", default=None)
    audienceName = serializers.CharField(source="audience.name", default=None)
    audienceVersion = serializers.IntegerField(source="audience_version.number", default=None)
    scheduledAt = serializers.DateTimeField(source="scheduled_at")
    timeZone = serializers.CharField(source="time_zone")
    ratePerMinute = serializers.IntegerField(source="rate_per_minute")
    acceptOverage = serializers.IntegerField(source="accept_overage")
    frequencyCap = serializers.SerializerMethodField()
    holdOutPercent = serializers.SerializerMethodField()
    excludedSegments = serializers.SerializerMethodField()
    totalCap = serializers.IntegerField(source="total_cap")
    sendingRules = serializers.SerializerMethodField()
    topic = serializers.CharField(source="topic.slug", default=None)
    trackOpens = serializers.BooleanField(source="track_opens")
    trackClicks = serializers.BooleanField(source="track_clicks")
    split = serializers.SerializerMethodField()
    snapshotId = serializers.CharField(source="snapshot.public_id", default=None)
    jobId = serializers.CharField(source="job.public_id", default=None)
    blockers = serializers.ListField(
        child=serializers.DictField(),
        help_text="Why the last launch was refused, or what stopped it, as problem documents.",
    )
    createdBy = serializers.CharField(source="created_by")
    updatedBy = serializers.CharField(source="updated_by")
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")
    requestedAt = serializers.DateTimeField(source="requested_at")
    launchedAt = serializers.DateTimeField(source="launched_at")
    finishedAt = serializers.DateTimeField(source="finished_at")

    def get_etag(self, row: Campaign) -> str:
        return etag(row.state_version)

    @extend_schema_field(FrequencyCap(allow_null=True))
    def get_frequencyCap(self, row: Campaign) -> dict[str, int] | None:
        found: dict[str, int] | None = leaving_out.exclusions_of(row)["frequency_cap"]
        return found

    @extend_schema_field(SendingRules())
    def get_sendingRules(self, row: Campaign) -> dict[str, Any]:
        return as_document(pacing.rules_of(row))

    def get_holdOutPercent(self, row: Campaign) -> float | None:
        found: float | None = leaving_out.exclusions_of(row)["hold_out_percent"]
        return found

    @extend_schema_field(SplitRead(allow_null=True))
    def get_split(self, row: Campaign) -> dict[str, Any] | None:
        found = split_of(row)["split"]
        if found is None or row.split_version is None:
            return None
        return {
            "templateId": found["template"],
            "templateName": row.split_version.template.name,
            "templateVersion": found["version"],
            "percent": found["percent"],
            "people": {side["variant"]: side["people"] for side in sides(row)},
        }

    def get_excludedSegments(self, row: Campaign) -> list[str]:
        return list(leaving_out.exclusions_of(row)["excluded_segments"])

    def get_allowedActions(self, row: Campaign) -> list[str]:
        return [str(action) for action in allowed(row.state)]


class BalanceRead(serializers.Serializer[Any]):
    planned = serializers.IntegerField()
    excluded = serializers.IntegerField()
    accounts = serializers.DictField(child=serializers.IntegerField())
    excludedByReason = serializers.DictField(child=serializers.IntegerField())
    residual = serializers.IntegerField(help_text="planned minus all accounts: 0, or something is wrong.")


class FreezingRead(serializers.Serializer[Any]):
    phase = serializers.ChoiceField(choices=["waiting", "matching", "writing", "sealing"])
    written = serializers.IntegerField(help_text="People included so far, in steps of some thousand.")
    expected = serializers.IntegerField(help_text="What the preflight counted.")


class CampaignDetail(CampaignRead):
    balance = BalanceRead(allow_null=True, default=None, help_text="Live counters; null before sending began.")
    freezing = FreezingRead(allow_null=True, default=None, help_text="While it is launching: how far the freeze is.")


class CampaignPage(serializers.Serializer[Any]):
    items = CampaignRead(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class MeterRead(serializers.Serializer[Any]):
    requested = serializers.IntegerField()
    available = serializers.IntegerField(allow_null=True)


class FixRead(serializers.Serializer[Any]):
    kind = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # shadows DRF's own attribute, as a field may
    permission = serializers.CharField()


class CheckRead(serializers.Serializer[Any]):
    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # shadows DRF's own attribute, as a field may
    state = serializers.ChoiceField(choices=["pass", "warn", "block", "todo"])
    detail = serializers.CharField()
    meter = MeterRead(allow_null=True)
    fixes = FixRead(many=True)


class PreflightRead(serializers.Serializer[Any]):
    ready = serializers.BooleanField()
    audience = serializers.IntegerField(allow_null=True, help_text="People who would be contacted now.")
    checks = CheckRead(many=True)


class RecipientRead(serializers.Serializer[Any]):
    personId = serializers.CharField()
    address = serializers.CharField(allow_null=True)
    outcome = serializers.CharField()
    reason = serializers.CharField(help_text="Why somebody was left out.")
    detail = serializers.CharField()
    tries = serializers.IntegerField()
    variant = serializers.CharField(allow_null=True, help_text="a or b: the message of an A/B split.")
    lastEventAt = serializers.DateTimeField(allow_null=True)
    explain = serializers.CharField(help_text="Where to ask why this person is in or was left out.")


class RecipientPage(serializers.Serializer[Any]):
    items = RecipientRead(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class BooksRead(BalanceRead):
    campaign = serializers.CharField()
    name = serializers.CharField()
    workspace = serializers.CharField()
    project = serializers.CharField()
    environment = serializers.CharField()
    state = serializers.CharField()
    snapshot = serializers.CharField()
    memberDigest = serializers.CharField()
    launchedAt = serializers.DateTimeField()
    closedAt = serializers.DateTimeField(allow_null=True)
    overlays = serializers.DictField(child=serializers.IntegerField())
    breaks = serializers.IntegerField(help_text="Open differences that reconciliation found.")
    digest = serializers.CharField(help_text="SHA-256 over the statement's canonical JSON without this field.")
