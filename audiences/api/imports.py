"""REST of imports: send the CSV as it is, follow the run, read or download what was wrong."""

import hashlib
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from audiences import imports
from audiences.api import shapes
from audiences.models import ImportRun
from audiences.tasks import ring_import
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import bad_query, page
from lamba_campaigns.web.rest import RestView, validated

CHUNK_BYTES = 1 << 18
IN_MEMORY_BYTES = 1 << 21
IMPORT = OpenApiParameter("import_id", str, OpenApiParameter.PATH, description="imp_…")
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]
LOCATION = OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[202])


class Body:
    """The uploaded file, spooled. Its `repr` is its digest, so that a repeated request can be told from another one."""

    def __init__(self) -> None:
        self.file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed with the answer
        self._digest = ""

    def read(self, stream: IO[bytes]) -> None:
        digest, size = hashlib.sha256(), 0
        while chunk := stream.read(CHUNK_BYTES):
            size += len(chunk)
            if size > imports.FILE_BYTES_MAX:
                detail = f"A file may have {imports.FILE_BYTES_MAX:,} bytes."
                raise imports.FileTooLarge(detail, next_step="Split it into several files.")
            digest.update(chunk)
            self.file.write(chunk)
        self.file.seek(0)
        self._digest = digest.hexdigest()

    def __repr__(self) -> str:
        return f"csv:{self._digest}"

    def chunks(self) -> Iterator[bytes]:
        while chunk := self.file.read(CHUNK_BYTES):
            yield chunk


class CsvParser(BaseParser):
    """`Content-Type: text/csv`: the body is the file."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        assert parser_context is not None
        body = parser_context["request"].upload = Body()
        body.read(stream)
        return body


class ImportList(RestView):
    permissions = {"GET": "people.write", "POST": "people.write"}

    def get_parsers(self) -> list[Any]:
        return [CsvParser()] if self.request is None or self.request.method == "POST" else super().get_parsers()

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        answer = super().finalize_response(request, response, *args, **kwargs)
        if body := getattr(request, "upload", None):
            answer._resource_closers.append(body.file.close)  # type: ignore[attr-defined]
        return answer

    @extend_schema(tags=["Imports"], operation_id="listImports", parameters=PAGING, responses=shapes.ImportPage)
    def get(self, request: Request) -> Response:
        return page(ImportRun.objects.within(self.scope), request, shapes.import_json)

    @extend_schema(
        tags=["Imports"],
        operation_id="createImport",
        parameters=[
            OpenApiParameter("filename", str),
            OpenApiParameter("dryRun", bool, description="Check only; nothing is changed."),
            OpenApiParameter("skipInvalid", bool, description="Import the right rows although others are wrong."),
            LOCATION,
        ],
        request={"text/csv": OpenApiTypes.STR},
        responses={202: shapes.ImportResponse},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """The file is stored and checked by a worker: ask the Location until the state is checked, refused or done."""
        body = request.data
        run = imports.upload(
            scope=self.scope,
            actor=self.actor,
            filename=request.query_params.get("filename", "people.csv"),
            chunks=body.chunks() if isinstance(body, Body) else (),  # an empty body is never parsed
            dry_run=_flag(request, "dryRun"),
            skip_invalid=_flag(request, "skipInvalid"),
            now=timezone.now(),
        )
        ring_import(run.pk)
        return _accepted(run)


class ImportDetail(RestView):
    permissions = {"GET": "people.write"}

    @extend_schema(tags=["Imports"], operation_id="readImport", parameters=[IMPORT], responses=shapes.ImportResponse)
    def get(self, request: Request, import_id: str) -> Response:
        return Response(shapes.import_json(imports.get(scope=self.scope, public_id=import_id)))


class ImportStart(RestView):
    permissions = {"POST": "people.write"}

    @extend_schema(
        tags=["Imports"],
        operation_id="startImport",
        parameters=[IMPORT, LOCATION],
        request=shapes.StartRequest,
        responses={202: shapes.ImportResponse},
    )
    @idempotent
    def post(self, request: Request, import_id: str) -> Response:
        """Import for real what was checked, or the right rows of what was refused."""
        skip_invalid = validated(shapes.StartRequest, request)["skip_invalid"]
        run = imports.start(scope=self.scope, actor=self.actor, public_id=import_id, skip_invalid=skip_invalid)
        ring_import(run.pk)
        return _accepted(run)


class ImportCancel(RestView):
    permissions = {"POST": "people.write"}

    @extend_schema(
        tags=["Imports"],
        operation_id="cancelImport",
        parameters=[IMPORT, LOCATION],
        request=None,
        responses={202: shapes.ImportResponse},
    )
    @idempotent
    def post(self, request: Request, import_id: str) -> Response:
        """Stop a waiting or running import within seconds. Nothing of the file stays."""
        run = imports.cancel(scope=self.scope, actor=self.actor, public_id=import_id, now=timezone.now())
        ring_import(run.pk)
        return _accepted(run)


class ImportProblems(RestView):
    permissions = {"GET": "people.write"}

    @extend_schema(
        tags=["Imports"],
        operation_id="listImportProblems",
        parameters=[IMPORT, *PAGING],
        responses=shapes.ImportProblemPage,
    )
    def get(self, request: Request, import_id: str) -> Response:
        run = imports.get(scope=self.scope, public_id=import_id)
        rows = imports.problems(scope=self.scope, run=run).order_by()
        return page(rows, request, shapes.problem_json, newest_first=False)


class ImportProblemsCsv(RestView):
    permissions = {"GET": "people.write"}

    @extend_schema(
        tags=["Imports"],
        operation_id="downloadImportProblems",
        parameters=[IMPORT],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request, import_id: str) -> Any:
        run = imports.get(scope=self.scope, public_id=import_id)
        lines = imports.problems_csv(scope=self.scope, run=run)
        answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{run.public_id}-problems.csv"'
        return answer


def _accepted(run: ImportRun) -> Response:
    return Response(shapes.import_json(run), status=202, headers={"Location": f"/api/v1/imports/{run.public_id}"})


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false"):
        raise bad_query(name, f"{text!r} is neither true nor false.", "Use true or false.")
    return text == "true"
