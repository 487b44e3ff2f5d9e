"""What is known of people: the current value of every field with its origin, all values ever, and the narrow row.

Mass tables: no foreign-key triggers. Their only writers are `audiences/sql/facts.sql` and `imports.sql`, which take
person ids from `audiences_person` under the same environment; `manage.py snapshot_verify` and the scope test prove it.
"""

from typing import Any

from django.db import models

from projects.scoping import ScopedQuerySet

FIELD_LENGTH_MAX = 80
SOURCE_LENGTH_MAX = 80


class TransactionId(models.BigIntegerField):  # type: ignore[type-arg]  # not subscriptable when it runs
    """Postgres' 64-bit transaction id: what a snapshot saw is decided by it, exactly."""

    def db_type(self, connection: Any) -> str:
        return "xid8"


class Membership(models.IntegerChoices):
    UNKNOWN = 0, "Unknown"
    INVITED = 1, "Invited"
    ACTIVE = 2, "Active"
    SUSPENDED = 3, "Suspended"
    REMOVED = 4, "Removed"


class AddressState(models.IntegerChoices):
    NONE = 0, "No address"
    VALID = 1, "Valid address"
    INVALID = 2, "Invalid address"


class PersonFacts(models.Model):
    """The narrow row that rules scan: 8-byte columns first, so that nothing is padded. Fillfactor 80 keeps updates HOT.

    Bits: `roles_mask` by vocabulary number of the role; segment number n is bit n % 63 of word n // 63, where word 0 is
    `segments_mask`; channel masks by `audiences.channels`. `lifecycle` and `plan` are vocabulary numbers, 0 is unknown.
    """

    person = models.OneToOneField(
        "audiences.Person", models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="facts"
    )
    environment = models.ForeignKey(
        "projects.Environment", models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    roles_mask = models.BigIntegerField(db_default=0)
    segments_mask = models.BigIntegerField(db_default=0)
    segments_mask_1 = models.BigIntegerField(db_default=0)
    segments_mask_2 = models.BigIntegerField(db_default=0)
    segments_mask_3 = models.BigIntegerField(db_default=0)
    last_session_at = models.DateTimeField(null=True)
    lifecycle_at = models.DateTimeField(null=True)
    last_contacted_at = models.DateTimeField(null=True)  # this and the next two: the latest, by audiences.contacts
    session_count = models.IntegerField(db_default=0)
    membership = models.SmallIntegerField(choices=Membership, db_default=0)
    lifecycle = models.SmallIntegerField(db_default=0)
    plan = models.SmallIntegerField(db_default=0)
    consent_mask = models.SmallIntegerField(db_default=0)
    unsubscribed_mask = models.SmallIntegerField(db_default=0)
    suppressed_mask = models.SmallIntegerField(db_default=0)
    address_state = models.SmallIntegerField(choices=AddressState, db_default=0)  # of the e-mail address, at write time
    last_opened_at = models.DateTimeField(null=True)
    last_clicked_at = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            # Counts and snapshots of a small environment read only its own rows.
            models.UniqueConstraint(fields=["environment", "person"], name="audiences_personfacts_in_scope"),
        ]


class Fact(models.Model):
    """The current value of one field of one person: of all values ever told, the newest by (occurred_at, source)."""

    pk = models.CompositePrimaryKey("environment_id", "person_id", "field")
    environment = models.ForeignKey(
        "projects.Environment", models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    person = models.ForeignKey(
        "audiences.Person", models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    field = models.CharField(max_length=FIELD_LENGTH_MAX)
    value = models.JSONField(null=True)
    occurred_at = models.DateTimeField()
    source = models.CharField(max_length=SOURCE_LENGTH_MAX)  # evt_…, import:imp_…, or console:…

    objects = ScopedQuerySet.as_manager()

    class Meta:
        indexes = [
            # The members of a segment, in order, and their capped count.
            models.Index(
                fields=["environment", "field", "person"],
                name="audiences_fact_segment",
                condition=models.Q(field__startswith="segment.", value=True),
            ),
        ]


class FactHistory(models.Model):
    """Every value that an event told about a person. Append-only; only erasing a person removes rows.

    `transaction` decides what a snapshot saw: `pg_visible_in_snapshot(transaction, snapshot.watermark)`.
    """

    pk = models.CompositePrimaryKey("environment_id", "person_id", "field", "source")
    environment = models.ForeignKey(
        "projects.Environment", models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    person = models.ForeignKey(
        "audiences.Person", models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    field = models.CharField(max_length=FIELD_LENGTH_MAX)
    source = models.CharField(max_length=SOURCE_LENGTH_MAX)
    value = models.JSONField(null=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=models.functions.Now())
    transaction = TransactionId(db_default=models.Func(function="pg_current_xact_id"))

    objects = ScopedQuerySet.as_manager()


class FactRecord(models.Model):
    """All values that one import told about one person, in one row: history and origin of bulk data, cheaply.

    A field's current origin is the newest of its Fact and of the records whose `values` name it.
    """

    pk = models.CompositePrimaryKey("environment_id", "person_id", "source")
    environment = models.ForeignKey(
        "projects.Environment", models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    person = models.ForeignKey(
        "audiences.Person", models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    source = models.CharField(max_length=SOURCE_LENGTH_MAX)  # import:imp_…
    values = models.JSONField()
    occurred_at = models.DateTimeField()
    transaction = TransactionId(db_default=models.Func(function="pg_current_xact_id"))

    objects = ScopedQuerySet.as_manager()
