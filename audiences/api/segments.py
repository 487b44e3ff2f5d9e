"""REST of segments: lists of people, kept by hand or by Lamba's events."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audiences import segments
from audiences.api import shapes
from audiences.models import Segment
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import page
from lamba_campaigns.web.rest import RestView, etag, expected_version, validated

SEGMENT = OpenApiParameter("segment", str, OpenApiParameter.PATH, description="seg_…")
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True, description="The etag you read.")
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]


class SegmentList(RestView):
    permissions = {"GET": "console.read", "POST": "people.write"}

    @extend_schema(tags=["Segments"], operation_id="listSegments", responses=shapes.SegmentList)
    def get(self, request: Request) -> Response:
        found = segments.every(scope=self.scope)
        return Response(
            {"items": [shapes.segment_json(each.segment, each.people) for each in found], "nextCursor": None}
        )

    @extend_schema(
        tags=["Segments"],
        operation_id="createSegment",
        request=shapes.SegmentRequest,
        responses={201: shapes.SegmentResponse},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        given = validated(shapes.SegmentRequest, request)
        made = segments.create(scope=self.scope, actor=self.actor, now=timezone.now(), **given)
        headers = {"ETag": etag(made.state_version), "Location": f"/api/v1/segments/{made.public_id}"}
        return Response(shapes.segment_json(made, 0), status=201, headers=headers)


class SegmentDetail(RestView):
    permissions = {"GET": "console.read", "PATCH": "people.write"}

    @extend_schema(
        tags=["Segments"], operation_id="readSegment", parameters=[SEGMENT], responses=shapes.SegmentResponse
    )
    def get(self, request: Request, segment: str) -> Response:
        return self._answer(segments.get(scope=self.scope, public_id=segment))

    @extend_schema(
        tags=["Segments"],
        operation_id="updateSegment",
        parameters=[SEGMENT, IF_MATCH],
        request=shapes.SegmentChanges,
        responses=shapes.SegmentResponse,
    )
    def patch(self, request: Request, segment: str) -> Response:
        version, given = expected_version(request), validated(shapes.SegmentChanges, request)
        found = segments.get(scope=self.scope, public_id=segment)
        changed = segments.update(
            scope=self.scope,
            actor=self.actor,
            public_id=segment,
            state_version=version,
            name=given.get("name", found.name),
            description=given.get("description", found.description),
            now=timezone.now(),
        )
        return self._answer(changed)

    def _answer(self, segment: Segment) -> Response:
        counted = segments.count(scope=self.scope, segment=segment)
        return Response(shapes.segment_json(segment, counted), headers={"ETag": etag(segment.state_version)})


class SegmentMembers(RestView):
    permissions = {"GET": "people.read", "POST": "people.write"}

    @extend_schema(
        tags=["Segments"],
        operation_id="listSegmentMembers",
        parameters=[SEGMENT, *PAGING],
        responses=shapes.PersonPage,
    )
    def get(self, request: Request, segment: str) -> Response:
        found = segments.get(scope=self.scope, public_id=segment)
        rows = segments.members(scope=self.scope, segment=found).order_by()
        return page(rows, request, lambda row: shapes.person_json(row.person), key="person_id", newest_first=False)

    @extend_schema(
        tags=["Segments"],
        operation_id="changeSegmentMembers",
        parameters=[SEGMENT],
        request=shapes.SegmentMembersRequest,
        responses=shapes.SegmentResponse,
    )
    @idempotent
    def post(self, request: Request, segment: str) -> Response:
        given = validated(shapes.SegmentMembersRequest, request)
        found = segments.change_members(
            scope=self.scope,
            actor=self.actor,
            public_id=segment,
            add=given.get("add", ()),
            remove=given.get("remove", ()),
            now=timezone.now(),
        )
        return Response(shapes.segment_json(found, segments.count(scope=self.scope, segment=found)))
