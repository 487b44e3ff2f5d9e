"""REST of limits: what is left, which plan, which add-ons."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audit import refusals
from audit.chain import Subject
from lamba_campaigns.lib import sql
from lamba_campaigns.web import pagination
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.rest import RestView, validated
from limits import entitlements, ledger, subscriptions, usage
from limits.api import serializers as shapes

SKU = OpenApiParameter("sku", str, OpenApiParameter.PATH, description="Of the add-on.")


class LimitList(RestView):
    """Every limit of this environment: used, reserved, left, and when it starts anew."""

    permissions = {"GET": "limits.read"}

    @extend_schema(tags=["Limits"], operation_id="readLimits", responses=shapes.LimitsResponse)
    def get(self, request: Request) -> Response:
        standing = usage.standing(scope=self.scope, now=timezone.now())
        found = standing.entitlements
        lines = [line.as_json() for line in usage.of(standing)]
        return Response(shapes.limits_json(found, self.scope.environment, lines))


class ReservationList(RestView):
    """What launches hold and used of the plan, newest first."""

    permissions = {"GET": "limits.read"}

    @extend_schema(
        tags=["Limits"],
        operation_id="listReservations",
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("cursor", str)],
        responses=shapes.ReservationPage,
    )
    def get(self, request: Request) -> Response:
        return pagination.page(ledger.launches(self.scope).prefetch_related("lines"), request, ledger.as_json)


class PlanItem(RestView):
    """The workspace's plan. A larger one counts at once; a smaller one is `coming` until the period ends."""

    permissions = {"GET": "limits.read", "PATCH": "billing.manage"}

    @extend_schema(tags=["Limits"], operation_id="readPlan", responses=shapes.CurrentPlanResponse)
    def get(self, request: Request) -> Response:
        return self._answer()

    @extend_schema(
        tags=["Limits"], operation_id="changePlan", request=shapes.PlanChange, responses=shapes.CurrentPlanResponse
    )
    def patch(self, request: Request) -> Response:
        given, now = validated(shapes.PlanChange, request), timezone.now()
        subject = Subject("workspace", self.scope.workspace, self.scope.workspace_name)
        with (
            refusals.recording(scope=self.scope, actor=self.actor, action="plan.changed", subject=subject, now=now),
            sql.durable(),
        ):
            subscriptions.change_plan(scope=self.scope, actor=self.actor, plan=given["plan"], now=now)
        return self._answer()

    def _answer(self) -> Response:
        now = timezone.now()
        coming = entitlements.coming(workspace_id=self.scope.workspace_id, now=now)
        return Response(shapes.current_json(entitlements.effective(scope=self.scope, at=now), coming))


class AddOnList(RestView):
    """What can be added to the plan, and what the workspace has of it."""

    permissions = {"GET": "limits.read", "POST": "billing.manage"}

    @extend_schema(tags=["Limits"], operation_id="listAddOns", responses=shapes.AddOnPage)
    def get(self, request: Request) -> Response:
        found = entitlements.effective(scope=self.scope, at=timezone.now())
        items = [shapes.add_on_json(add_on, found) for add_on in found.catalogue.add_ons.values()]
        return Response({"items": items, "nextCursor": None})

    @extend_schema(
        tags=["Limits"],
        operation_id="addAddOn",
        request=shapes.AddOnOrder,
        responses={201: shapes.AddOnResponse},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        given, now = validated(shapes.AddOnOrder, request), timezone.now()
        with sql.durable():
            added = subscriptions.add_add_on(
                scope=self.scope, actor=self.actor, sku=given["sku"], quantity=given["quantity"], now=now
            )
        found = entitlements.effective(scope=self.scope, at=now)
        return Response(shapes.add_on_json(found.catalogue.add_on(added.sku), found), status=201)


class AddOnItem(RestView):
    """Ending an add-on: it counts until the end of the period."""

    permissions = {"DELETE": "billing.manage"}

    @extend_schema(tags=["Limits"], operation_id="endAddOn", parameters=[SKU], responses=shapes.AddOnResponse)
    def delete(self, request: Request, sku: str) -> Response:
        now = timezone.now()
        with sql.durable():
            subscriptions.end_add_on(scope=self.scope, actor=self.actor, sku=sku, now=now)
        found = entitlements.effective(scope=self.scope, at=now)
        return Response(shapes.add_on_json(found.catalogue.add_on(sku), found))
