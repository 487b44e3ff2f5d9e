"""REST of endpoints: Lamba's and providers' events come in through one, customers get ours through another."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audit.chain import Subject
from audit.refusals import recording
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import page
from lamba_campaigns.web.rest import RestView, etag, expected_version, validated
from webhooks import endpoints, reading, replay, rotation
from webhooks.api import serializers as shapes

ENDPOINT = OpenApiParameter("endpoint", str, OpenApiParameter.PATH, description="whe_…")
SECRET = OpenApiParameter("secret", str, OpenApiParameter.PATH, description="whs_…")
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
        direction = given.pop("direction")
        with recording(
            scope=self.scope,
            actor=self.actor,
            action="endpoint.created",
            subject=Subject("endpoint", "", given["name"]),
            now=now,
        ):
            if direction == "in":
                endpoint, secret = endpoints.create_inbound(scope=self.scope, actor=self.actor, now=now, **given)
            else:
                given.setdefault("event_types", [])
                endpoint, secret = endpoints.create_outbound(scope=self.scope, actor=self.actor, now=now, **given)
        return Response({**shapes.endpoint_json(endpoint), "secret": secret}, status=201)


class _EndpointView(RestView):
    """One endpoint: a refused decision about it is recorded too."""

    @contextmanager
    def recording(self, action: str, endpoint: str) -> Iterator[datetime]:
        now, subject = timezone.now(), Subject("endpoint", endpoint[:31])
        with recording(scope=self.scope, actor=self.actor, action=action, subject=subject, now=now):
            yield now


class EndpointDetail(_EndpointView):
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
        version, changes = expected_version(request), validated(shapes.EndpointChanges, request)
        with self.recording("endpoint.updated", endpoint) as now:
            found = endpoints.update(
                scope=self.scope,
                actor=self.actor,
                endpoint_id=endpoint,
                expected_version=version,
                changes=changes,  # type: ignore[arg-type]
                now=now,
            )
        return Response(shapes.endpoint_json(found), headers={"ETag": etag(found.version)})

    @extend_schema(
        tags=["Webhooks"], operation_id="deleteEndpoint", parameters=[ENDPOINT, IF_MATCH], responses={204: None}
    )
    def delete(self, request: Request, endpoint: str) -> Response:
        version = expected_version(request)
        with self.recording("endpoint.deleted", endpoint) as now:
            endpoints.retire(
                scope=self.scope, actor=self.actor, endpoint_id=endpoint, expected_version=version, now=now
            )
        return Response(status=204)


class EndpointRotate(_EndpointView):
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
        given = validated(shapes.RotateRequest, request)
        with self.recording("secret.rotated", endpoint) as now:
            row, text = rotation.rotate(scope=self.scope, actor=self.actor, endpoint_id=endpoint, now=now, **given)
        return Response({**shapes.secret_json(row), "secret": text}, status=201)


class EndpointTest(_EndpointView):
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
        with self.recording("endpoint.tested", endpoint) as now:
            event_id = endpoints.send_test(scope=self.scope, actor=self.actor, endpoint_id=endpoint, now=now)
        return Response({"id": event_id}, status=202)


class EndpointSecret(_EndpointView):
    permissions = {"DELETE": "webhooks.manage"}

    @extend_schema(
        tags=["Webhooks"], operation_id="endEndpointSecret", parameters=[ENDPOINT, SECRET], responses={204: None}
    )
    def delete(self, request: Request, endpoint: str, secret: str) -> Response:
        """End a secret before its time. The current one is ended by rotating without overlap."""
        with self.recording("secret.ended", endpoint) as now:
            rotation.end(scope=self.scope, actor=self.actor, endpoint_id=endpoint, secret_id=secret, now=now)
        return Response(status=204)


class EndpointReplay(_EndpointView):
    permissions = {"POST": "webhooks.manage"}

    @extend_schema(
        tags=["Webhooks"],
        operation_id="replayEndpoint",
        parameters=[ENDPOINT],
        request=shapes.ReplayRequest,
        responses={202: shapes.ReplayResponse},
    )
    @idempotent
    def post(self, request: Request, endpoint: str) -> Response:
        """Send the stored events of a time range again, with the same ids and bytes; with `dryRun` only count them."""
        given = validated(shapes.ReplayRequest, request)
        with self.recording("endpoint.replayed", endpoint) as now:
            given.setdefault("until", now)
            found = replay.replay(scope=self.scope, actor=self.actor, endpoint_id=endpoint, now=now, **given)
        answer = {"count": found.count, "until": found.until, "more": found.more, "dryRun": given["dry_run"]}
        return Response(answer, status=202)
