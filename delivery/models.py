"""Send jobs and their chunks (control plane), messages and receipts (data plane), and what people decided.

Message, Receipt, JobMinute, JobDomain, CapturedMail and ConsentEvent are mass tables: they carry no foreign keys to
other scoped tables (each would cost a trigger a row). Their scope holds by construction: every row is written with the
environment of the job or endpoint it came through, and `evidence.foreign_rows` counts the exceptions.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Lower

from delivery.accounts import EXCEPTIONAL
from delivery.breaker_models import JobDomain as JobDomain
from delivery.channel_models import ChannelSettings as ChannelSettings
from delivery.channel_models import InboxItem as InboxItem
from delivery.defaults_models import RelayUse as RelayUse
from delivery.defaults_models import SendingDefaults as SendingDefaults
from delivery.pacing.models import DomainPace as DomainPace
from delivery.pacing.models import PaceDay as PaceDay
from delivery.topic_models import Topic as Topic
from delivery.topic_models import TopicChoice as TopicChoice
from lamba_campaigns.lib.constraints import ScopedReference
from projects.scoping import ScopedForeignKey, ScopedModel, ScopedQuerySet


class JobState(models.TextChoices):
    SENDING = "sending"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FINISHED = "finished"


class SendJob(ScopedModel):
    """One frozen piece of work: this content to that snapshot over this channel. Never reads a campaign."""

    id_prefix = "job"

    subject = models.CharField(max_length=40)  # public id of what asked for it, such as cmp_…
    title = models.CharField(max_length=200, default="")  # its name, for pages
    snapshot = ScopedForeignKey("audiences.Snapshot", related_name="+")
    snapshot_month = models.DateField()  # the partition its members live in
    channel = models.CharField(max_length=20)
    content = models.JSONField()  # rendering.Content, frozen
    content_id = models.BigIntegerField()  # primary key of the template version it came from
    rate_per_minute = models.PositiveIntegerField(null=True)  # null: as fast as the provider takes it
    topic = ScopedForeignKey(Topic, null=True, related_name="+")  # who does not want it, is left out at hand-off
    track_opens = models.BooleanField(default=False, db_default=False)
    track_clicks = models.BooleanField(default=False, db_default=False)
    state = models.CharField(max_length=12, choices=JobState, default=JobState.SENDING)
    state_version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    first_sent_at = models.DateTimeField(null=True)
    pause_asked_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True)
    resumed_at = models.DateTimeField(null=True)
    cancel_asked_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    next_ring_at = models.DateTimeField()  # the doorbell waits until then
    pacing = models.JSONField(default=dict, db_default={})  # pacing.rules, frozen; {} is at any time, to anybody
    total_cap = models.PositiveIntegerField(null=True)  # people behind it were cancelled when the job was made
    held_until = models.DateTimeField(null=True)  # nobody is claimed until then; `held_code` says why
    held_code = models.CharField(max_length=20, default="", db_default="")  # send_window, wave; else the provider
    held_reason = models.CharField(max_length=300, default="")
    stop_code = models.CharField(max_length=20, default="", db_default="")  # the rule that paused it: breaker.RULES
    stop_reason = models.CharField(max_length=300, default="", db_default="")
    stop_base = models.JSONField(default=list, db_default=[])  # counts at the last resume after a stop; sql `tallies`
    stop_limits = models.JSONField(default=dict, db_default={})  # the campaign's own, a document of `stop_limits`
    warnings = models.JSONField(default=list, db_default=[])  # warn limits that it passed: rule, domain, detail, at

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["environment", "subject"], name="one_send_job_for_each_subject"),
            models.CheckConstraint(condition=Q(state__in=JobState.values), name="send_job_state_is_known"),
            models.CheckConstraint(
                condition=~Q(state__in=["finished", "cancelled"]) | Q(finished_at__isnull=False),
                name="ended_send_job_has_its_time",
            ),
        ]
        indexes = [
            # read by the sweep that rings jobs: sql `jobs_to_ring`
            models.Index(
                fields=["next_ring_at"],
                condition=~Q(state__in=["finished", "cancelled", "paused"]),
                name="send_job_open",
            )
        ]


class Chunk(models.Model):
    """A run of positions that one worker owns for a while.

    Positions up to `done_position` have outcomes. Those up to `intent_position` may have left: after a lost lease the
    difference is uncertain. `fence` grows with every claim; a worker that holds an old one changes nothing. A chunk
    with `positions` is one micro-batch of retries instead of a run.
    """

    class State(models.IntegerChoices):
        PENDING = 0
        LEASED = 1
        DONE = 2
        CANCELLED = 3

    pk = models.CompositePrimaryKey("job_id", "number")
    environment = models.ForeignKey("projects.Environment", models.PROTECT, related_name="+")
    job = ScopedForeignKey(SendJob, related_name="+")
    number = models.IntegerField()
    first_position = models.IntegerField()
    last_position = models.IntegerField()
    positions = ArrayField(models.IntegerField(), null=True)
    state = models.SmallIntegerField(choices=State, default=State.PENDING)
    fence = models.BigIntegerField(default=0)
    lease_owner = models.CharField(max_length=120, default="")
    lease_until = models.DateTimeField(null=True)
    intent_position = models.IntegerField()
    done_position = models.IntegerField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(done_position__lte=F("intent_position")) & Q(intent_position__lte=F("last_position")),
                name="chunk_watermarks_are_ordered",
            ),
            models.CheckConstraint(
                condition=~Q(state=1) | Q(lease_until__isnull=False), name="leased_chunk_has_an_end"
            ),
        ]
        indexes = [
            # read by the claim: sql `claim_chunk`
            models.Index(fields=["job", "number"], condition=Q(state=0), name="chunk_pending"),
            # read by the sweep that ends lost leases, and by the count of workers: sql `lost_leases`, `jobs_to_ring`
            models.Index(fields=["job", "lease_until"], condition=Q(state=1), name="chunk_leased"),
        ]


class JobCounters(models.Model):
    """The balance of a job as one row, moved by one guarded UPDATE in the transaction of what it counts.

    `retrying` is the part of `deferred` that waits for our own next attempt. `paced_until` is the moment up to which
    the rate limit is used up.
    """

    job = models.OneToOneField(SendJob, models.PROTECT, primary_key=True, db_constraint=False, related_name="+")
    environment = models.ForeignKey("projects.Environment", models.PROTECT, related_name="+")
    planned = models.IntegerField()
    excluded = models.IntegerField()
    pending = models.IntegerField()
    in_flight = models.IntegerField(default=0)
    uncertain = models.IntegerField(default=0)
    accepted = models.IntegerField(default=0)
    deferred = models.IntegerField(default=0)
    delivered = models.IntegerField(default=0)
    bounced = models.IntegerField(default=0)
    rejected = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0)
    retrying = models.IntegerField(default=0)
    complained = models.IntegerField(default=0)
    unsubscribed = models.IntegerField(default=0)
    opened = models.IntegerField(default=0)
    clicked = models.IntegerField(default=0)
    excluded_reasons = models.JSONField(default=dict)  # name -> count, late ones included
    last_outcome_at = models.DateTimeField(null=True)
    paced_until = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            ScopedReference(field="job", name="delivery_jobcounters_job_scope"),
            models.CheckConstraint(
                name="job_counters_are_never_negative",
                condition=Q(pending__gte=0, in_flight__gte=0, uncertain__gte=0, accepted__gte=0, deferred__gte=0)
                & Q(delivered__gte=0, bounced__gte=0, rejected__gte=0, failed__gte=0, cancelled__gte=0)
                & Q(excluded__gte=0, retrying__gte=0),
            ),
            models.CheckConstraint(
                name="job_counters_add_up",
                condition=Q(
                    planned=F("excluded") + F("pending") + F("in_flight") + F("uncertain") + F("accepted")
                    + F("deferred") + F("delivered") + F("bounced") + F("rejected") + F("failed") + F("cancelled")
                ),
            ),
        ]  # fmt: skip


class JobMinute(models.Model):
    """Outcomes of one job in one minute: the series behind the chart. Mass table."""

    pk = models.CompositePrimaryKey("environment_id", "job_id", "minute")
    environment_id = models.BigIntegerField()
    job_id = models.BigIntegerField()
    minute = models.DateTimeField()
    accepted = models.IntegerField(default=0)
    deferred = models.IntegerField(default=0)
    rejected = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    uncertain = models.IntegerField(default=0)
    excluded = models.IntegerField(default=0)


class Message(models.Model):
    """One person of one job, from the moment that somebody intends to hand it over. Mass table.

    `exception` repeats the account where somebody will look for it, and is null elsewhere, so that the usual outcome
    touches no index and stays a HOT update; the table's fillfactor leaves room for it (migration 0002).
    """

    pk = models.CompositePrimaryKey("environment_id", "job_id", "position")
    environment_id = models.BigIntegerField()
    job_id = models.BigIntegerField()
    position = models.IntegerField()
    person_id = models.BigIntegerField()
    account = models.SmallIntegerField()
    rank = models.SmallIntegerField()
    attempts = models.SmallIntegerField(default=1)
    overlays = models.SmallIntegerField(default=0)
    settled_at = models.DateTimeField()  # when the fact behind `account` happened
    last_event_at = models.DateTimeField()  # when anything last happened to it
    next_attempt_at = models.DateTimeField(null=True)
    address = models.TextField()
    code = models.TextField(default="")
    detail = models.TextField(default="")
    exception = models.GeneratedField(
        expression=Case(
            When(account__in=[int(account) for account in EXCEPTIONAL], then=F("account")), default=Value(None)
        ),
        output_field=models.SmallIntegerField(null=True),
        db_persist=True,
    )

    class Meta:
        constraints = [
            # the proof that nobody is mailed twice by one job; also read by "what did this person get"
            models.UniqueConstraint(
                fields=["environment_id", "person_id", "job_id"], name="one_message_for_a_person_and_job"
            )
        ]
        indexes = [
            # read by lists of one account: sql `messages_of_account`
            models.Index(
                fields=["environment_id", "job_id", "exception", "position"],
                condition=Q(exception__isnull=False),
                name="message_exceptional",
            ),
            # read by the retry claim and by the sweep: sql `claim_retries`, `jobs_to_ring`
            models.Index(
                fields=["environment_id", "job_id", "next_attempt_at"],
                condition=Q(next_attempt_at__isnull=False),
                name="message_due_again",
            ),
        ]


class Receipt(models.Model):
    """What a provider said about a message. Append-only mass table; `job_id` is null when nothing of ours matches."""

    environment_id = models.BigIntegerField()
    event_id = models.TextField()
    type = models.TextField()
    job_id = models.BigIntegerField(null=True)
    position = models.IntegerField(null=True)
    message_id = models.TextField()
    recipient = models.TextField()
    code = models.TextField(default="")
    detail = models.TextField(default="")
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["environment_id", "event_id"], name="receipt_is_recorded_once")]
        indexes = [
            # read by the history of one message
            models.Index(
                fields=["environment_id", "job_id", "position"], condition=Q(job_id__isnull=False), name="receipt_of"
            ),
            # read by the list of receipts that match nothing: evidence.unmatched
            models.Index(fields=["environment_id", "id"], condition=Q(job_id__isnull=True), name="receipt_unmatched"),
        ]


class Suppression(ScopedModel):
    """An address that this environment must not contact over one channel, and why."""

    id_prefix = "sup"

    class Reason(models.TextChoices):
        MANUAL = "manual", "Added by hand"
        HARD_BOUNCE = "hard_bounce", "Hard bounce"
        COMPLAINT = "complaint", "Complaint"
        UNSUBSCRIBED = "unsubscribed", "Unsubscribed elsewhere"
        IMPORTED = "imported", "Imported"

    address = models.TextField()
    channel = models.CharField(max_length=20)
    reason = models.CharField(max_length=20, choices=Reason)
    detail = models.CharField(max_length=300, default="")
    source = models.CharField(max_length=80, default="")  # the event or key that caused it
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            # read by every claim: sql `claim_window` asks whether an address is on the list
            models.UniqueConstraint(
                F("environment"), F("channel"), Lower("address"), name="address_is_suppressed_once"
            ),
        ]


class ConsentEvent(models.Model):
    """Evidence: who decided what about which channel, when, and how we learnt it. Append-only mass table."""

    class Action(models.TextChoices):
        UNSUBSCRIBED = "unsubscribed"
        RESUBSCRIBED = "resubscribed"
        SUPPRESSED = "suppressed"
        UNSUPPRESSED = "unsuppressed"
        CONSENTED = "consented"
        WITHDRAWN = "withdrawn"

    environment_id = models.BigIntegerField()
    person_id = models.BigIntegerField(null=True)  # null: an address that nobody here has
    address = models.TextField()
    channel = models.CharField(max_length=20)
    topic = models.CharField(max_length=40, default="", db_default="")  # its slug; empty: the whole channel
    action = models.CharField(max_length=20, choices=Action)
    how = models.CharField(max_length=20)  # one_click, page, receipt, console, api
    source = models.CharField(max_length=120)  # event id, token or public id that stands behind it
    job_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=200)
    ip = models.CharField(max_length=45, default="")
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["environment_id", "source", "action", "address", "channel", "topic"],
                name="consent_evidence_is_kept_once",
            )
        ]
        indexes = [
            # read by the consent history of one person
            models.Index(fields=["environment_id", "person_id", "id"], name="consent_of_person")
        ]


class CapturedMail(ScopedModel):
    """A message that the capture server took instead of the world, as it was received. Mass table."""

    id_prefix = "cap"

    job_id = models.BigIntegerField()
    position = models.IntegerField()
    message_id = models.TextField()
    sender = models.TextField()
    recipient = models.TextField()
    subject = models.TextField()
    raw = models.BinaryField()
    received_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        indexes = [
            # read by the list of one job and by the proof that nothing was captured twice
            models.Index(fields=["environment", "job_id", "position"], name="captured_of"),
            # read by the list, newest first
            models.Index(fields=["environment", "id"], name="captured_newest"),
        ]


class Installation(models.Model):
    """Which installation this database belongs to. One row; production sends only from its own installation."""

    singleton = models.BooleanField(primary_key=True, default=True)
    installation_id = models.CharField(max_length=120)
    recorded_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(singleton=True), name="there_is_one_installation")]
