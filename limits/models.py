"""What a workspace bought, what it holds, and what it used. Counters are caches; the entries are the truth."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from lamba_campaigns.lib.ids import ID_LENGTH_MAX, new_id
from projects.scoping import ScopedForeignKey, ScopedModel


def _subscription_id() -> str:
    return new_id("sub")


def _add_on_id() -> str:
    return new_id("ado")


class PlanCatalogue(models.Model):
    """A published version of plans and add-ons. Append-only: what was sold under it can always be read."""

    version = models.CharField(max_length=40, unique=True)
    effective_from = models.DateTimeField(unique=True)
    source = models.TextField()
    content = models.JSONField()  # as limits.sheets checks it
    digest = models.CharField(max_length=64)  # hex SHA-256 of the content's canonical bytes
    published_by = models.CharField(max_length=200)
    published_at = models.DateTimeField()


class Subscription(models.Model):
    """Which plan a workspace has from `effective_from` on. The newest one that has begun counts."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        WITHDRAWN = "withdrawn"  # a future change that was changed again before it began

    public_id = models.CharField(max_length=ID_LENGTH_MAX, unique=True, default=_subscription_id, editable=False)
    workspace = models.ForeignKey("projects.Workspace", models.PROTECT, related_name="+")
    plan = models.CharField(max_length=40)
    effective_from = models.DateTimeField()
    overrides = models.JSONField(default=dict, blank=True)  # limit -> number or null (no limit); overage -> policy
    anchor_day = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(31)])
    time_zone = models.CharField(max_length=64, default="UTC")  # periods begin at midnight in it
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(anchor_day__range=(1, 31)), name="subscription_anchor_is_a_day"),
            models.UniqueConstraint(
                fields=["workspace", "effective_from"],
                condition=Q(status="active"),
                name="subscription_begins_once_at_a_time",
            ),
        ]


class WorkspaceAddOn(models.Model):
    """Units of one add-on that a workspace has, from `effective_from` until `effective_to` (open: null)."""

    public_id = models.CharField(max_length=ID_LENGTH_MAX, unique=True, default=_add_on_id, editable=False)
    workspace = models.ForeignKey("projects.Workspace", models.PROTECT, related_name="+")
    sku = models.CharField(max_length=40)
    quantity = models.PositiveIntegerField()
    effective_from = models.DateTimeField()
    effective_to = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(quantity__gt=0), name="add_on_has_units")]
        indexes = [models.Index("workspace", "effective_from", name="limits_add_on_of_workspace")]  # entitlements


class UsageCounter(models.Model):
    """used and reserved of one limit in one pool and period. Moved by guarded updates, proved against the entries."""

    pool = models.CharField(max_length=40)  # "workspace:3" (all its production) or "sandbox:8" (that one environment)
    limit_key = models.CharField(max_length=40)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField(null=True)
    used = models.BigIntegerField(default=0)
    reserved = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "limit_key", "period_start"], name="counter_is_one_per_period"),
            models.CheckConstraint(condition=Q(used__gte=0, reserved__gte=0), name="counter_is_not_negative"),
        ]


class Reservation(ScopedModel):
    """A hold on capacity for one purpose, all of its limits or none."""

    id_prefix = "res"

    class State(models.TextChoices):
        HELD = "held"
        SETTLED = "settled"  # ended, and some of it was used
        RELEASED = "released"  # ended unused
        EXPIRED = "expired"  # nobody ended it

    pool = models.CharField(max_length=40)
    purpose = models.CharField(max_length=80)  # "launch:cmp_…"
    state = models.CharField(max_length=10, choices=State, default=State.HELD)
    at = models.DateTimeField()  # when it is meant to be used; picked the period
    expires_at = models.DateTimeField(null=True)  # null: lives until released
    plan = models.CharField(max_length=40)
    asks = models.JSONField()  # [[key, quantity], …] as asked: the caps and channels too
    overage_quantity = models.BigIntegerField(default=0)
    grace_quantity = models.BigIntegerField(default=0)  # messages over the limit that the plan forgives
    overage_amount = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    actor_id = models.CharField(max_length=64)  # who reserved, and accepted the overage if there is any
    actor_label = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(
                fields=["environment", "purpose"],
                condition=Q(state__in=["held", "settled"]),
                name="reservation_purpose_is_used_once",
            ),
        ]
        indexes = [
            # expire_reservations: holds whose time has come
            models.Index("expires_at", name="limits_hold_by_expiry", condition=Q(state="held")),
            # the page's ledger of a pool, newest first
            models.Index("pool", F("id").desc(), name="limits_reservation_of_pool"),
        ]


class ReservationLine(ScopedModel):
    """What a reservation holds of one limit in one period. `held` falls to 0 as units are used or given back."""

    id_prefix = "rln"

    reservation = ScopedForeignKey(Reservation, related_name="lines")
    limit_key = models.CharField(max_length=40)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField(null=True)
    quantity = models.BigIntegerField()
    held = models.BigIntegerField()
    used = models.BigIntegerField(default=0)

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["reservation", "limit_key"], name="line_is_one_per_limit"),
            models.CheckConstraint(condition=Q(held__gte=0, used__gte=0), name="line_is_not_negative"),
        ]


class UsageEntry(models.Model):
    """One movement of a counter. Append-only; the counters must equal their sums. `event_key` makes it happen once."""

    environment = models.ForeignKey("projects.Environment", models.PROTECT, related_name="+")
    pool = models.CharField(max_length=40)
    limit_key = models.CharField(max_length=40)
    period_start = models.DateTimeField()
    delta_used = models.BigIntegerField()
    delta_reserved = models.BigIntegerField()
    reason = models.CharField(max_length=20)  # reserve, settle, release, expire
    reservation = ScopedForeignKey(Reservation, related_name="entries")
    event_key = models.CharField(max_length=120)
    occurred_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "reservation", "limit_key", "event_key"], name="usage_event_counts_once"
            )
        ]
        indexes = [
            models.Index("pool", "limit_key", "period_start", name="limits_entries_of_counter")
        ]  # prove_counters


class LimitWarning(ScopedModel):
    """A threshold that a limit crossed: once per pool, period and threshold."""

    id_prefix = "lwr"

    pool = models.CharField(max_length=40)
    limit_key = models.CharField(max_length=40)
    period_start = models.DateTimeField()
    threshold = models.PositiveSmallIntegerField()  # percent; 101 is "over"
    current = models.BigIntegerField()
    allowed = models.BigIntegerField()
    crossed_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(
                fields=["pool", "limit_key", "period_start", "threshold"], name="warning_is_given_once"
            ),
        ]
