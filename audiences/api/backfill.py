"""REST of the backfill: the access to Lamba's API, and the runs over its members."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audiences.backfill import connection, runs
from audiences.models import BackfillRun, LambaConnection
from audiences.tasks import ring_backfill
from audit import chain
from audit.refusals import recording
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import page
from lamba_campaigns.web.rest import RestView, StrictSerializer, etag, expected_version, validated

RUN = OpenApiParameter("run", str, OpenApiParameter.PATH, description="bfl_…")
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The etag you read; none at first.")
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]
LOCATION = OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[202])


class LambaAccessRequest(StrictSerializer):
    authUrl = serializers.CharField(source="auth_url", max_length=300)
    apiUrl = serializers.CharField(source="api_url", max_length=300)
    clientId = serializers.CharField(source="client_id", max_length=200)
    clientSecret = serializers.CharField(
        source="client_secret", max_length=400, required=False, help_text="Left out: the stored one stays."
    )
    tokenPath = serializers.CharField(source="token_path", max_length=200, required=False)
    membersPath = serializers.CharField(source="members_path", max_length=200, required=False)
    smsPath = serializers.CharField(source="sms_path", max_length=200, required=False)
    cursorParameter = serializers.CharField(source="cursor_parameter", max_length=40, required=False)
    tokenScope = serializers.CharField(source="token_scope", max_length=200, required=False, allow_blank=True)
    pageSize = serializers.IntegerField(source="page_size", min_value=1, max_value=1_000, required=False)


class LambaAccessResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="lbc_…")
    authUrl = serializers.CharField()
    apiUrl = serializers.CharField()
    clientId = serializers.CharField()
    secretHint = serializers.CharField(help_text="The secret's last characters; the secret itself is never shown.")
    tokenPath = serializers.CharField()
    membersPath = serializers.CharField()
    smsPath = serializers.CharField()
    cursorParameter = serializers.CharField()
    tokenScope = serializers.CharField()
    pageSize = serializers.IntegerField()
    smsStatus = serializers.JSONField(help_text="The SMS add-on as Lamba answered, or null.")
    smsProblem = serializers.CharField()
    smsCheckedAt = serializers.DateTimeField(allow_null=True)
    etag = serializers.CharField()


class BackfillResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="bfl_…")
    state = serializers.ChoiceField(choices=BackfillRun.State.values)
    pages = serializers.IntegerField()
    members = serializers.IntegerField(help_text="Read so far. Lamba doesn't say how many there are.")
    created = serializers.IntegerField(help_text="People that were not known before.")
    unreadable = serializers.IntegerField()
    restarts = serializers.IntegerField(help_text="How often Lamba forgot the cursor.")
    problems = serializers.ListField(child=serializers.CharField())
    problem = serializers.CharField(help_text="What it waits for, or why it failed; or empty.")
    dueAt = serializers.DateTimeField(help_text="When it goes on, at the latest.")
    createdBy = serializers.CharField()
    createdAt = serializers.DateTimeField()
    finishedAt = serializers.DateTimeField(allow_null=True)


class BackfillPage(serializers.Serializer[Any]):
    items = BackfillResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class LambaAccess(RestView):
    permissions = {"GET": "settings.manage", "PUT": "settings.manage"}

    @extend_schema(tags=["Backfill"], operation_id="readLambaAccess", responses=LambaAccessResponse)
    def get(self, request: Request) -> Response:
        return _access(connection.get(scope=self.scope))

    @extend_schema(
        tags=["Backfill"],
        operation_id="saveLambaAccess",
        parameters=[IF_MATCH],
        request=LambaAccessRequest,
        responses=LambaAccessResponse,
    )
    def put(self, request: Request) -> Response:
        """The first time without If-Match; from then on with the etag that you read."""
        given = connection.Access(**validated(LambaAccessRequest, request))
        version = expected_version(request) if "If-Match" in request.headers else None
        now = timezone.now()
        with recording(
            scope=self.scope,
            actor=self.actor,
            action="backfill.connected",
            subject=chain.Subject("lamba_connection", self.scope.path, given.api_url),
            now=now,
        ):
            saved = connection.save(scope=self.scope, actor=self.actor, access=given, state_version=version, now=now)
        return _access(saved)


class BackfillList(RestView):
    permissions = {"GET": "people.write", "POST": "people.write"}

    @extend_schema(tags=["Backfill"], operation_id="listBackfills", parameters=PAGING, responses=BackfillPage)
    def get(self, request: Request) -> Response:
        return page(BackfillRun.objects.within(self.scope), request, run_json)

    @extend_schema(
        tags=["Backfill"],
        operation_id="startBackfill",
        parameters=[LOCATION],
        request=None,
        responses={202: BackfillResponse},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Read every member of Lamba. Nobody is changed twice, and nobody is removed."""
        run = runs.start(scope=self.scope, actor=self.actor, now=timezone.now())
        ring_backfill(run.pk)
        return _accepted(run)


class BackfillDetail(RestView):
    permissions = {"GET": "people.write"}

    @extend_schema(tags=["Backfill"], operation_id="readBackfill", parameters=[RUN], responses=BackfillResponse)
    def get(self, request: Request, run: str) -> Response:
        return Response(run_json(runs.get(scope=self.scope, public_id=run)))


class BackfillCancel(RestView):
    permissions = {"POST": "people.write"}

    @extend_schema(
        tags=["Backfill"],
        operation_id="cancelBackfill",
        parameters=[RUN, LOCATION],
        request=None,
        responses={202: BackfillResponse},
    )
    @idempotent
    def post(self, request: Request, run: str) -> Response:
        """No further page is read. What was read stays."""
        return _accepted(runs.cancel(scope=self.scope, actor=self.actor, public_id=run, now=timezone.now()))


def run_json(run: BackfillRun) -> dict[str, Any]:
    return {
        "id": run.public_id,
        "state": run.state,
        "pages": run.page_count,
        "members": run.member_count,
        "created": run.created_count,
        "unreadable": run.unreadable_count,
        "restarts": run.restart_count,
        "problems": run.problems,
        "problem": run.problem,
        "dueAt": run.due_at,
        "createdBy": run.created_by,
        "createdAt": run.created_at,
        "finishedAt": run.finished_at,
    }


def _access(found: LambaConnection) -> Response:
    version = etag(found.state_version)
    body = {
        "id": found.public_id,
        "authUrl": found.auth_url,
        "apiUrl": found.api_url,
        "clientId": found.client_id,
        "secretHint": found.secret_hint,
        "tokenPath": found.token_path,
        "membersPath": found.members_path,
        "smsPath": found.sms_path,
        "cursorParameter": found.cursor_parameter,
        "tokenScope": found.token_scope,
        "pageSize": found.page_size,
        "smsStatus": found.sms_status,
        "smsProblem": found.sms_problem,
        "smsCheckedAt": found.sms_checked_at,
        "etag": version,
    }
    return Response(body, headers={"ETag": version})


def _accepted(run: BackfillRun) -> Response:
    return Response(run_json(run), status=202, headers={"Location": f"/api/v1/backfills/{run.public_id}"})
