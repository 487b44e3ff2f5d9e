"""REST of layouts and snippets: drafts, immutable versions, a check, and which templates hold them."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from campaigns import parts
from campaigns.api.campaigns import IDEMPOTENCY, IF_MATCH, PAGES
from campaigns.api.template_shapes import ProblemRead
from campaigns.models import Part, PartUse, PartVersion
from campaigns.models.part import PART_BODY_LENGTH_MAX
from lamba_campaigns.web import pagination
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.rest import RestView, StrictSerializer, etag, expected_version, validated

KINDS = ["snippet", "layout"]
BODY_HELP = (
    "A snippet is put in place of {% render 'name' %}. A layout is an HTML or MJML page with {{ content }} once, and "
    "with {{ unsubscribe_url }}; it may hold {{ preheader }} and {{ sender }}."
)


class PartText(StrictSerializer):
    body = serializers.CharField(max_length=PART_BODY_LENGTH_MAX, trim_whitespace=False, help_text=BODY_HELP)


class PartBody(PartText):
    kind = serializers.ChoiceField(choices=KINDS)
    name = serializers.CharField(max_length=60, help_text="Small letters, digits, - and _: templates write it.")
    publish = serializers.BooleanField(default=True, help_text="False keeps it as a draft without a version.")


class PartRead(serializers.Serializer[Part]):
    id = serializers.CharField(source="public_id")
    kind = serializers.ChoiceField(choices=KINDS)
    name = serializers.CharField()
    status = serializers.CharField()
    latestVersion = serializers.IntegerField(source="latest_number", help_text="0 before the first.")
    hasDraft = serializers.SerializerMethodField()
    etag = serializers.SerializerMethodField()
    createdBy = serializers.CharField(source="created_by")
    updatedBy = serializers.CharField(source="updated_by")
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")

    def get_etag(self, row: Part) -> str:
        return etag(row.state_version)

    def get_hasDraft(self, row: Part) -> bool:
        return row.draft_saved_at is not None


class PartItemRead(PartRead):
    """One part alone also says what its draft holds."""

    draft = serializers.SerializerMethodField(help_text="The text that waits; null where nothing does.")

    def get_draft(self, row: Part) -> str | None:
        return None if row.draft_saved_at is None else row.draft_body


class PartPage(serializers.Serializer[Any]):
    items = PartRead(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class PartVersionRead(serializers.Serializer[PartVersion]):
    id = serializers.CharField(source="public_id")
    number = serializers.IntegerField()
    body = serializers.CharField()
    digest = serializers.SerializerMethodField()
    createdBy = serializers.CharField(source="created_by")
    createdAt = serializers.DateTimeField(source="created_at")

    def get_digest(self, row: PartVersion) -> str:
        return bytes(row.digest).hex()


class PartVersionPage(serializers.Serializer[Any]):
    items = PartVersionRead(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class PartUseRead(serializers.Serializer[PartUse]):
    template = serializers.CharField(source="template_version.template.public_id")
    templateName = serializers.CharField(source="template_version.template.name")
    templateVersion = serializers.IntegerField(source="template_version.number")
    version = serializers.IntegerField(source="part_version.number", help_text="Which version of the part it holds.")


class PartUsePage(serializers.Serializer[Any]):
    items = PartUseRead(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class PartCheckRead(serializers.Serializer[Any]):
    problems = ProblemRead(many=True)


class PartList(RestView):
    permissions = {"GET": "console.read", "POST": "templates.write"}

    @extend_schema(
        operation_id="template_parts_list",
        parameters=[*PAGES, OpenApiParameter("kind", str, enum=KINDS)],
        responses=PartPage,
    )
    def get(self, request: Request) -> Response:
        """Active layouts and snippets, newest first."""
        found = Part.objects.within(self.scope).filter(status=Part.Status.ACTIVE)
        kind = request.query_params.get("kind", "")
        if kind and kind not in KINDS:
            raise pagination.bad_query("kind", f"{kind!r} is no kind of part.", "Use snippet or layout.")
        return pagination.page(found.filter(kind=kind) if kind else found, request, lambda row: PartRead(row).data)

    @extend_schema(
        operation_id="template_parts_create", parameters=[IDEMPOTENCY], request=PartBody, responses={201: PartItemRead}
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """A new layout or snippet with version 1, or as a draft."""
        values = validated(PartBody, request)
        publish_it = values.pop("publish")
        made = parts.create(scope=self.scope, actor=self.actor, publish_it=publish_it, now=timezone.now(), **values)
        return _answer(made, 201)


class PartItem(RestView):
    permissions = {"GET": "console.read", "PATCH": "templates.write", "DELETE": "templates.write"}

    @extend_schema(operation_id="template_parts_read", responses=PartItemRead)
    def get(self, request: Request, part: str) -> Response:
        return _answer(parts.find(scope=self.scope, part_id=part))

    @extend_schema(operation_id="template_parts_edit", parameters=[IF_MATCH], request=PartText, responses=PartItemRead)
    def patch(self, request: Request, part: str) -> Response:
        """Change the unpublished draft. Nothing takes a draft."""
        version = expected_version(request)
        values = validated(PartText, request)
        given: dict[str, Any] = {"scope": self.scope, "actor": self.actor, "now": timezone.now()}
        return _answer(parts.save_draft(part_id=part, body=values["body"], version=version, **given))

    @extend_schema(operation_id="template_parts_archive", parameters=[IF_MATCH], responses={204: None})
    def delete(self, request: Request, part: str) -> Response:
        """Archive it. Template versions that hold it go on as they are."""
        version = expected_version(request)
        parts.archive(scope=self.scope, actor=self.actor, part_id=part, version=version, now=timezone.now())
        return Response(status=204)


class PartVersions(RestView):
    permissions = {"GET": "console.read", "POST": "templates.write"}

    @extend_schema(operation_id="template_part_versions_list", parameters=PAGES, responses=PartVersionPage)
    def get(self, request: Request, part: str) -> Response:
        """Newest first."""
        found = parts.find(scope=self.scope, part_id=part)
        rows = PartVersion.objects.within(self.scope).filter(part=found)
        return pagination.page(rows, request, lambda row: PartVersionRead(row).data, key="number")

    @extend_schema(
        operation_id="template_part_versions_publish",
        parameters=[IF_MATCH, IDEMPOTENCY],
        request=PartText,
        responses={201: PartVersionRead},
    )
    @idempotent
    def post(self, request: Request, part: str) -> Response:
        """Publish the next version. A template takes it when it is published next, never before."""
        version = expected_version(request)
        body = validated(PartText, request)["body"]
        given: dict[str, Any] = {"scope": self.scope, "actor": self.actor, "now": timezone.now()}
        made = parts.publish(part_id=part, body=body, version=version, **given)
        answer = Response(PartVersionRead(made).data, 201)
        answer["ETag"] = etag(made.part.state_version)
        return answer


class PartUses(RestView):
    permissions = {"GET": "console.read"}

    @extend_schema(operation_id="template_parts_uses", responses=PartUsePage)
    def get(self, request: Request, part: str) -> Response:
        """The template versions that hold it, the newest hundred."""
        found = parts.uses(scope=self.scope, part=parts.find(scope=self.scope, part_id=part))
        return Response({"items": [PartUseRead(row).data for row in found], "nextCursor": None})


class PartCheck(RestView):
    permissions = {"POST": "console.read"}

    @extend_schema(operation_id="template_parts_check", request=PartText, responses=PartCheckRead)
    def post(self, request: Request, part: str) -> Response:
        """What is wrong or doubtful in this text as the part. Nothing is stored."""
        found = parts.find(scope=self.scope, part_id=part)
        body = validated(PartText, request)["body"]
        problems = parts.check(scope=self.scope, kind=found.kind, name=found.name, body=body)
        return Response({"problems": [ProblemRead(each).data for each in problems]})


def _answer(part: Part, status: int = 200) -> Response:
    return Response(PartItemRead(part).data, status, headers={"ETag": etag(part.state_version)})
