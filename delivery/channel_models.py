"""How an environment reaches its channels, and the inbox that the in-app channel fills."""

from django.db import models
from django.db.models import Q

from projects.scoping import ScopedModel


class ChannelSettings(ScopedModel):
    """The connection of one channel in one environment. The secret is encrypted and was shown at most once."""

    id_prefix = "chn"

    channel = models.CharField(max_length=20)
    provider = models.CharField(max_length=30)
    config = models.JSONField(default=dict)  # nothing secret: addresses, names, limits
    secret_cipher = models.BinaryField(default=bytes)
    secret_hint = models.CharField(max_length=12, default="")  # its last characters, to recognise it
    state_version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField()
    updated_by = models.CharField(max_length=200)

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["environment", "channel"], name="channel_is_connected_once"),
            models.CheckConstraint(
                condition=Q(channel__in=["email", "in_app", "webhook", "sms"]), name="connected_channel_is_known"
            ),
        ]


class InboxItem(models.Model):
    """One in-app message of one person. Mass table, inserted by the in-app channel alone, by message."""

    id = models.BigAutoField(primary_key=True)
    environment_id = models.BigIntegerField()
    person_id = models.BigIntegerField()
    job_id = models.BigIntegerField()
    position = models.IntegerField()
    title = models.TextField()
    text = models.TextField()
    html = models.TextField()
    created_at = models.DateTimeField()
    fetched_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            # a micro-batch that is handed over twice leaves one item
            models.UniqueConstraint(fields=["environment_id", "job_id", "position"], name="one_inbox_item_a_message")
        ]
        indexes = [
            # read by the inbox of one person, newest first
            models.Index(fields=["environment_id", "person_id", "-id"], name="inbox_of_person"),
            # read by the unread count of one person
            models.Index(
                fields=["environment_id", "person_id"],
                condition=Q(read_at__isnull=True, archived_at__isnull=True),
                name="inbox_unread",
            ),
        ]
