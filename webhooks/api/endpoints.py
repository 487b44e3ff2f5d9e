"""REST of endpoints: Lamba's and providers' events come in through one, customers get ours through another."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import page
from lamba_campaigns.web.rest import RestView, etag, expected_version, validated
from webhooks import endpoints, reading, rotation
from webhooks.api import serializers as shapes

ENDPOINT = OpenApiParameter("endpoint", str, OpenApiParameter.PATH, description="whe_…")
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True, description="The etag you read.")
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]


class EndpointList(RestView):
    permissions = {"GET": "events.read", "POST": "webhooks.manage"}

    @extend_schema(tags=["Webhooks"], operation_id="listEndpoints", parameters=PAGING, responses=shapes.EndpointPage)
    def get(self, request: Request) -> Response:
        return page(reading.endpoints(scope=self.scope), request, shapes.endpoint_json)

    @extend_schema(
        tags=["Webhooks"],
        operation_id="createEndpoint",
        request=shapes.EndpointRequest,
        responses={201: shapes.NewEndpointResponse},
    )
    def post(self, request: Request) -> Response:
        """The secret stands in this answer only. Not idempotent on purpose: a kept answer would be a secret at rest."""
        given, now = validated(shapes.EndpointRequest, request), timezone.now()
        if given["direction"] == "in":
            endpoint, secret = endpoints.create_inbound(
                scope=self.scope, actor=self.actor, name=given["name"], kind=given["kind"], now=now
            )
        else:
            endpoint, secret = endpoints.create_outbound(
                scope=self.scope,
                actor=self.actor,
                name=given["name"],
                url=given["url"],
                event_types=given.get("event_types", []),
                now=now,
            )
        return Response({**shapes.endpoint_json(endpoint), "secret": secret}, status=201)


class EndpointDetail(RestView):
    permissions = {"GET": "events.read", "PATCH": "webhooks.manage", "DELETE": "webhooks.manage"}

    @extend_schema(
        tags=["Webhooks"],
        operation_id="readEndpoint",
        parameters=[ENDPOINT],
        responses=shapes.EndpointWithSecretsResponse,
    )
    def get(self, request: Request, endpoint: str) -> Response:
        found = reading.endpoint(scope=self.scope, endpoint_id=endpoint)
        secrets = [shapes.secret_json(each) for each in rotation.live(endpoint=found, now=timezone.now())]
        return Response({**shapes.endpoint_json(found), "secrets": secrets}, headers={"ETag": etag(found.version)})

    @extend_schema(
        tags=["Webhooks"],
        operation_id="updateEndpoint",
        parameters=[ENDPOINT, IF_MATCH],
        request=shapes.EndpointChanges,
        responses=shapes.EndpointResponse,
    )
    def patch(self, request: Request, endpoint: str) -> Response:
        found = endpoints.update(
            scope=self.scope,
            actor=self.actor,
            endpoint_id=endpoint,
            expected_version=expected_version(request),
            changes=validated(shapes.EndpointChanges, request),  # type: ignore[arg-type]
            now=timezone.now(),
        )
        return Response(shapes.endpoint_json(found), headers={"ETag": etag(found.version)})

    @extend_schema(
        tags=["Webhooks"], operation_id="deleteEndpoint", parameters=[ENDPOINT, IF_MATCH], responses={204: None}
    )
    def delete(self, request: Request, endpoint: str) -> Response:
        endpoints.retire(
            scope=self.scope,
            actor=self.actor,
            endpoint_id=endpoint,
            expected_version=expected_version(request),
            now=timezone.now(),
        )
        return Response(status=204)


class EndpointRotate(RestView):
    permissions = {"POST": "webhooks.manage"}

    @extend_schema(
        tags=["Webhooks"],
        operation_id="rotateEndpointSecret",
        parameters=[ENDPOINT],
        request=shapes.RotateRequest,
        responses={201: shapes.NewSecretResponse},
    )
    def post(self, request: Request, endpoint: str) -> Response:
        """The new secret stands in this answer only. Not idempotent on purpose."""
        row, text = rotation.rotate(
            scope=self.scope,
            actor=self.actor,
            endpoint_id=endpoint,
            overlap=validated(shapes.RotateRequest, request)["overlap"],
            now=timezone.now(),
        )
        return Response({**shapes.secret_json(row), "secret": text}, status=201)


class EndpointTest(RestView):
    permissions = {"POST": "webhooks.manage"}

    @extend_schema(
        tags=["Webhooks"],
        operation_id="testEndpoint",
        parameters=[ENDPOINT],
        request=None,
        responses={202: shapes.TestEventResponse},
    )
    @idempotent
    def post(self, request: Request, endpoint: str) -> Response:
        event_id = endpoints.send_test(scope=self.scope, endpoint_id=endpoint, now=timezone.now())
        return Response({"id": event_id}, status=202)
