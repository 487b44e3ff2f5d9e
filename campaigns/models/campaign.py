"""A campaign: one message to one audience through one channel, and where it stands."""

from django.db import models
from django.db.models import Q

from projects.scoping import ScopedForeignKey, ScopedModel

RATE_PER_MINUTE_MAX = 1_000_000


class Channel(models.TextChoices):
    EMAIL = "email", "Email"
    IN_APP = "in_app", "In-app"
    WEBHOOK = "webhook", "Webhook"
    SMS = "sms", "SMS"


class State(models.TextChoices):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    LAUNCHING = "launching"
    SENDING = "sending"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    COMPLETED_WITH_EXCEPTIONS = "completed_with_exceptions"
    FAILED = "failed"


WITH_MESSAGE = (State.SCHEDULED, State.LAUNCHING)
WITH_JOB = (
    State.SENDING,
    State.PAUSING,
    State.PAUSED,
    State.CANCELLING,
    State.COMPLETED,
    State.COMPLETED_WITH_EXCEPTIONS,
)


class Campaign(ScopedModel):
    """`state_version` grows with every change; all changes are compare-and-swaps on (state, state_version).

    `launch_number` counts the attempts: every attempt has its own snapshot and holds, so that a refused one leaves
    nothing behind. `blockers` says why the last attempt was refused, as a problem document.
    """

    id_prefix = "cmp"

    name = models.CharField(max_length=120)
    channel = models.CharField(max_length=10, choices=Channel, default=Channel.EMAIL)
    template_version = ScopedForeignKey("campaigns.TemplateVersion", null=True, related_name="campaigns")
    split_version = ScopedForeignKey("campaigns.TemplateVersion", null=True, related_name="+")  # message B of a split
    split_percent = models.PositiveSmallIntegerField(null=True)  # of the people get message B
    audience = ScopedForeignKey("audiences.Audience", null=True, related_name="+")
    audience_version = ScopedForeignKey("audiences.AudienceVersion", null=True, related_name="+")  # pinned at launch
    scheduled_at = models.DateTimeField(null=True)
    time_zone = models.CharField(max_length=64)  # the zone that scheduled_at was said in
    rate_per_minute = models.PositiveIntegerField(null=True)  # null: as fast as the channel takes it
    topic = ScopedForeignKey("delivery.Topic", null=True, related_name="+")  # who does not want it, gets nothing
    track_opens = models.BooleanField(default=False, db_default=False)
    track_clicks = models.BooleanField(default=False, db_default=False)
    total_cap = models.PositiveIntegerField(null=True)  # how many people at most; null: everybody in the audience
    sending_rules = models.JSONField(default=dict, db_default={}, blank=True)  # the document of delivery.pacing.rules
    accept_overage = models.PositiveIntegerField(null=True)  # messages beyond the plan that somebody agreed to pay
    exclusions = models.JSONField(default=dict, blank=True)  # whom it leaves out, as audiences.exclusions writes it
    state = models.CharField(max_length=30, choices=State, default=State.DRAFT)
    state_version = models.PositiveIntegerField(default=1)
    launch_number = models.PositiveIntegerField(default=0)
    launch_tries = models.PositiveSmallIntegerField(default=0)  # runs of run_launch for this launch_number
    launch_lease_until = models.DateTimeField(null=True)  # who holds it is resolving the audience right now
    snapshot = ScopedForeignKey("audiences.Snapshot", null=True, related_name="+")
    job = ScopedForeignKey("delivery.SendJob", null=True, related_name="+")
    blockers = models.JSONField(default=list, blank=True)
    evidence = models.JSONField(default=list, blank=True)  # the preflight that it passed
    launched_by = models.JSONField(default=dict, blank=True)  # the actor of the launch
    created_by = models.CharField(max_length=200)
    updated_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    requested_at = models.DateTimeField(null=True)  # when somebody, or the schedule, asked for the launch
    launched_at = models.DateTimeField(null=True)  # when sending began
    finished_at = models.DateTimeField(null=True)  # when nothing was left to hand over
    books_closed_at = models.DateTimeField(null=True)  # when every message had an outcome and nothing differed

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.CheckConstraint(condition=Q(state__in=State.values), name="campaign_state_is_known"),
            models.CheckConstraint(condition=Q(channel__in=Channel.values), name="campaign_channel_is_known"),
            models.CheckConstraint(
                condition=Q(split_version__isnull=True, split_percent__isnull=True)
                | Q(split_version__isnull=False, split_percent__range=(1, 99)),
                name="campaign_split_has_message_and_share",
            ),
            models.CheckConstraint(
                condition=~Q(state="scheduled") | Q(scheduled_at__isnull=False), name="campaign_scheduled_has_time"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=WITH_MESSAGE + WITH_JOB)
                | Q(template_version__isnull=False, audience__isnull=False),
                name="campaign_launched_has_message_and_audience",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=WITH_JOB)
                | Q(job__isnull=False, snapshot__isnull=False, audience_version__isnull=False),
                name="campaign_sending_has_snapshot_and_job",
            ),
            models.CheckConstraint(
                condition=Q(rate_per_minute__isnull=True)
                | Q(rate_per_minute__gte=1, rate_per_minute__lte=RATE_PER_MINUTE_MAX),
                name="campaign_rate_is_positive",
            ),
            models.CheckConstraint(
                condition=Q(total_cap__isnull=True) | Q(total_cap__gte=1), name="campaign_cap_is_positive"
            ),
            models.UniqueConstraint(fields=["environment", "job"], name="campaign_job_belongs_to_one"),
        ]
        indexes = [
            # the campaign list of an environment: newest change first, counted by state
            models.Index("environment", models.F("updated_at").desc(), "id", name="campaign_by_change"),
            models.Index("environment", "state", name="campaign_by_state"),
            # ring_launches: scheduled campaigns that are due
            models.Index("scheduled_at", condition=Q(state="scheduled"), name="campaign_due"),
            # ring_launches and settle_finished: campaigns that a machine must move
            models.Index(
                "state",
                "updated_at",
                condition=Q(state__in=["launching", "sending", "pausing", "paused", "cancelling"]),
                name="campaign_moving",
            ),
            # settle_finished: ended campaigns whose books wait for an outcome or an explanation
            models.Index(
                "finished_at",
                condition=Q(finished_at__isnull=False, books_closed_at__isnull=True, job__isnull=False),
                name="campaign_books_open",
            ),
        ]
