"""Access to Lamba's own API, the runs that read its members, and every member as Lamba told it."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from audiences.models.people import Person
from projects.scoping import ScopedModel, ScopedQuerySet

CURSOR_LENGTH_MAX = 2_000


class LambaConnection(ScopedModel):
    """How one environment asks Lamba. Hosts and paths are data: Lamba's pages name them, and may change them."""

    id_prefix = "lbc"

    auth_url = models.CharField(max_length=300)  # https://id.uselamba.com
    api_url = models.CharField(max_length=300)  # https://api.uselamba.com
    token_path = models.CharField(max_length=200, default="/connect/token")
    members_path = models.CharField(max_length=200, default="/v1/admin/members")
    sms_path = models.CharField(max_length=200, default="/v1/admin/billing/addons/sms/status")
    cursor_parameter = models.CharField(max_length=40, default="cursor")  # Lamba's pages don't name it
    token_scope = models.CharField(max_length=200, default="", blank=True)
    page_size = models.PositiveSmallIntegerField(default=200)
    client_id = models.CharField(max_length=200)
    secret_cipher = models.BinaryField()
    secret_hint = models.CharField(max_length=8)  # its last characters
    sms_status = models.JSONField(null=True)  # the add-on's status as Lamba answered, unknown fields included
    sms_problem = models.CharField(max_length=300, default="")
    sms_checked_at = models.DateTimeField(null=True)
    state_version = models.PositiveIntegerField(default=1)
    updated_by = models.CharField(max_length=200)
    updated_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["environment"], name="lamba_connection_is_one"),
        ]


class BackfillRun(ScopedModel):
    """One pass over Lamba's members. The row is the job: `cursor` says where it goes on, `due_at` when."""

    id_prefix = "bfl"

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    cursor = models.CharField(max_length=CURSOR_LENGTH_MAX, default="")  # empty: the first page
    due_at = models.DateTimeField()  # while a worker has it: when its lease ends
    claim_count = models.PositiveIntegerField(default=0)  # the fence: an older claim writes nothing
    failure_count = models.PositiveSmallIntegerField(default=0)  # in a row
    restart_count = models.PositiveSmallIntegerField(default=0)  # Lamba forgot the cursor
    page_count = models.PositiveIntegerField(default=0)
    member_count = models.PositiveIntegerField(default=0)
    created_count = models.PositiveIntegerField(default=0)
    unreadable_count = models.PositiveIntegerField(default=0)
    problems = models.JSONField(default=list)  # the first unreadable members and the latest refusals, in words
    problem = models.CharField(max_length=500, default="")  # what it waits for, or why it failed
    created_by = models.CharField(max_length=200)
    created_by_id = models.CharField(max_length=64)
    created_at = models.DateTimeField()  # what Lamba's list says is known as of then
    finished_at = models.DateTimeField(null=True)

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(
                fields=["environment"], condition=Q(state__in=["queued", "running"]), name="backfill_runs_alone"
            ),
        ]
        indexes = [
            # ring_backfills: the queue.
            models.Index(
                fields=["due_at"], name="audiences_backfillrun_due", condition=Q(state__in=["queued", "running"])
            ),
        ]


class LambaMember(models.Model):
    """One member exactly as Lamba's list told it last. A mass table: written beside the facts, erased with them."""

    pk = models.CompositePrimaryKey("environment_id", "person_id")
    environment = models.ForeignKey(
        "projects.Environment", models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    person = models.ForeignKey(Person, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    raw = models.JSONField()
    source = models.CharField(max_length=80)  # backfill:bfl_…
    told_at = models.DateTimeField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = []
