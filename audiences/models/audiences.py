"""Audiences and their immutable versions."""

from django.db import models
from django.db.models import Q

from projects.scoping import ScopedForeignKey, ScopedModel


class Audience(ScopedModel):
    """A named rule. Changing the rule adds a version; `version` is the number of the newest one."""

    id_prefix = "aud"

    name = models.CharField(max_length=120)
    description = models.CharField(max_length=500, default="", blank=True)
    version = models.PositiveIntegerField(default=1)
    state_version = models.PositiveIntegerField(default=1)  # the etag: grows with every change
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(
                fields=["environment", "name"], condition=Q(deleted_at=None), name="audience_name_is_unique"
            ),
        ]


class AudienceVersion(ScopedModel):
    """The rule of an audience at one moment. Never changed (a trigger refuses it): snapshots point here."""

    id_prefix = "auv"

    audience = ScopedForeignKey(Audience, related_name="versions")
    number = models.PositiveIntegerField()
    rule = models.JSONField()
    digest = models.BinaryField(max_length=32)  # SHA-256 of the rule's canonical form
    sentence = models.TextField()
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["audience", "number"], name="audience_version_number_is_unique"),
        ]
