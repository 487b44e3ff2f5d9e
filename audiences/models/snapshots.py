"""Who was chosen: a frozen audience, its members and the reason of everyone left out."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from audiences.models.audiences import AudienceVersion
from projects.scoping import ScopedForeignKey, ScopedModel, ScopedQuerySet


class Snapshot(ScopedModel):
    """What a rule selected at `taken_at`. Written once, whole (a trigger refuses every change)."""

    id_prefix = "snp"

    audience_version = ScopedForeignKey(AudienceVersion, related_name="snapshots")
    purpose = models.CharField(max_length=120)  # what it was taken for, such as launch:cmp_…; taken once
    channel = models.CharField(max_length=10)
    fields = ArrayField(models.CharField(max_length=80))  # merge fields kept with every included member
    exclusions = models.JSONField(default=dict)  # what the campaign left out, as audiences.exclusions writes it
    salt = models.CharField(max_length=80, default="")  # decides who is held out: the campaign
    split = models.JSONField(default=dict)  # of an A/B split: points of b, and how many people a and b have
    nested = models.JSONField(default=dict)  # audience id -> version of every audience that the rule asks about
    taken_at = models.DateTimeField()
    taken_month = models.DateField()  # first day; the partition of its members
    planned = models.PositiveIntegerField()  # everyone the rule matched
    included = models.PositiveIntegerField()
    excluded_counts = models.JSONField()  # reason name -> people
    rule_digest = models.BinaryField(max_length=32)
    member_digest = models.BinaryField(max_length=32)  # independent of order; see sql/snapshot.sql
    watermark = models.TextField()  # pg_current_snapshot() of the reading statement: which facts it saw
    created_by = models.CharField(max_length=200)

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["environment", "purpose"], name="snapshot_is_taken_once"),
        ]


class SnapshotMember(models.Model):
    """One person of a snapshot. Position 1..N and reason 0: included. Position -1..-M: excluded for `reason`.

    A mass table, partitioned by month, without foreign keys: one statement fills it, from people of the snapshot's own
    environment; `manage.py snapshot_verify` proves it.
    """

    pk = models.CompositePrimaryKey("taken_month", "snapshot_id", "position")
    taken_month = models.DateField()
    snapshot = models.ForeignKey(
        Snapshot, models.DO_NOTHING, related_name="members", db_constraint=False, db_index=False
    )
    position = models.IntegerField()
    environment = models.ForeignKey(
        "projects.Environment", models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    person = models.ForeignKey(
        "audiences.Person", models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    reason = models.SmallIntegerField()
    address = models.TextField(db_default="")
    truth = models.BigIntegerField(db_default=0)  # bit n: condition n of the rule held
    fields = models.JSONField(null=True)  # the merge fields asked for, as the template's `person`

    objects = ScopedQuerySet.as_manager()


class ErasedMember(models.Model):
    """A member whose person was erased: what the row weighed in the digest before and after, encrypted."""

    snapshot = ScopedForeignKey(Snapshot, related_name="erased", db_index=False)
    environment = models.ForeignKey("projects.Environment", models.PROTECT, related_name="+", db_index=False)
    position = models.IntegerField()
    weight_cipher = models.BinaryField()
    erased_at = models.DateTimeField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["snapshot", "position"], name="erased_member_is_unique")]
