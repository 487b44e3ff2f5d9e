"""REST of channel connections. A secret goes in, or comes out once when we made it; it is never read back."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audiences.channels import CHANNEL_BITS
from audit.chain import Subject
from audit.refusals import recording
from delivery import connections
from delivery.api.serializers import moment
from delivery.models import ChannelSettings
from lamba_campaigns.lib.errors import NotFound
from lamba_campaigns.web.rest import RestView, StrictSerializer, etag, expected_version, validated

CHANNEL = OpenApiParameter("channel", str, OpenApiParameter.PATH, enum=list(CHANNEL_BITS))
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The etag; absent: not connected yet."
)


class ConnectionRequest(StrictSerializer):
    provider = serializers.CharField(max_length=30)
    config = serializers.DictField(child=serializers.CharField(max_length=300, allow_blank=True), default=dict)
    secret = serializers.CharField(
        max_length=500,
        required=False,
        default="",
        allow_blank=True,
        help_text="Theirs; absent keeps it. `new` makes another one of ours.",
    )


class ConnectionResponse(serializers.Serializer[Any]):
    channel = serializers.CharField()
    connected = serializers.BooleanField(help_text="Messages have a way out.")
    provider = serializers.CharField(help_text="Empty: what the installation brings.")
    config = serializers.DictField(child=serializers.CharField())
    secretHint = serializers.CharField(help_text="Its last characters.")
    updatedAt = serializers.DateTimeField(allow_null=True)
    updatedBy = serializers.CharField()
    etag = serializers.CharField(allow_null=True)


class ConnectedResponse(ConnectionResponse):
    secret = serializers.CharField(help_text="A secret that we made: shown this once. Empty otherwise.")


class ConnectionPage(serializers.Serializer[Any]):
    items = ConnectionResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class ChannelList(RestView):
    permissions = {"GET": "console.read"}

    @extend_schema(tags=["Channels"], operation_id="listChannels", responses=ConnectionPage)
    def get(self, request: Request) -> Response:
        """Every channel, and how it is connected here."""
        rows = connections.rows(scope=self.scope)
        return Response({"items": [channel_json(name, rows.get(name)) for name in CHANNEL_BITS], "nextCursor": None})


class ChannelDetail(RestView):
    permissions = {"GET": "console.read", "PUT": "settings.manage", "DELETE": "settings.manage"}

    @extend_schema(tags=["Channels"], operation_id="readChannel", parameters=[CHANNEL], responses=ConnectionResponse)
    def get(self, request: Request, channel: str) -> Response:
        _require_channel(channel)
        row = connections.rows(scope=self.scope).get(channel)
        return Response(channel_json(channel, row), headers={"ETag": etag(row.state_version)} if row else {})

    @extend_schema(
        tags=["Channels"],
        operation_id="connectChannel",
        parameters=[CHANNEL, IF_MATCH],
        request=ConnectionRequest,
        responses=ConnectedResponse,
    )
    def put(self, request: Request, channel: str) -> Response:
        """Connect the channel, or change how it is connected."""
        _require_channel(channel)
        given = validated(ConnectionRequest, request)
        version = expected_version(request) if "If-Match" in request.headers else 0
        now, subject = timezone.now(), Subject("channel", channel, channel)
        with recording(scope=self.scope, actor=self.actor, action="channel.connected", subject=subject, now=now):
            row, made = connections.connect(
                scope=self.scope, actor=self.actor, channel=channel, version=version, now=now, **given
            )
        return Response(channel_json(channel, row) | {"secret": made}, headers={"ETag": etag(row.state_version)})

    @extend_schema(
        tags=["Channels"], operation_id="disconnectChannel", parameters=[CHANNEL, IF_MATCH], responses={204: None}
    )
    def delete(self, request: Request, channel: str) -> Response:
        """Forget the connection and its secret. Running jobs of the channel wait until there is another one."""
        _require_channel(channel)
        version = expected_version(request)
        connections.disconnect(scope=self.scope, actor=self.actor, channel=channel, version=version, now=timezone.now())
        return Response(status=204)


def channel_json(channel: str, row: ChannelSettings | None) -> dict[str, Any]:
    return {
        "channel": channel,
        "connected": row is not None or channel not in connections.NEEDS_CONNECTION,
        "provider": row.provider if row else "",
        "config": row.config if row else {},
        "secretHint": row.secret_hint if row else "",
        "updatedAt": moment(row.updated_at) if row else None,
        "updatedBy": row.updated_by if row else "",
        "etag": etag(row.state_version) if row else None,
    }


def _require_channel(channel: str) -> None:
    if channel not in CHANNEL_BITS:
        raise NotFound(f"There is no channel {channel[:40]!r}.", next_step=f"Use {', '.join(CHANNEL_BITS)}.")
