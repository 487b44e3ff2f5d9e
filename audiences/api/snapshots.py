"""REST of snapshots: taken for an audience, read with members and everyone left out."""

from collections.abc import Iterator

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audiences import definitions, explaining, snapshot
from audiences.api import shapes
from audiences.api.audience_shapes import ExplanationResponse
from audiences.models import Snapshot
from audiences.reasons import NUMBERS
from lamba_campaigns.lib import ids
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import bad_query, cursor_number, encode_cursor, page, page_size
from lamba_campaigns.web.rest import RestView, validated


def csv_stream(lines: Iterator[str], name: str) -> StreamingHttpResponse:
    """Lines of CSV as a download."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


AUDIENCE = OpenApiParameter("audience", str, OpenApiParameter.PATH, description="aud_…")
SNAPSHOT = OpenApiParameter("snapshot_id", str, OpenApiParameter.PATH, description="snp_…")
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]


class AudienceSnapshots(RestView):
    permissions = {"GET": "console.read", "POST": "audiences.write"}

    @extend_schema(
        tags=["Snapshots"],
        operation_id="listSnapshots",
        parameters=[AUDIENCE, *PAGING],
        responses=shapes.SnapshotPage,
    )
    def get(self, request: Request, audience: str) -> Response:
        found = definitions.find(scope=self.scope, audience_id=audience)
        rows = Snapshot.objects.within(self.scope).select_related("audience_version__audience")
        return page(rows.filter(audience_version__audience=found), request, shapes.snapshot_json)

    @extend_schema(
        tags=["Snapshots"],
        operation_id="takeSnapshot",
        parameters=[AUDIENCE],
        request=shapes.SnapshotRequest,
        responses={201: shapes.SnapshotResponse},
    )
    @idempotent
    def post(self, request: Request, audience: str) -> Response:
        """Freeze who the audience is now. A launch takes its own snapshot; this one is for your evidence."""
        given = validated(shapes.SnapshotRequest, request)
        found = definitions.find(scope=self.scope, audience_id=audience)
        taken = snapshot.take(
            scope=self.scope,
            actor=self.actor,
            version=definitions.latest(found),
            channel=given["channel"],
            fields=given["fields"],
            purpose=f"api:{ids.ulid()}",
            now=timezone.now(),
        )
        taken = snapshot.get(scope=self.scope, public_id=taken.public_id)
        headers = {"Location": f"/api/v1/snapshots/{taken.public_id}"}
        return Response(shapes.snapshot_json(taken), status=201, headers=headers)


class SnapshotDetail(RestView):
    permissions = {"GET": "console.read"}

    @extend_schema(
        tags=["Snapshots"], operation_id="readSnapshot", parameters=[SNAPSHOT], responses=shapes.SnapshotResponse
    )
    def get(self, request: Request, snapshot_id: str) -> Response:
        return Response(shapes.snapshot_json(snapshot.get(scope=self.scope, public_id=snapshot_id)))


class SnapshotExplanation(RestView):
    permissions = {"GET": "people.read"}

    @extend_schema(
        tags=["Snapshots"],
        operation_id="explainSnapshot",
        parameters=[
            SNAPSHOT,
            OpenApiParameter("person", str, required=True, description="per_…, Lamba's user id, or an email address."),
        ],
        responses=ExplanationResponse,
    )
    def get(self, request: Request, snapshot_id: str) -> Response:
        """Why this person is a member, was left out, or was never matched; also when the audience is deleted by now."""
        taken = snapshot.get(scope=self.scope, public_id=snapshot_id)
        asked = request.query_params.get("person", "").strip()
        if not asked:
            raise bad_query("person", "Who is meant? The parameter person is missing.", "Add ?person=per_….")
        person = explaining.find_one(scope=self.scope, text=asked[:254])
        return Response(explaining.as_json(explaining.explain_then(scope=self.scope, snapshot=taken, person=person)))


class SnapshotMembers(RestView):
    permissions = {"GET": "people.read"}

    @extend_schema(
        tags=["Snapshots"],
        operation_id="listSnapshotMembers",
        parameters=[
            SNAPSHOT,
            OpenApiParameter("show", str, enum=["included", "excluded"]),
            OpenApiParameter("reason", str, description="Only those left out for this reason.", enum=list(NUMBERS)),
            *PAGING,
        ],
        responses=shapes.SnapshotMemberPage,
    )
    def get(self, request: Request, snapshot_id: str) -> Response:
        found = snapshot.get(scope=self.scope, public_id=snapshot_id)
        reason = request.query_params.get("reason", "")
        show = request.query_params.get("show", "excluded" if reason else "included")
        if show not in ("included", "excluded"):
            raise bad_query("show", f"{show!r} is not shown.", "Use included or excluded.")
        if reason and reason not in NUMBERS:
            raise bad_query("reason", f"{reason!r} is no reason.", f"Use one of {', '.join(NUMBERS)}.")
        size = page_size(request)
        rows = snapshot.members(
            scope=self.scope, snapshot=found, included=show == "included", after=cursor_number(request) or 0
        )
        if reason:
            rows = rows.filter(reason=NUMBERS[reason])
        listed = list(rows[: size + 1])
        last = listed[size - 1].position if len(listed) > size else None
        return Response(
            {"items": [shapes.member_json(row) for row in listed[:size]], "nextCursor": encode_cursor(last)}
        )


class SnapshotMembersCsv(RestView):
    permissions = {"GET": "people.export"}

    @extend_schema(
        tags=["Snapshots"],
        operation_id="exportSnapshotMembers",
        parameters=[SNAPSHOT, OpenApiParameter("show", str, enum=["included", "excluded"])],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request, snapshot_id: str) -> StreamingHttpResponse:
        """Everybody included, or left out, as CSV. Every export is in the audit trail."""
        found = snapshot.get(scope=self.scope, public_id=snapshot_id)
        show = request.query_params.get("show", "included")
        if show not in ("included", "excluded"):
            raise bad_query("show", f"{show!r} is not shown.", "Use included or excluded.")
        lines = snapshot.export(
            scope=self.scope, actor=self.actor, snapshot=found, included=show == "included", now=timezone.now()
        )
        return csv_stream(lines, f"{found.public_id}-{show}.csv")
