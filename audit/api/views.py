"""REST of the evidence: audit events by cursor, verification, checkpoints, books and their differences."""

from datetime import datetime

from django.http import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audit import checkpoints, export, reconciliation, trail, verification
from audit.actions import ACTIONS
from audit.api import serializers as shapes
from audit.export import download
from audit.models import Book, Checkpoint
from lamba_campaigns.lib import sql
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import bad_query, page
from lamba_campaigns.web.rate import require_rate
from lamba_campaigns.web.rest import RestView, validated

VERIFICATION_RATE = "10/minute"  # per environment
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]
FILTERS = [
    OpenApiParameter("action", str, description="An action, or a family such as campaign."),
    OpenApiParameter("actor", str, description="usr_…, key_… or system."),
    OpenApiParameter("subject", str, description="The id of what was acted on: cmp_…, tpl_…"),
    OpenApiParameter("since", datetime, description="Inclusive."),
    OpenApiParameter("until", datetime, description="Exclusive."),
    OpenApiParameter("reach", str, enum=["environment", "workspace"], description="Whose trail; environment."),
    OpenApiParameter("order", str, enum=["newest", "oldest"], description="oldest follows the trail; newest."),
]
BREAK = OpenApiParameter("difference", str, OpenApiParameter.PATH, description="brk_…")


class AuditEventList(RestView):
    """Every decision of this environment. With order=oldest the cursor follows the trail as it grows."""

    permissions = {"GET": "audit.read"}

    @extend_schema(
        tags=["Audit"], operation_id="listAuditEvents", parameters=[*FILTERS, *PAGING], responses=shapes.AuditEventPage
    )
    def get(self, request: Request) -> Response:
        oldest_first = _choice(request, "order", ("newest", "oldest")) == "oldest"
        rows = trail.entries(scope=self.scope, wanted=wanted_of(request))
        return page(rows, request, shapes.event_json, key="sequence", newest_first=not oldest_first)


class AuditExport(RestView):
    """The whole chain with its checkpoints, one JSON object a line, signed at its end; `audit_verify --from` reads it.
    What a filter leaves out is there by its hash alone."""

    permissions = {"GET": "audit.read"}

    @extend_schema(
        tags=["Audit"],
        operation_id="exportAuditNdjson",
        parameters=FILTERS,
        responses={(200, "application/x-ndjson"): str},
    )
    def get(self, request: Request) -> HttpResponseBase:
        now = timezone.now()
        lines = export.ndjson_lines(scope=self.scope, actor=self.actor, wanted=wanted_of(request), now=now)
        return download(lines, "application/x-ndjson", export.file_name(self.scope, now, "ndjson"))


class AuditExportCsv(RestView):
    """The chosen entries for a spreadsheet, each with what its hash was made of."""

    permissions = {"GET": "audit.read"}

    @extend_schema(
        tags=["Audit"], operation_id="exportAuditCsv", parameters=FILTERS, responses={(200, "text/csv"): str}
    )
    def get(self, request: Request) -> HttpResponseBase:
        now = timezone.now()
        lines = export.csv_lines(scope=self.scope, actor=self.actor, wanted=wanted_of(request), now=now)
        return download(lines, "text/csv", export.file_name(self.scope, now))


class AuditVerifier(RestView):
    """The stand-alone script (Python, no packages needed) that verifies exports and closing statements anywhere."""

    permissions = {"GET": "audit.read"}

    @extend_schema(tags=["Audit"], operation_id="downloadVerifier", responses={(200, "text/x-python"): str})
    def get(self, request: Request) -> HttpResponseBase:
        return download([export.verifier_text()], "text/x-python", "offline_verifier.py")


class AuditVerification(RestView):
    """Read the chain to its end or to its first break. The run itself becomes an audit event."""

    permissions = {"POST": "audit.read"}

    @extend_schema(
        tags=["Audit"],
        operation_id="verifyAudit",
        request=shapes.VerificationRequest,
        responses=shapes.VerificationResponse,
    )
    @idempotent
    def post(self, request: Request) -> Response:
        given = validated(shapes.VerificationRequest, request)
        require_rate("verification", str(self.scope.environment_id), rate=VERIFICATION_RATE)
        found = verification.run(scope=self.scope, actor=self.actor, ledger=given["ledger"], now=timezone.now())
        return Response(found.as_json())


class CheckpointList(RestView):
    """What was signed, newest first: keep some elsewhere, and a chain that shrinks or changes contradicts them."""

    permissions = {"GET": "audit.read"}

    @extend_schema(tags=["Audit"], operation_id="listCheckpoints", parameters=PAGING, responses=shapes.CheckpointPage)
    def get(self, request: Request) -> Response:
        rows = Checkpoint.objects.filter(environment_id=self.scope.environment_id)
        return page(rows, request, checkpoints.as_json)


class BookList(RestView):
    """The books of this environment, newest first, as the last reconciliation found them."""

    permissions = {"GET": "audit.read"}

    @extend_schema(tags=["Reconciliation"], operation_id="listBooks", parameters=PAGING, responses=shapes.BookPage)
    def get(self, request: Request) -> Response:
        answer = page(Book.objects.within(self.scope), request, lambda book: {"book": book})
        books: list[Book] = [item["book"] for item in answer.data["items"]]
        breaks = reconciliation.breaks_of(scope=self.scope, job_ids=[book.job_id for book in books])
        return Response({**answer.data, "items": [shapes.book_json(book, breaks) for book in books]})


class BreakAssignment(RestView):
    """The caller looks into an open difference."""

    permissions = {"POST": "delivery.repair"}

    @extend_schema(
        tags=["Reconciliation"],
        operation_id="assignBreak",
        parameters=[BREAK],
        request=shapes.AssignmentBody,
        responses=shapes.BreakResponse,
    )
    @idempotent
    def post(self, request: Request, difference: str) -> Response:
        validated(shapes.AssignmentBody, request)
        with sql.durable():
            found = reconciliation.assign(scope=self.scope, actor=self.actor, break_id=difference, now=timezone.now())
        return Response(shapes.break_json(found))


class BreakResolution(RestView):
    """Explain a difference; it counts no longer unless its quantity changes."""

    permissions = {"POST": "delivery.repair"}

    @extend_schema(
        tags=["Reconciliation"],
        operation_id="resolveBreak",
        parameters=[BREAK],
        request=shapes.BreakExplanation,
        responses=shapes.BreakResponse,
    )
    @idempotent
    def post(self, request: Request, difference: str) -> Response:
        given = validated(shapes.BreakExplanation, request)
        with sql.durable():
            found = reconciliation.resolve(
                scope=self.scope,
                actor=self.actor,
                break_id=difference,
                reason=given["reason"],
                now=timezone.now(),
            )
        return Response(shapes.break_json(found))


def wanted_of(request: Request) -> trail.Wanted:
    """The filters in the query. Invalid names the one that can't be read."""
    query = request.query_params
    action = query.get("action", "")
    if action and action not in ACTIONS and not trail.of_family(action):
        raise bad_query("action", f"{action!r} is no action.", f"Use one, or a family: {', '.join(trail.families())}.")
    return trail.Wanted(
        action=action,
        actor=query.get("actor", "")[:64],
        subject=query.get("subject", "")[:64],
        since=_moment(request, "since"),
        until=_moment(request, "until"),
        reach="workspace" if _choice(request, "reach", ("environment", "workspace")) == "workspace" else "environment",
        routine=True,
    )


def _choice(request: Request, name: str, known: tuple[str, ...]) -> str:
    found = request.query_params.get(name, known[0])
    if found not in known:
        raise bad_query(name, f"{found!r} is not known here.", f"Use {' or '.join(known)}.")
    return found


def _moment(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise bad_query(name, f"{text!r} is no time with a zone.", "Use ISO 8601, such as 2026-11-23T09:30:00Z.")
    return found
