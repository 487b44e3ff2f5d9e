"""Events in, events out, and the endpoints they travel through. A queue row is the job: its state says what is due.

`InboundEvent` and `InboundConflict` are mass tables: no foreign-key triggers. Both take their environment from the
endpoint that received them (`ingest`), or from the scope that published them (`outbox`), in the inserting statement;
`sql/proofs.sql` holds the query that shows no row disagrees with its endpoint.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from lamba_campaigns.lib import clocks
from projects.scoping import ScopedForeignKey, ScopedModel, ScopedQuerySet

EVENT_ID_LENGTH_MAX = 128
EVENT_TYPE_LENGTH_MAX = 120


class Endpoint(ScopedModel):
    """A door of one environment: `in` receives signed events, `out` is a customer's URL that ours are sent to."""

    class Direction(models.TextChoices):
        IN = "in"
        OUT = "out"

    class Kind(models.TextChoices):
        LAMBA = "lamba", "Lamba"
        PROVIDER = "provider", "Mail provider"
        CUSTOMER = "customer", "Customer"

    class Status(models.TextChoices):
        ACTIVE = "active"
        DISABLED = "disabled"  # nothing is sent or received; can be enabled again
        RETIRED = "retired"  # deleted; the row stays for its history and the receiver answers 410

    id_prefix = "whe"

    direction = models.CharField(max_length=3, choices=Direction)
    kind = models.CharField(max_length=10, choices=Kind)
    scheme = models.CharField(max_length=20, default="lamba_v1")  # how `in` is verified: a name of schemes.SCHEMES
    name = models.CharField(max_length=120)
    url = models.URLField(max_length=2000, default="", blank=True)  # `out` only
    event_types = ArrayField(models.CharField(max_length=EVENT_TYPE_LENGTH_MAX), default=list)  # empty = every one
    api_version = models.CharField(max_length=10)  # the payload version this endpoint is pinned to
    ordered = models.BooleanField(default=False)  # `out` only: one event at a time, the earlier one first
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    disabled_reason = models.CharField(max_length=200, default="")
    failing_since = models.DateTimeField(null=True)  # the first failure after the last success
    notice_due_at = models.DateTimeField(null=True)  # it disabled itself, and its managers are to be told by mail
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.CheckConstraint(
                condition=Q(direction="in", url="", kind__in=["lamba", "provider"])
                | (Q(direction="out", kind="customer") & ~Q(url="")),
                name="endpoint_out_has_a_url_and_in_has_a_sender",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["active", "disabled", "retired"]), name="endpoint_status_is_known"
            ),
        ]
        indexes = [
            # read by delivery.notices
            models.Index(
                fields=["notice_due_at"], condition=Q(notice_due_at__isnull=False), name="endpoint_notice_due"
            ),
        ]


class EndpointSecret(ScopedModel):
    """A signing secret, encrypted at rest and shown once. During a rotation two or three are live."""

    id_prefix = "whs"

    endpoint = ScopedForeignKey(Endpoint, related_name="secrets")
    cipher = models.BinaryField()
    hint = models.CharField(max_length=8)  # its last characters, so that people can tell secrets apart
    created_at = models.DateTimeField()
    not_after = models.DateTimeField(null=True)  # null: until rotated
    last_used_at = models.DateTimeField(null=True)  # exact to a minute

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(
                fields=["endpoint"], condition=Q(not_after=None), name="endpoint_has_one_current_secret"
            ),
        ]
        indexes = [
            # read by the directory (live secrets of one endpoint, newest first)
            models.Index(fields=["environment", "endpoint", "-id"], name="secret_by_endpoint"),
        ]


QUEUED_STATES: tuple[str, ...] = ("received", "retry")
LEASED_STATE = "processing"


class InboundEvent(models.Model):
    """One event that came in, byte for byte as it was signed, and how far its processing is."""

    class State(models.TextChoices):
        RECEIVED = "received"
        PROCESSING = "processing"  # its worker died; it is tried alone
        PROCESSED = "processed"
        IGNORED = "ignored"  # nothing here handles its type
        QUARANTINED = "quarantined"  # not an envelope, or another environment's
        RETRY = "retry"
        PARKED = "parked"  # gave up; `error` says why, a person re-drives it

    class Source(models.TextChoices):
        LAMBA = "lamba", "Lamba"
        PROVIDER = "provider", "Mail provider"
        INTERNAL = "internal", "This console"

    id = models.BigAutoField(primary_key=True)  # the order of arrival
    environment = models.ForeignKey(
        "projects.Environment", models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    endpoint_id = models.BigIntegerField(null=True)  # null: published by this console itself
    event_id = models.CharField(max_length=EVENT_ID_LENGTH_MAX)
    source = models.CharField(max_length=10, choices=Source)
    type = models.CharField(max_length=EVENT_TYPE_LENGTH_MAX, null=True)  # noqa: DJ001 - null until it was parsed
    occurred_at = models.DateTimeField(null=True)  # as its sender claims; null until it was parsed
    received_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    raw = models.BinaryField()
    sha256 = models.BinaryField(max_length=32)
    headers = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=State, default=State.RECEIVED)
    attempts = models.PositiveSmallIntegerField(default=0)  # tries that ended; a try that runs is an InboundLease
    next_attempt_at = models.DateTimeField()  # while processing: when the lease ends
    handled_at = models.DateTimeField(null=True)
    error = models.TextField(default="")
    delivery_count = models.PositiveIntegerField(default=1)
    conflict = models.BooleanField(default=False)  # the same id came again with other bytes

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["environment", "event_id"], name="inbound_event_is_stored_once"),
            models.CheckConstraint(
                condition=Q(
                    state__in=["received", "processing", "processed", "ignored", "quarantined", "retry", "parked"]
                ),
                name="inbound_event_state_is_known",
            ),
        ]
        indexes = [
            # the queue: process.claim reads what is due in one environment, in order of arrival
            models.Index(
                fields=["environment", "next_attempt_at", "id"],
                condition=Q(state__in=QUEUED_STATES),
                name="inbound_event_queued",
            ),
            # what a worker holds: those whose lease ended are found without a look at the backlog
            models.Index(
                fields=["environment", "next_attempt_at", "id"],
                condition=Q(state=LEASED_STATE),
                name="inbound_event_leased",
            ),
            # the tabs of the inbox with their counts, and redrive ranges
            models.Index(
                fields=["environment", "state", "-id"],
                condition=Q(state__in=["quarantined", "retry", "parked", "ignored"]),
                name="inbound_event_unsettled",
            ),
            # the inbox, newest first, whole and by type (which costs nothing until the type is known)
            models.Index(fields=["environment", "-id"], name="inbound_event_newest"),
            models.Index(
                fields=["environment", "type", "-id"], condition=Q(type__isnull=False), name="inbound_event_by_type"
            ),
        ]

    @property
    def is_ahead(self) -> bool:
        """Whether it claims a future, and so counts from its arrival (`registry.Event`)."""
        return self.occurred_at is not None and clocks.is_ahead(self.occurred_at, received_at=self.received_at)


class InboundLease(models.Model):
    """A batch of events that one worker holds (`leases`). Gone when they are settled, or when it runs out."""

    id = models.BigAutoField(primary_key=True)
    environment = models.ForeignKey(
        "projects.Environment", models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    event_ids = ArrayField(models.BigIntegerField())  # of this environment: the claiming statement takes both
    ends_at = models.DateTimeField()

    objects = ScopedQuerySet.as_manager()


class InboundConflict(models.Model):
    """Another body that came under an id already seen. The first one counts; this one is kept as evidence."""

    id = models.BigAutoField(primary_key=True)
    environment = models.ForeignKey(
        "projects.Environment", models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    event_id = models.CharField(max_length=EVENT_ID_LENGTH_MAX)
    sha256 = models.BinaryField(max_length=32)
    raw = models.BinaryField()
    received_at = models.DateTimeField()
    audited_at = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["environment", "event_id", "sha256"], name="inbound_conflict_is_kept_once")
        ]
        indexes = [
            # read by process.audit_conflicts
            models.Index(fields=["id"], condition=Q(audited_at=None), name="inbound_conflict_unaudited"),
        ]


class OutboxHead(models.Model):
    """The last sequence of one environment. Its row lock makes sequences visible in order and without gaps."""

    environment = models.OneToOneField("projects.Environment", models.PROTECT, primary_key=True, related_name="+")
    sequence = models.BigIntegerField(default=0)


class OutboxEvent(ScopedModel):
    """A public event, frozen: every attempt and the pull API give the same id and the same bytes."""

    id_prefix = "evt"

    sequence = models.BigIntegerField()
    type = models.CharField(max_length=EVENT_TYPE_LENGTH_MAX)
    api_version = models.CharField(max_length=10)
    payload = models.BinaryField()
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            # read by the pull API and the outbox page
            models.UniqueConstraint(fields=["environment", "sequence"], name="outbox_sequence_is_used_once"),
        ]
        indexes = [
            # the outbox page by type
            models.Index(fields=["environment", "type", "-sequence"], name="outbox_event_by_type"),
            # a replay's range of time
            models.Index(fields=["environment", "occurred_at"], name="outbox_event_by_time"),
        ]


class Delivery(ScopedModel):
    """One event on its way to one endpoint: the row is the retry ladder."""

    class Status(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"  # the ladder ended
        SKIPPED = "skipped"  # its endpoint was disabled or deleted meanwhile

    id_prefix = "dlv"

    event = ScopedForeignKey(OutboxEvent, related_name="deliveries")
    endpoint = ScopedForeignKey(Endpoint, related_name="deliveries")
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)  # counted and committed before the request leaves
    next_attempt_at = models.DateTimeField()  # while a request is under way: when its lease ends
    response_code = models.PositiveSmallIntegerField(null=True)
    detail = models.CharField(max_length=200, default="")  # why the last attempt failed
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["event", "endpoint"], name="delivery_is_once_per_endpoint"),
        ]
        indexes = [
            # the queue: the sender finds the endpoints that anything waits for, and of each what is due
            models.Index(
                fields=["endpoint", "next_attempt_at", "id"], condition=Q(status="pending"), name="delivery_queued"
            ),
            # deliveries of one endpoint, newest first
            models.Index(fields=["environment", "endpoint", "-id"], name="delivery_by_endpoint"),
            # what waits for one endpoint, in order: sender.claim for ordered endpoints, and the count on the list
            models.Index(fields=["endpoint", "event"], condition=Q(status="pending"), name="delivery_waiting"),
        ]


class DeliveryAttempt(ScopedModel):
    """One request that left, and what came back."""

    id_prefix = "att"

    delivery = ScopedForeignKey(Delivery, related_name="attempt_log")
    number = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    request_headers = models.JSONField(default=dict)
    response_code = models.PositiveSmallIntegerField(null=True)  # null: no answer
    response_headers = models.JSONField(default=dict)
    excerpt = models.TextField(default="")  # the start of the answer's body
    detail = models.CharField(max_length=200, default="")

    class Meta(ScopedModel.Meta):
        indexes = [
            # attempts of one delivery in order
            models.Index(fields=["environment", "delivery", "number"], name="attempt_by_delivery"),
            # retention: what is older than the log is kept
            models.Index(fields=["started_at"], name="attempt_by_age"),
        ]
