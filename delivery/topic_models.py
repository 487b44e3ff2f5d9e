"""Topics that people can choose, and what each of them chose (a mass table: no foreign keys, scope in the key)."""

from django.db import models
from django.db.models import Q

from projects.scoping import ScopedModel


class Topic(ScopedModel):
    """What a message is about, so that a person can end one kind of mail and keep another.

    `opt_in`: only people who said yes get it. Otherwise everybody does who can be contacted and did not say no.
    """

    id_prefix = "top"

    slug = models.CharField(max_length=40)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=200, default="", blank=True)
    opt_in = models.BooleanField(default=False)
    state_version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    archived_at = models.DateTimeField(null=True)  # no longer offered; choices stay

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["environment", "slug"], name="topic_slug_is_unique"),
            models.CheckConstraint(condition=~Q(name=""), name="topic_has_a_name"),
        ]


class TopicChoice(models.Model):
    """The newest decision of one person about one topic on one channel. Mass table.

    Written by `topics.choose` alone, which takes topic and people from the same environment.
    """

    # read by every claim of a job with a topic: sql `claim_window`, `claim_retries`
    pk = models.CompositePrimaryKey("environment_id", "topic_id", "channel_bit", "person_id")
    environment_id = models.BigIntegerField()
    topic_id = models.BigIntegerField()
    channel_bit = models.SmallIntegerField()  # audiences.channels.CHANNEL_BITS
    person_id = models.BigIntegerField()
    wanted = models.BooleanField()
    decided_at = models.DateTimeField()

    class Meta:
        indexes = [
            # read by the preference page and the consent of one person
            models.Index(fields=["environment_id", "person_id"], name="topic_choice_of_person")
        ]
