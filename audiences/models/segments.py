"""Segments, and the numbers that names have in the masks of `audiences_personfacts`."""

from django.db import models
from django.db.models import Q

from projects.scoping import ScopedModel, ScopedQuerySet

WORD_BITS = 63  # the sign bit stays free
SEGMENTS_MAX = WORD_BITS * 4
ROLES_MAX = WORD_BITS
NUMBERS_MAX = 32_000  # lifecycle stages and plans are smallints


class Vocabulary(models.Model):
    """The number of one name: a bit for roles and segments (from 0), a value for stages and plans (from 1)."""

    class Kind(models.TextChoices):
        ROLE = "role"
        LIFECYCLE = "lifecycle"
        SEGMENT = "segment"
        PLAN = "plan"

    environment = models.ForeignKey("projects.Environment", models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    number = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=70)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["environment", "kind", "name"], name="vocabulary_name_has_one_number"),
            models.UniqueConstraint(fields=["environment", "kind", "number"], name="vocabulary_number_has_one_name"),
        ]


class Segment(ScopedModel):
    """A named set of people: a list that operators keep, or one that Lamba's events keep.

    `slug` is its vocabulary name, `number` its bit.
    """

    id_prefix = "seg"

    class Origin(models.TextChoices):
        LIST = "list", "List"
        LAMBA = "lamba", "From Lamba"

    slug = models.SlugField(max_length=60, db_index=False)
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=500, default="", blank=True)
    origin = models.CharField(max_length=10, choices=Origin)
    number = models.PositiveSmallIntegerField()  # the bit in segments_mask
    state_version = models.PositiveIntegerField(default=1)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["environment", "slug"], name="segment_slug_is_unique"),
            models.UniqueConstraint(fields=["environment", "number"], name="segment_number_is_unique"),
            models.CheckConstraint(condition=Q(number__lt=SEGMENTS_MAX), name="segment_number_has_a_bit"),
        ]
