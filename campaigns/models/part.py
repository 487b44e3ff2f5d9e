"""What templates share: snippets (a text for many messages) and layouts (the page around a message), with versions."""

from django.db import models
from django.db.models import Q

from campaigns.models.template import TemplateVersion
from projects.scoping import ScopedForeignKey, ScopedModel

PART_NAME_LENGTH_MAX = 60
PART_BODY_LENGTH_MAX = 50_000


class Part(ScopedModel):
    """A snippet or a layout, found by its name. `latest_number` is the newest published version; 0 before the first."""

    id_prefix = "prt"

    class Kind(models.TextChoices):
        SNIPPET = "snippet"
        LAYOUT = "layout"

    class Status(models.TextChoices):
        ACTIVE = "active"
        ARCHIVED = "archived"

    kind = models.CharField(max_length=10, choices=Kind)
    name = models.CharField(max_length=PART_NAME_LENGTH_MAX)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    state_version = models.PositiveIntegerField(default=1)
    latest_number = models.PositiveIntegerField(default=0)
    draft_body = models.TextField(default="", blank=True)
    draft_saved_at = models.DateTimeField(null=True)  # null: nothing unpublished
    created_by = models.CharField(max_length=200)
    updated_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.CheckConstraint(condition=Q(kind__in=["snippet", "layout"]), name="part_kind_is_known"),
            models.CheckConstraint(condition=Q(status__in=["active", "archived"]), name="part_status_is_known"),
            models.CheckConstraint(
                condition=Q(name__regex=r"^[a-z0-9][a-z0-9_-]*$"), name="part_name_can_stand_in_a_template"
            ),
            # also read by every message that names parts
            models.UniqueConstraint(
                fields=["environment", "kind", "name"], condition=Q(status="active"), name="part_name_is_unique"
            ),
        ]


class PartVersion(ScopedModel):
    """What was published, word for word. A trigger refuses any later change."""

    id_prefix = "prv"

    part = ScopedForeignKey(Part, related_name="versions")
    number = models.PositiveIntegerField()
    body = models.TextField()
    digest = models.BinaryField(max_length=32)  # SHA-256 over the body
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["part", "number"], name="part_version_number_is_used_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="part_version_counts_from_one"),
        ]


class PartUse(ScopedModel):
    """A published template version holds this version of a part, for ever: a later one never changes what it sends."""

    id_prefix = "pru"

    template_version = ScopedForeignKey(TemplateVersion, related_name="parts")
    part_version = ScopedForeignKey(PartVersion, related_name="uses")

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["template_version", "part_version"], name="part_is_used_once"),
        ]
        indexes = [
            # read by "used by" of a part
            models.Index("environment", "part_version", name="part_use_by_part"),
        ]
