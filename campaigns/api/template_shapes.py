"""Templates as REST shows them and takes them. camelCase outside, our own words inside."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audiences.channels import CHANNEL_BITS
from campaigns.models import Template, TemplateVersion
from lamba_campaigns.web.rest import StrictSerializer, etag

CHANNELS = list(CHANNEL_BITS)


class VariantBody(StrictSerializer):
    """The message in another language. What is left out is empty."""

    subject = serializers.CharField(max_length=300)
    preheader = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    body = serializers.CharField(max_length=100_000, trim_whitespace=False)
    text = serializers.CharField(
        max_length=100_000, trim_whitespace=False, required=False, allow_blank=True, default=""
    )


TEXT_HELP = "The plain-text part, in Liquid. Made from the body when empty."
VARIANTS_HELP = (
    "Locale -> the message for people of that locale: de-CH is tried before de, and de before the message itself. "
    "The document replaces the one before as a whole."
)


FORMAT_HELP = "Of every body: Markdown (with HTML), or a whole page in MJML."
LAYOUT_HELP = "The name of a layout around a Markdown body; empty: the standard one."


class MessageBody(StrictSerializer):
    subject = serializers.CharField(max_length=300)
    preheader = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    body = serializers.CharField(max_length=100_000, trim_whitespace=False)
    text = serializers.CharField(
        max_length=100_000,
        trim_whitespace=False,
        required=False,
        allow_blank=True,
        default="",
        help_text=TEXT_HELP,
    )
    variants = serializers.DictField(child=VariantBody(), required=False, default=dict, help_text=VARIANTS_HELP)
    format = serializers.ChoiceField(
        choices=["markdown", "mjml"], required=False, default="markdown", help_text=FORMAT_HELP
    )
    layout = serializers.CharField(max_length=60, required=False, allow_blank=True, default="", help_text=LAYOUT_HELP)


class TemplateBody(MessageBody):
    name = serializers.CharField(max_length=120)
    channel = serializers.ChoiceField(choices=CHANNELS, default="email")
    publish = serializers.BooleanField(default=True, help_text="False keeps it as a draft without a version.")


class TemplatePatch(StrictSerializer):
    """The unpublished draft and the name."""

    name = serializers.CharField(max_length=120, required=False)
    subject = serializers.CharField(max_length=300, required=False, allow_blank=True)
    preheader = serializers.CharField(max_length=300, required=False, allow_blank=True)
    body = serializers.CharField(max_length=100_000, trim_whitespace=False, required=False, allow_blank=True)
    text = serializers.CharField(
        max_length=100_000, trim_whitespace=False, required=False, allow_blank=True, help_text=TEXT_HELP
    )
    variants = serializers.DictField(child=VariantBody(), required=False, help_text=VARIANTS_HELP)
    format = serializers.ChoiceField(choices=["markdown", "mjml"], required=False, help_text=FORMAT_HELP)
    layout = serializers.CharField(max_length=60, required=False, allow_blank=True, help_text=LAYOUT_HELP)


class PreviewBody(StrictSerializer):
    """The newest version as one person would get it, or the given text in its place."""

    personId = serializers.CharField(
        source="person", max_length=128, required=False, help_text="Our id or the external id; a sample when left out."
    )
    subject = serializers.CharField(max_length=300, required=False, allow_blank=True)
    preheader = serializers.CharField(max_length=300, required=False, allow_blank=True)
    body = serializers.CharField(max_length=100_000, trim_whitespace=False, required=False, allow_blank=True)
    text = serializers.CharField(
        max_length=100_000, trim_whitespace=False, required=False, allow_blank=True, help_text=TEXT_HELP
    )
    variants = serializers.DictField(child=VariantBody(), required=False, help_text=VARIANTS_HELP)
    format = serializers.ChoiceField(choices=["markdown", "mjml"], required=False, help_text=FORMAT_HELP)
    layout = serializers.CharField(max_length=60, required=False, allow_blank=True, help_text=LAYOUT_HELP)


class ProblemRead(serializers.Serializer[Any]):
    pointer = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()
    severity = serializers.ChoiceField(choices=["error", "warning"])
    line = serializers.IntegerField(help_text="From 1; 0 is the whole field.")
    column = serializers.IntegerField(help_text="From 1; 0 is the whole field.")


class SmsSizeRead(serializers.Serializer[Any]):
    encoding = serializers.ChoiceField(choices=["GSM-7", "UCS-2"])
    units = serializers.IntegerField()
    segments = serializers.IntegerField()


class BriefRead(serializers.Serializer[Any]):
    title = serializers.CharField()
    text = serializers.CharField()
    html = serializers.CharField()
    sms = SmsSizeRead()


class PreviewRead(serializers.Serializer[Any]):
    person = serializers.CharField()
    subject = serializers.CharField()
    preheader = serializers.CharField()
    html = serializers.CharField()
    text = serializers.CharField()
    locale = serializers.CharField(help_text="The variant that this person reads; empty is the message itself.")
    problems = ProblemRead(many=True)
    brief = BriefRead(help_text="The same message in-app, by webhook and as SMS.")


class TemplateVersionRead(serializers.Serializer[TemplateVersion]):
    id = serializers.CharField(source="public_id")
    number = serializers.IntegerField()
    subject = serializers.CharField()
    preheader = serializers.CharField()
    body = serializers.CharField()
    text = serializers.CharField()
    variants = serializers.DictField(child=VariantBody())
    format = serializers.CharField()
    layout = serializers.CharField(help_text="Empty: the standard one.")
    variables = serializers.ListField(child=serializers.CharField())
    digest = serializers.SerializerMethodField()
    createdBy = serializers.CharField(source="created_by")
    createdAt = serializers.DateTimeField(source="created_at")

    def get_digest(self, row: TemplateVersion) -> str:
        return bytes(row.digest).hex()


class TemplateRead(serializers.Serializer[Template]):
    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    channel = serializers.CharField()
    status = serializers.CharField()
    latestVersion = serializers.IntegerField(source="latest_number", help_text="0 before the first.")
    hasDraft = serializers.SerializerMethodField()
    etag = serializers.SerializerMethodField()
    createdBy = serializers.CharField(source="created_by")
    updatedBy = serializers.CharField(source="updated_by")
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")

    def get_etag(self, row: Template) -> str:
        return etag(row.state_version)

    def get_hasDraft(self, row: Template) -> bool:
        return row.draft_saved_at is not None


class DraftRead(serializers.Serializer[Template]):
    subject = serializers.CharField(source="draft_subject")
    preheader = serializers.CharField(source="draft_preheader")
    body = serializers.CharField(source="draft_body")
    text = serializers.CharField(source="draft_text")
    variants = serializers.DictField(source="draft_variants", child=VariantBody())
    format = serializers.CharField(source="draft_format")
    layout = serializers.CharField(source="draft_layout", help_text="Empty: the standard one.")


class TemplateItemRead(TemplateRead):
    """One template alone also says what its draft holds."""

    draft = serializers.SerializerMethodField(help_text="What would be published next; null where nothing waits.")

    @extend_schema_field(DraftRead(allow_null=True))
    def get_draft(self, row: Template) -> dict[str, Any] | None:
        return None if row.draft_saved_at is None else DraftRead(row).data


class TemplatePage(serializers.Serializer[Any]):
    items = TemplateRead(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class TemplateVersionPage(serializers.Serializer[Any]):
    items = TemplateVersionRead(many=True)
    nextCursor = serializers.CharField(allow_null=True)
