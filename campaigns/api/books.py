"""REST of the books beyond the balance: the signed statement, the waterfall, and what the outside counted."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from campaigns import books_reports, books_statements, books_waterfall, drafts
from campaigns.recipients import NothingFrozen
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import bad_query
from lamba_campaigns.web.rest import RestView, StrictSerializer, validated


class StatementRead(serializers.Serializer[Any]):
    statement = serializers.DictField(help_text="The balance, its number and its adjustment.")
    note = serializers.CharField(help_text="The signature is over the UTF-8 bytes of this text.")
    signature = serializers.CharField(help_text="Ed25519, hex.")
    key = serializers.CharField(help_text="The public key, hex.")


class WaterfallRow(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]
    messages = serializers.IntegerField()
    cells = serializers.DictField(child=serializers.IntegerField())


class WaterfallRead(serializers.Serializer[Any]):
    items = WaterfallRow(many=True)


class ReportBody(StrictSerializer):
    """Either counts by account, or a provider's CSV with the columns message_id and status."""

    counts = serializers.DictField(
        child=serializers.IntegerField(min_value=0, max_value=books_reports.COUNT_MAX), required=False
    )
    csv = serializers.CharField(
        max_length=books_reports.CSV_BYTES_MAX, required=False, allow_blank=True, trim_whitespace=False
    )


class ReportRead(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="rpt_…")
    source = serializers.CharField()  # type: ignore[assignment]
    counts = serializers.DictField(child=serializers.IntegerField())
    unknown = serializers.IntegerField(help_text="Lines about no message of this campaign.")
    repeated = serializers.IntegerField(help_text="Messages that the report has more than once.")
    madeAt = serializers.DateTimeField()


class CampaignStatement(RestView):
    permissions = {"GET": "console.read"}

    @extend_schema(tags=["Reconciliation"], operation_id="campaigns_statement", responses=StatementRead)
    def get(self, request: Request, campaign: str) -> Response:
        """The newest closing statement as it was signed. 404 before the books closed."""
        found = drafts.find(scope=self.scope, campaign_id=campaign)
        return Response(books_statements.signed(scope=self.scope, campaign=found))


class CampaignWaterfall(RestView):
    permissions = {"GET": "console.read"}

    @extend_schema(
        tags=["Reconciliation"],
        operation_id="campaigns_waterfall",
        parameters=[OpenApiParameter("by", str, enum=["domain", "wave"], description="domain.")],
        responses=WaterfallRead,
    )
    def get(self, request: Request, campaign: str) -> Response:
        """Every message in one cell, by the domain of its address or by wave."""
        by = request.query_params.get("by", "domain")
        if by not in ("domain", "wave"):
            raise bad_query("by", f"{by!r} is not known here.", "Use domain or wave.")
        found = drafts.find(scope=self.scope, campaign_id=campaign)
        if found.job_id is None:
            raise NothingFrozen(f"{found.name} has no books yet.", next_step="They open when it is launched.")
        rows = books_waterfall.rows(scope=self.scope, campaign=found, by="wave" if by == "wave" else "domain")
        items = [{"label": row.label, "messages": row.messages, "cells": dict(row.cells)} for row in rows]
        return Response({"items": items})


class CampaignReports(RestView):
    permissions = {"POST": "delivery.repair"}

    @extend_schema(
        tags=["Reconciliation"],
        operation_id="campaigns_report",
        request=ReportBody,
        responses={201: ReportRead},
    )
    @idempotent
    def post(self, request: Request, campaign: str) -> Response:
        """Hold what a provider counted against the books; what differs becomes a break within a minute."""
        given = validated(ReportBody, request)
        if ("counts" in given) == ("csv" in given):
            detail = "Counts and csv are two reports." if given else "There is nothing to compare: give counts or csv."
            problems = tuple(FieldProblem(f"#/{name}", "either", detail) for name in ("counts", "csv"))
            raise Invalid(detail, next_step="Send one of the two in a request.", problems=problems)
        found = drafts.find(scope=self.scope, campaign_id=campaign)
        where: dict[str, Any] = {"scope": self.scope, "actor": self.actor, "campaign": found, "now": timezone.now()}
        if "csv" in given:
            report = books_reports.import_csv(text=given["csv"], **where)
        else:
            report = books_reports.state(counts=given["counts"], **where)
        body = {"id": report.public_id, "source": report.source, "counts": report.counts, "madeAt": report.made_at}
        return Response(body | {"unknown": report.unknown, "repeated": report.repeated}, 201)
