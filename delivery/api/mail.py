"""REST of the suppression list and of captured mail."""

from django.db.models import OuterRef, Subquery
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from delivery import consent, listing
from delivery.api import serializers as shapes
from delivery.models import CapturedMail, SendJob, Suppression
from lamba_campaigns.lib.sql import durable
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import page
from lamba_campaigns.web.rest import RestView, validated

SUPPRESSION = OpenApiParameter("suppression", str, OpenApiParameter.PATH, description="sup_…")
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]


class SuppressionList(RestView):
    permissions = {"GET": "people.read", "POST": "suppressions.write"}

    @extend_schema(
        tags=["Consent"],
        operation_id="listSuppressions",
        parameters=[
            OpenApiParameter("address", str, description="Exactly this address."),
            OpenApiParameter("channel", str),
            OpenApiParameter("reason", str, enum=list(Suppression.Reason.values)),
            *PAGING,
        ],
        responses=shapes.SuppressionPage,
    )
    def get(self, request: Request) -> Response:
        """Addresses that are never sent to, newest first."""
        rows = Suppression.objects.within(self.scope)
        if "address" in request.query_params:
            rows = rows.filter(address=request.query_params["address"].strip().lower())
        for name in ("channel", "reason"):
            if name in request.query_params:
                rows = rows.filter(**{name: request.query_params[name]})
        return page(rows, request, shapes.suppression_json)

    @extend_schema(
        tags=["Consent"],
        operation_id="addSuppression",
        request=shapes.SuppressionRequest,
        responses={201: shapes.SuppressionResponse},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """From now on nothing is sent to this address, not even by jobs that run."""
        given = validated(shapes.SuppressionRequest, request)
        with durable():
            row = consent.suppress(scope=self.scope, actor=self.actor, how="api", now=timezone.now(), **given)
        return Response(
            shapes.suppression_json(row), status=201, headers={"Location": f"/api/v1/suppressions/{row.public_id}"}
        )


class SuppressionDetail(RestView):
    permissions = {"GET": "people.read", "DELETE": "suppressions.write"}

    @extend_schema(
        tags=["Consent"],
        operation_id="readSuppression",
        parameters=[SUPPRESSION],
        responses=shapes.SuppressionResponse,
    )
    def get(self, request: Request, suppression: str) -> Response:
        return Response(shapes.suppression_json(consent.suppression(scope=self.scope, public_id=suppression)))

    @extend_schema(
        tags=["Consent"],
        operation_id="removeSuppression",
        parameters=[SUPPRESSION, OpenApiParameter("reason", str, required=True, description="Why; it is audited.")],
        responses={204: None},
    )
    def delete(self, request: Request, suppression: str) -> Response:
        """The address may be sent to again, if its person is otherwise willing."""
        with durable():
            consent.unsuppress(
                scope=self.scope,
                actor=self.actor,
                public_id=suppression,
                reason=request.query_params.get("reason", ""),
                how="api",
                now=timezone.now(),
            )
        return Response(status=204)


class CapturedList(RestView):
    permissions = {"GET": "people.read"}

    @extend_schema(
        tags=["Delivery"],
        operation_id="listCapturedMails",
        parameters=[
            OpenApiParameter("job", str, description="job_…"),
            OpenApiParameter("recipient", str, description="Exactly this address."),
            *PAGING,
        ],
        responses=shapes.CapturedPage,
    )
    def get(self, request: Request) -> Response:
        """Messages that the capture server took instead of the world, newest first."""
        jobs = SendJob.objects.within(self.scope)
        name = Subquery(jobs.filter(pk=OuterRef("job_id")).values("public_id"))
        rows = CapturedMail.objects.within(self.scope).defer("raw").annotate(job=name)
        if "job" in request.query_params:
            rows = rows.filter(job_id__in=jobs.filter(public_id=request.query_params["job"]).values("pk"))
        if "recipient" in request.query_params:
            rows = rows.filter(recipient=request.query_params["recipient"].strip())
        return page(rows, request, lambda row: shapes.captured_json(row, row.job or ""))


class CapturedDetail(RestView):
    permissions = {"GET": "people.read"}

    @extend_schema(
        tags=["Delivery"],
        operation_id="readCapturedMail",
        parameters=[OpenApiParameter("mail", str, OpenApiParameter.PATH, description="cap_…")],
        responses=shapes.CapturedDetailResponse,
    )
    def get(self, request: Request, mail: str) -> Response:
        row = listing.captured(scope=self.scope, public_id=mail)
        job = SendJob.objects.within(self.scope).filter(pk=row.job_id).values_list("public_id", flat=True).first()
        raw = bytes(row.raw).decode("utf-8", "replace")
        return Response(shapes.captured_json(row, job or "") | {"raw": raw})
