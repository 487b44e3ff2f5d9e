"""REST of the suppression list as a file: CSV in, CSV out."""

from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from delivery import suppression_files as files
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.rest import RestView


class CsvParser(BaseParser):
    """`Content-Type: text/csv`: the body is the file, read up to what an import takes."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return stream.read(files.FILE_BYTES_MAX + 1)


class ProblemResponse(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    detail = serializers.CharField()


class ImportedResponse(serializers.Serializer[Any]):
    rows = serializers.IntegerField()
    added = serializers.IntegerField()
    standing = serializers.IntegerField(help_text="Were on the list already.")
    wrong = serializers.IntegerField()
    problems = ProblemResponse(many=True, help_text="The first hundred.")


class SuppressionImport(RestView):
    permissions = {"POST": "suppressions.write"}

    def get_parsers(self) -> list[Any]:
        return [CsvParser()]

    @extend_schema(
        tags=["Consent"],
        operation_id="importSuppressions",
        request={"text/csv": OpenApiTypes.STR},
        responses=ImportedResponse,
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Add the addresses of a file: `address`, and if you like `channel`, `reason`, `detail`. Again is harmless."""
        given: object = request.data
        data = given if isinstance(given, bytes) else b""  # an empty body is never parsed
        found = files.take_in(scope=self.scope, actor=self.actor, data=data, how="api", now=timezone.now())
        return Response(imported_json(found))


class SuppressionExport(RestView):
    permissions = {"GET": "people.export"}

    @extend_schema(
        tags=["Consent"],
        operation_id="exportSuppressions",
        parameters=[OpenApiParameter("channel", str), OpenApiParameter("reason", str)],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """The list as CSV, oldest first; it can be imported as it is. Every export is audited."""
        now = timezone.now()
        lines = files.export(
            scope=self.scope,
            actor=self.actor,
            channel=request.query_params.get("channel", ""),
            reason=request.query_params.get("reason", ""),
            now=now,
        )
        return StreamingHttpResponse(
            lines,
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{files.file_name(self.scope, now)}"'},
        )


def imported_json(found: files.Imported) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "added": found.added,
        "standing": found.standing,
        "wrong": len(found.problems),
        "problems": [{"line": each.line, "detail": each.detail} for each in files.shown(found.problems)],
    }
