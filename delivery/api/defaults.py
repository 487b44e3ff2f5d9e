"""REST of what holds for every campaign of an environment: stop limits, domain limits, connections."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.refusals import recording
from delivery import defaults
from delivery.api.channels import IF_MATCH
from delivery.api.serializers import moment
from delivery.channels.relay import CONNECTIONS_MAX
from delivery.defaults import Defaults
from delivery.pacing.rules import DOMAIN_RATE_MAX
from delivery.stop_limits import KINDS, combined
from delivery.stop_shapes import StopLimits
from lamba_campaigns.web.rest import RestView, StrictSerializer, etag, expected_version, validated


class DefaultsRequest(StrictSerializer):
    stopLimits = StopLimits(source="stop_limits", default=dict)
    domainLimits = serializers.DictField(
        source="domain_limits",
        child=serializers.IntegerField(min_value=1, max_value=DOMAIN_RATE_MAX),
        default=dict,
        help_text="Mailbox domain: messages a minute, of all campaigns here together. A campaign may say otherwise.",
    )
    connections = serializers.IntegerField(
        min_value=1,
        max_value=CONNECTIONS_MAX,
        allow_null=True,
        default=None,
        help_text="To the relay at once, of all workers together; null: as many as it takes.",
    )


class DefaultsResponse(DefaultsRequest):
    holds = StopLimits(help_text="The stop limits of a campaign that says nothing else.")
    updatedAt = serializers.DateTimeField(allow_null=True)
    updatedBy = serializers.CharField()
    etag = serializers.CharField(allow_null=True)


class SendingDefaults(RestView):
    permissions = {"GET": "console.read", "PUT": "settings.manage"}

    @extend_schema(tags=["Channels"], operation_id="readSendingDefaults", responses=DefaultsResponse)
    def get(self, request: Request) -> Response:
        """Stop limits, domain limits and connections of this environment."""
        return _answer(defaults.of(scope=self.scope))

    @extend_schema(
        tags=["Channels"],
        operation_id="changeSendingDefaults",
        parameters=[IF_MATCH],
        request=DefaultsRequest,
        responses=DefaultsResponse,
    )
    def put(self, request: Request) -> Response:
        """Replace them as a whole. Stop limits and connections hold at once, domain limits from the next launch on."""
        given, now = validated(DefaultsRequest, request), timezone.now()
        version = expected_version(request) if "If-Match" in request.headers else 0
        about: dict[str, Any] = {"scope": self.scope, "actor": self.actor, "now": now}
        with recording(action="sending.defaults_changed", subject=defaults.SUBJECT, **about):
            found = defaults.change(version=version, **given, **about)
        return _answer(found)


def _answer(found: Defaults) -> Response:
    tag = etag(found.version) if found.version else None
    holds = combined(found.stop_limits)
    body = {
        "stopLimits": found.stop_limits,
        "domainLimits": found.domain_limits,
        "connections": found.connections,
        "holds": {kind.name: {"warn": holds[kind.code].warn, "stop": holds[kind.code].stop} for kind in KINDS},
        "updatedAt": moment(found.updated_at) if found.updated_at else None,
        "updatedBy": found.updated_by,
        "etag": tag,
    }
    return Response(body, headers={"ETag": tag} if tag else {})
