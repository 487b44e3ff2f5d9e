"""A template is a name with numbered versions. A version, once published, never changes."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from campaigns.models.campaign import Channel
from projects.scoping import ScopedForeignKey, ScopedModel

SUBJECT_LENGTH_MAX = 300
PREHEADER_LENGTH_MAX = 300
BODY_LENGTH_MAX = 100_000


class Format(models.TextChoices):
    """What a body is written in."""

    MARKDOWN = "markdown"
    MJML = "mjml", "MJML"


class Template(ScopedModel):
    """The message that people edit. `latest_number` is the newest published version; 0 before the first.

    The draft is what the editor holds between two versions; nothing is ever sent from it.
    """

    id_prefix = "tpl"

    class Status(models.TextChoices):
        ACTIVE = "active"
        ARCHIVED = "archived"

    name = models.CharField(max_length=120)
    channel = models.CharField(max_length=10, choices=Channel, default=Channel.EMAIL)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    state_version = models.PositiveIntegerField(default=1)
    latest_number = models.PositiveIntegerField(default=0)
    draft_subject = models.CharField(max_length=SUBJECT_LENGTH_MAX, default="", blank=True)
    draft_preheader = models.CharField(max_length=PREHEADER_LENGTH_MAX, default="", blank=True)
    draft_body = models.TextField(default="", blank=True)
    draft_text = models.TextField(default="", db_default="", blank=True)  # empty: made from the body
    draft_variants = models.JSONField(default=dict, db_default={}, blank=True)  # locale -> the four texts
    draft_format = models.CharField(max_length=10, choices=Format, default=Format.MARKDOWN, db_default="markdown")
    draft_layout = models.CharField(
        max_length=60, default="", db_default="", blank=True
    )  # a layout's name; empty: ours
    draft_saved_at = models.DateTimeField(null=True)  # null: nothing unpublished
    created_by = models.CharField(max_length=200)
    updated_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.CheckConstraint(condition=Q(status__in=["active", "archived"]), name="template_status_is_known"),
            models.UniqueConstraint(
                fields=["environment", "name"], condition=Q(status="active"), name="template_name_is_unique"
            ),
        ]
        indexes = [
            # the template list and the picker of a campaign: newest change first
            models.Index("environment", models.F("updated_at").desc(), "id", name="template_by_change"),
        ]


class TemplateVersion(ScopedModel):
    """What was published, word for word. A trigger refuses any later change, so a send can be explained for ever."""

    id_prefix = "tpv"

    template = ScopedForeignKey(Template, related_name="versions")
    number = models.PositiveIntegerField()
    subject = models.CharField(max_length=SUBJECT_LENGTH_MAX)
    preheader = models.CharField(max_length=PREHEADER_LENGTH_MAX, default="", blank=True)
    body = models.TextField()  # Markdown or MJML, with Liquid
    text = models.TextField(default="", db_default="", blank=True)  # the plain-text part; empty: made from the body
    variants = models.JSONField(default=dict, db_default={}, blank=True)  # locale -> the four texts in that language
    format = models.CharField(max_length=10, choices=Format, default=Format.MARKDOWN, db_default="markdown")
    layout = models.CharField(max_length=60, default="", db_default="", blank=True)  # its version stands in `parts`
    variables = ArrayField(models.CharField(max_length=120), default=list)
    digest = models.BinaryField(max_length=32)  # SHA-256 over the texts and the parts that they hold
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["template", "number"], name="template_version_number_is_used_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="template_version_counts_from_one"),
        ]
