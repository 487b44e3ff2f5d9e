"""Who was contacted about what, and who opened or clicked it: what rules and frequency caps ask of the past."""

from django.db import models

from projects.scoping import ScopedQuerySet

SUBJECT_LENGTH_MAX = 80


class ContactSubject(models.Model):
    """What people were contacted about, such as a campaign: its number and the month its contacts lie in."""

    environment = models.ForeignKey("projects.Environment", models.PROTECT, related_name="+")
    subject = models.CharField(max_length=SUBJECT_LENGTH_MAX)  # cmp_…
    name = models.CharField(max_length=200)
    month = models.DateField()  # first day; the partition of its contacts, whenever they happen
    introduced_at = models.DateTimeField()
    # At most CONTACT_STEP behind its newest contact: which subjects a frequency cap has to look at.
    active_at = models.DateTimeField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["environment", "subject"], name="contact_subject_is_known_once"),
        ]
        indexes = [
            # The subjects of the last days, for frequency caps; and the newest ones, for the rule builder.
            models.Index(fields=["environment", "active_at"], name="contact_subject_by_activity"),
        ]


class Contact(models.Model):
    """One person and one subject: when first contacted, first opened, first clicked. Repeats change nothing.

    A mass table, partitioned by the month of its subject, without foreign keys. Its only writer is
    `audiences/sql/contacts.sql`, which takes the environment from the subject's own row.
    """

    pk = models.CompositePrimaryKey("month", "subject_id", "person_id")
    month = models.DateField()
    subject = models.ForeignKey(
        ContactSubject, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    person = models.ForeignKey(
        "audiences.Person", models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    environment = models.ForeignKey(
        "projects.Environment", models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    contacted_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True)
    clicked_at = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()
