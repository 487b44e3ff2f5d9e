"""REST of templates: drafts, immutable versions, and previews as a real person."""

from dataclasses import replace
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from campaigns import previews, templates
from campaigns.api import template_shapes as shapes
from campaigns.api.campaigns import IDEMPOTENCY, IF_MATCH, PAGES
from campaigns.models import Template, TemplateVersion
from campaigns.templates import TEXTS, Message
from lamba_campaigns.web import pagination
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.rest import RestView, etag, expected_version, validated


class TemplateList(RestView):
    permissions = {"GET": "console.read", "POST": "templates.write"}

    @extend_schema(
        operation_id="templates_list",
        parameters=[*PAGES, OpenApiParameter("status", str, enum=["active", "archived"])],
        responses=shapes.TemplatePage,
    )
    def get(self, request: Request) -> Response:
        """Active templates, newest first."""
        status = request.query_params.get("status", "active")
        if status not in Template.Status.values:
            raise pagination.bad_query("status", f"{status!r} is no status.", "Use active or archived.")
        found = Template.objects.within(self.scope).filter(status=status)
        return pagination.page(found, request, lambda row: shapes.TemplateRead(row).data)

    @extend_schema(
        operation_id="templates_create",
        parameters=[IDEMPOTENCY],
        request=shapes.TemplateBody,
        responses={201: shapes.TemplateItemRead},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """A new template with version 1, or as a draft. 402 over the plan's number of templates."""
        values = validated(shapes.TemplateBody, request)
        made = templates.create(
            scope=self.scope,
            actor=self.actor,
            name=values["name"],
            message=_message(values),
            publish_it=values["publish"],
            channel=values["channel"],
            now=timezone.now(),
        )
        return _answer(made, 201)


class TemplateItem(RestView):
    permissions = {"GET": "console.read", "PATCH": "templates.write", "DELETE": "templates.write"}

    @extend_schema(operation_id="templates_read", responses=shapes.TemplateItemRead)
    def get(self, request: Request, template: str) -> Response:
        return _answer(templates.find(scope=self.scope, template_id=template))

    @extend_schema(
        operation_id="templates_edit",
        parameters=[IF_MATCH],
        request=shapes.TemplatePatch,
        responses=shapes.TemplateItemRead,
    )
    def patch(self, request: Request, template: str) -> Response:
        """Change the name or the unpublished draft. Nothing is sent from a draft."""
        version = expected_version(request)
        values = validated(shapes.TemplatePatch, request)
        found = templates.find(scope=self.scope, template_id=template)
        before = templates.current(scope=self.scope, template=found)
        saved = templates.save_draft(
            scope=self.scope,
            actor=self.actor,
            template_id=template,
            name=values.get("name", found.name),
            message=_message(values, before),
            version=version,
            now=timezone.now(),
        )
        return _answer(saved)

    @extend_schema(operation_id="templates_archive", parameters=[IF_MATCH], responses={204: None})
    def delete(self, request: Request, template: str) -> Response:
        """Archive it. Its versions stay readable for what was sent from them."""
        version = expected_version(request)
        templates.archive(scope=self.scope, actor=self.actor, template_id=template, version=version, now=timezone.now())
        return Response(status=204)


class TemplateVersions(RestView):
    permissions = {"GET": "console.read", "POST": "templates.write"}

    @extend_schema(operation_id="template_versions_list", parameters=PAGES, responses=shapes.TemplateVersionPage)
    def get(self, request: Request, template: str) -> Response:
        """Newest first."""
        found = templates.find(scope=self.scope, template_id=template)
        versions = TemplateVersion.objects.within(self.scope).filter(template=found)
        return pagination.page(versions, request, lambda row: shapes.TemplateVersionRead(row).data, key="number")

    @extend_schema(
        operation_id="template_versions_publish",
        parameters=[IF_MATCH, IDEMPOTENCY],
        request=shapes.MessageBody,
        responses={201: shapes.TemplateVersionRead},
    )
    @idempotent
    def post(self, request: Request, template: str) -> Response:
        """Publish the next version. 422 names unknown variables, broken Liquid and secrets by JSON pointer."""
        version = expected_version(request)
        values = validated(shapes.MessageBody, request)
        published = templates.publish(
            scope=self.scope,
            actor=self.actor,
            template_id=template,
            message=_message(values),
            version=version,
            now=timezone.now(),
        )
        answer = Response(shapes.TemplateVersionRead(published).data, 201)
        answer["ETag"] = etag(published.template.state_version)
        return answer


class TemplatePreview(RestView):
    permissions = {"POST": "people.read"}

    @extend_schema(operation_id="templates_preview", request=shapes.PreviewBody, responses=shapes.PreviewRead)
    def post(self, request: Request, template: str) -> Response:
        """The message as one person would get it. Nothing is stored and nobody is contacted."""
        values = validated(shapes.PreviewBody, request)
        found = templates.find(scope=self.scope, template_id=template)
        base = templates.current(scope=self.scope, template=found)
        shown = previews.preview(scope=self.scope, message=_message(values, base), person_id=values.get("person"))
        return Response(shown.as_json())


def _message(values: dict[str, Any], before: Message | None = None) -> Message:
    """What is given, in place of what was there."""
    names = (*TEXTS, "variants", "format", "layout")
    return replace(before or Message("", "", ""), **{name: values[name] for name in names if name in values})


def _answer(template: Template, status: int = 200) -> Response:
    return Response(shapes.TemplateItemRead(template).data, status, headers={"ETag": etag(template.state_version)})
