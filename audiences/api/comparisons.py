"""REST of differences: who joined and who left between two snapshots, or a snapshot and now, and why."""

from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audiences import comparing, snapshot
from audiences.api.snapshots import PAGING, SNAPSHOT, csv_stream
from audiences.comparing import KINDS, Between, Kind
from lamba_campaigns.lib.errors import NotFound
from lamba_campaigns.web.pagination import bad_query, cursor_number, encode_cursor, page_size
from lamba_campaigns.web.rest import RestView

WITH = OpenApiParameter("with", str, description="A later snapshot (snp_…), or now. Now when left out.")
SHOW = OpenApiParameter("show", str, enum=list(KINDS), description="joined when left out.")


class StandingCountResponse(serializers.Serializer[Any]):
    before = serializers.CharField(help_text="included, not_matched, or the reason.")
    after = serializers.CharField()
    people = serializers.IntegerField()


class StandingReasonResponse(serializers.Serializer[Any]):
    words = serializers.CharField()
    seenBefore = serializers.CharField()
    seenAfter = serializers.CharField()
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]  # the name that REST uses
    occurredAt = serializers.DateTimeField(allow_null=True)


class StandingChangeResponse(serializers.Serializer[Any]):
    personId = serializers.CharField()
    externalId = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    because = StandingReasonResponse(many=True)


class DiffResponse(serializers.Serializer[Any]):
    joined = serializers.IntegerField()
    left = serializers.IntegerField()
    stayed = serializers.IntegerField()
    moves = StandingCountResponse(many=True, help_text="Everyone of either side, by how they stood before and after.")
    items = StandingChangeResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class SnapshotDiff(RestView):
    permissions = {"GET": "people.read"}

    @extend_schema(
        tags=["Snapshots"],
        operation_id="compareSnapshots",
        parameters=[SNAPSHOT, WITH, SHOW, *PAGING],
        responses=DiffResponse,
    )
    def get(self, request: Request, snapshot_id: str) -> Response:
        """Who joined and who left since this snapshot, by which fact. `now` asks the newest version of the audience."""
        between = self._between(request, snapshot_id)
        found = comparing.counts(between)
        listed = comparing.people(
            between, kind=_kind(request), beyond=cursor_number(request) or 0, size=page_size(request)
        )
        return Response(
            {
                "joined": found.joined,
                "left": found.left,
                "stayed": found.stayed,
                "moves": [
                    {"before": before, "after": after, "people": count}
                    for (before, after), count in sorted(found.moves.items())
                ],
                "items": [comparing.as_json(row) for row in listed.rows],
                "nextCursor": encode_cursor(listed.beyond),
            }
        )

    def _between(self, request: Request, snapshot_id: str) -> Between:
        before = snapshot.get(scope=self.scope, public_id=snapshot_id)
        other = request.query_params.get("with", "now")
        after = None if other == "now" else snapshot.get(scope=self.scope, public_id=other)
        if after is None and before.audience_version.audience.deleted_at is not None:
            raise NotFound("The audience was deleted; there is nobody in it now.", next_step="Name a second snapshot.")
        return comparing.between(scope=self.scope, before=before, after=after, now=timezone.now())


class SnapshotDiffCsv(SnapshotDiff):
    permissions = {"GET": "people.export"}

    @extend_schema(
        tags=["Snapshots"],
        operation_id="exportSnapshotDiff",
        parameters=[SNAPSHOT, WITH, SHOW],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request, snapshot_id: str) -> StreamingHttpResponse:  # type: ignore[override]
        """All of them as CSV. Every export is in the audit trail."""
        between, kind = self._between(request, snapshot_id), _kind(request)
        lines = comparing.export(actor=self.actor, between=between, kind=kind)
        return csv_stream(lines, f"{snapshot_id}-{kind}.csv")


def _kind(request: Request) -> Kind:
    asked = request.query_params.get("show", "joined")
    for kind in KINDS:
        if kind == asked:
            return kind
    raise bad_query("show", f"{asked!r} is not shown.", f"Use one of {', '.join(KINDS)}.")
