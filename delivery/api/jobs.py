"""REST of send jobs: how they stand, who is in which account, and the decisions that only a person may take."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audit.chain import Subject
from audit.refusals import recording
from delivery import jobs, leases, listing
from delivery.accounts import ACCOUNT_NAMES, Account, account_named
from delivery.api import serializers as shapes
from delivery.models import SendJob
from lamba_campaigns.lib.sql import durable
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import bad_query, cursor_number, encode_cursor, page_size
from lamba_campaigns.web.rest import RestView, validated

JOB = OpenApiParameter("job", str, OpenApiParameter.PATH, description="job_…")
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]


class JobDetail(RestView):
    permissions = {"GET": "console.read"}

    @extend_schema(tags=["Delivery"], operation_id="readJob", parameters=[JOB], responses=shapes.JobResponse)
    def get(self, request: Request, job: str) -> Response:
        """State, balance, pace, and why it does not move, if so."""
        found = jobs.get(scope=self.scope, public_id=job)
        return Response(shapes.job_json(found, jobs.progress(scope=self.scope, job=found, now=timezone.now())))


class JobMessages(RestView):
    permissions = {"GET": "people.read"}

    @extend_schema(
        tags=["Delivery"],
        operation_id="listJobMessages",
        parameters=[
            JOB,
            OpenApiParameter("account", str, enum=list(ACCOUNT_NAMES)),
            OpenApiParameter("address", str, description="Exactly this address."),
            *PAGING,
        ],
        responses=shapes.MessagePage,
    )
    def get(self, request: Request, job: str) -> Response:
        """People of the job in the order they are sent to; with `account`, those who stand there."""
        found = jobs.get(scope=self.scope, public_id=job)
        if "address" in request.query_params:
            rows = listing.by_address(scope=self.scope, job=found, address=request.query_params["address"])
            return Response({"items": [shapes.message_json(row) for row in rows], "nextCursor": None})
        name = request.query_params.get("account")
        account = account_named(name) if name is not None else None
        if name is not None and account is None:
            raise bad_query("account", f"{name!r} is no account.", f"Use one of {', '.join(ACCOUNT_NAMES)}.")
        return _page(self, request, found, account)


class JobUncertain(RestView):
    permissions = {"GET": "people.read", "POST": "delivery.repair"}

    @extend_schema(
        tags=["Delivery"], operation_id="listUncertainMessages", parameters=[JOB, *PAGING], responses=shapes.MessagePage
    )
    def get(self, request: Request, job: str) -> Response:
        """Messages that may or may not have been handed over, with what is known of them."""
        found = jobs.get(scope=self.scope, public_id=job)
        return _page(self, request, found, Account.UNCERTAIN)

    @extend_schema(
        tags=["Delivery"],
        operation_id="resolveUncertainMessages",
        parameters=[JOB],
        request=shapes.ResolveRequest,
        responses=shapes.MovedResponse,
    )
    @idempotent
    def post(self, request: Request, job: str) -> Response:
        """Decide about uncertain messages. Nothing of them is ever sent again without this."""
        found = jobs.get(scope=self.scope, public_id=job)
        given = validated(shapes.ResolveRequest, request)
        now = timezone.now()
        with _decision(self, found, "delivery.resolved", now):
            count = jobs.resolve_uncertain(
                scope=self.scope,
                actor=self.actor,
                job=found,
                decision=given["decision"],
                positions=given.get("positions"),
                reason=given["reason"],
                now=now,
            )
        return Response({"messages": count})


class JobRetry(RestView):
    permissions = {"POST": "delivery.repair"}

    @extend_schema(
        tags=["Delivery"],
        operation_id="retryFailedMessages",
        parameters=[JOB],
        request=shapes.RetryRequest,
        responses={202: shapes.MovedResponse},
    )
    @idempotent
    def post(self, request: Request, job: str) -> Response:
        """Every failed message of the job gets one more attempt. Nobody else is sent to."""
        found = jobs.get(scope=self.scope, public_id=job)
        given = validated(shapes.RetryRequest, request)
        now = timezone.now()
        with _decision(self, found, "delivery.retried", now):
            count = jobs.retry_failed(scope=self.scope, actor=self.actor, job=found, reason=given["reason"], now=now)
        return Response({"messages": count}, status=202)


class JobWake(RestView):
    permissions = {"POST": "delivery.repair"}

    @extend_schema(
        tags=["Delivery"],
        operation_id="wakeJob",
        parameters=[JOB],
        request=shapes.RetryRequest,
        responses={202: shapes.JobResponse},
    )
    @idempotent
    def post(self, request: Request, job: str) -> Response:
        """A job that waits for its provider or for a worker tries again at once. Rules about its pace stay."""
        found = jobs.get(scope=self.scope, public_id=job)
        given = validated(shapes.RetryRequest, request)
        now = timezone.now()
        with _decision(self, found, "delivery.woken", now):
            jobs.wake(scope=self.scope, actor=self.actor, job=found, reason=given["reason"], now=now)
        leases.expire(now=now)
        found = jobs.get(scope=self.scope, public_id=job)
        return Response(shapes.job_json(found, jobs.progress(scope=self.scope, job=found, now=now)), status=202)


def _page(view: RestView, request: Request, job: SendJob, account: Account | None) -> Response:
    rows, following = listing.messages(
        scope=view.scope, job=job, account=account, after=cursor_number(request) or 0, limit=page_size(request)
    )
    return Response({"items": [shapes.message_json(row) for row in rows], "nextCursor": encode_cursor(following)})


@contextmanager
def _decision(view: RestView, job: SendJob, action: str, now: datetime) -> Iterator[None]:
    """One transaction; a refusal stands in the trail too."""
    subject = Subject("job", job.public_id, job.title)
    with recording(scope=view.scope, actor=view.actor, action=action, subject=subject, now=now), durable():
        yield
