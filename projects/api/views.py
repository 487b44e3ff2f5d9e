"""REST of API keys (of this environment) and members (of its workspace)."""

from datetime import timedelta

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audit import refusals
from audit.chain import Subject
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import page
from lamba_campaigns.web.rest import RestView, validated
from projects import keys, members
from projects.api import serializers as shapes
from projects.models import ApiKey, Member

KEY = OpenApiParameter("key", str, OpenApiParameter.PATH, description="key_…")
MEMBER = OpenApiParameter("user", str, OpenApiParameter.PATH, description="usr_…")
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]


class KeyList(RestView):
    """The keys of this environment. Creating one answers its text once; so a repeated POST makes a second key."""

    permissions = {"GET": "keys.manage", "POST": "keys.manage"}

    @extend_schema(tags=["Keys"], operation_id="listKeys", parameters=PAGING, responses=shapes.KeyPage)
    def get(self, request: Request) -> Response:
        now = timezone.now()
        return page(ApiKey.objects.within(self.scope), request, lambda key: shapes.key_json(key, now=now))

    @extend_schema(
        tags=["Keys"], operation_id="createKey", request=shapes.KeyRequest, responses={201: shapes.NewKeyResponse}
    )
    def post(self, request: Request) -> Response:
        """Not idempotent on purpose: a kept answer would be a secret at rest."""
        given, now = validated(shapes.KeyRequest, request), timezone.now()
        subject = Subject("api_key", "new", given["name"])
        with refusals.recording(scope=self.scope, actor=self.actor, action="key.created", subject=subject, now=now):
            key, text = keys.create(
                access=self.access,
                name=given["name"],
                permissions=given["permissions"],
                life=timedelta(days=given["days"]),
                now=now,
            )
        return Response({**shapes.key_json(key, now=now), "key": text}, status=201)


class KeyDetail(RestView):
    permissions = {"GET": "keys.manage", "DELETE": "keys.manage"}

    @extend_schema(tags=["Keys"], operation_id="readKey", parameters=[KEY], responses=shapes.KeyResponse)
    def get(self, request: Request, key: str) -> Response:
        return Response(shapes.key_json(keys.find(scope=self.scope, key=key), now=timezone.now()))

    @extend_schema(tags=["Keys"], operation_id="revokeKey", parameters=[KEY], responses=shapes.KeyResponse)
    def delete(self, request: Request, key: str) -> Response:
        now = timezone.now()
        found = keys.revoke(scope=self.scope, actor=self.actor, key=key, now=now)
        return Response(shapes.key_json(found, now=now))


class MemberList(RestView):
    permissions = {"GET": "members.manage", "POST": "members.manage"}

    @extend_schema(tags=["Members"], operation_id="listMembers", parameters=PAGING, responses=shapes.MemberPage)
    def get(self, request: Request) -> Response:
        rows = Member.objects.select_related("user").filter(workspace_id=self.scope.workspace_id)
        return page(rows, request, shapes.member_json, newest_first=False)

    @extend_schema(
        tags=["Members"],
        operation_id="addMember",
        request=shapes.MemberRequest,
        responses={201: shapes.MemberResponse},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        given, now = validated(shapes.MemberRequest, request), timezone.now()
        subject = Subject("member", "new", given["email"])
        with refusals.recording(scope=self.scope, actor=self.actor, action="member.added", subject=subject, now=now):
            member = members.add(scope=self.scope, actor=self.actor, email=given["email"], role=given["role"], now=now)
        return Response(shapes.member_json(member), status=201)


class MemberDetail(RestView):
    permissions = {"GET": "members.manage", "PATCH": "members.manage", "DELETE": "members.manage"}

    @extend_schema(tags=["Members"], operation_id="readMember", parameters=[MEMBER], responses=shapes.MemberResponse)
    def get(self, request: Request, user: str) -> Response:
        return Response(shapes.member_json(members.find(scope=self.scope, user=user)))

    @extend_schema(
        tags=["Members"],
        operation_id="changeMember",
        parameters=[MEMBER],
        request=shapes.RoleRequest,
        responses=shapes.MemberResponse,
    )
    def patch(self, request: Request, user: str) -> Response:
        given, now = validated(shapes.RoleRequest, request), timezone.now()
        subject = Subject("member", user)
        with refusals.recording(scope=self.scope, actor=self.actor, action="member.changed", subject=subject, now=now):
            member = members.change_role(scope=self.scope, actor=self.actor, user=user, role=given["role"], now=now)
        return Response(shapes.member_json(member))

    @extend_schema(tags=["Members"], operation_id="removeMember", parameters=[MEMBER], responses={204: None})
    def delete(self, request: Request, user: str) -> Response:
        now = timezone.now()
        subject = Subject("member", user)
        with refusals.recording(scope=self.scope, actor=self.actor, action="member.removed", subject=subject, now=now):
            members.remove(scope=self.scope, actor=self.actor, user=user, now=now)
        return Response(status=204)
