"""Shapes of endpoints, published events and the catalogue in REST. Those of received events stand in `received`."""

import json
from datetime import timedelta
from typing import Any

from rest_framework import serializers

from lamba_campaigns.lib.canonical import strict_loads
from lamba_campaigns.web.rest import StrictSerializer, etag
from webhooks import endpoints, rotation, schemes
from webhooks.catalog import API_VERSION, EventType
from webhooks.models import Delivery, Endpoint, OutboxEvent
from webhooks.reasons import REASON_LENGTH_MAX


# --- endpoints ------------------------------------------------------------------------------------------------------
class EndpointRequest(StrictSerializer):
    """`in` needs a kind; `out` needs a url."""

    direction = serializers.ChoiceField(choices=["in", "out"])
    name = serializers.CharField(max_length=120)
    kind = serializers.ChoiceField(choices=["lamba", "provider"], required=False, help_text="Of `in`: who sends.")
    scheme = serializers.CharField(
        max_length=20, required=False, help_text=f"Of `in`: how the sender signs, usually {schemes.DEFAULT}."
    )
    secret = serializers.CharField(
        max_length=rotation.GIVEN_LENGTH[1],
        required=False,
        trim_whitespace=False,
        help_text="Of `in`: the sender's own secret. Absent: one is made here.",
    )
    url = serializers.CharField(max_length=2_000, required=False, help_text="Of `out`: where events are sent.")
    eventTypes = serializers.ListField(
        source="event_types",
        child=serializers.CharField(max_length=120),
        required=False,
        help_text="Of `out`: what is sent; empty is every public type.",
    )
    ordered = serializers.BooleanField(
        required=False, help_text="Of `out`: one event at a time, the earlier one first; false by default."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        incoming = attrs["direction"] == "in"
        wanted = "kind" if incoming else "url"
        unwanted = ["url", "event_types", "ordered"] if incoming else ["kind", "scheme", "secret"]
        if wanted not in attrs:
            raise serializers.ValidationError({wanted: ["Needed for this direction."]}, code="required")
        for name in unwanted:
            if name in attrs:
                field = "eventTypes" if name == "event_types" else name
                raise serializers.ValidationError({field: ["Not used for this direction."]}, code="unused")
        return attrs


class EndpointChanges(StrictSerializer):
    name = serializers.CharField(max_length=120, required=False)
    url = serializers.CharField(max_length=2_000, required=False)
    eventTypes = serializers.ListField(
        source="event_types", child=serializers.CharField(max_length=120), required=False
    )
    status = serializers.ChoiceField(choices=["active", "disabled"], required=False)
    scheme = serializers.CharField(max_length=20, required=False, help_text="Of `in`.")
    ordered = serializers.BooleanField(required=False, help_text="Of `out`.")
    apiVersion = serializers.CharField(
        source="api_version", max_length=10, required=False, help_text="Of `out`: the payload version it is pinned to."
    )


class SecretResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="whs_…")
    hint = serializers.CharField(help_text="Its last characters.")
    createdAt = serializers.DateTimeField()
    notAfter = serializers.DateTimeField(allow_null=True)
    lastUsedAt = serializers.DateTimeField(allow_null=True)


class EndpointResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="whe_…")
    direction = serializers.CharField(help_text="in or out.")
    kind = serializers.CharField(help_text="lamba, provider or customer.")
    name = serializers.CharField()
    url = serializers.CharField(help_text="Of `out` where events go; of `in` where they are received.")
    eventTypes = serializers.ListField(child=serializers.CharField())
    scheme = serializers.CharField(help_text="Of `in`: how its sender signs.", allow_null=True)
    ordered = serializers.BooleanField(help_text="Of `out`: one event at a time, the earlier one first.")
    apiVersion = serializers.CharField()
    status = serializers.CharField(help_text="active or disabled.")
    disabledReason = serializers.CharField(allow_blank=True)
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()
    etag = serializers.CharField()


class EndpointWithSecretsResponse(EndpointResponse):
    secrets = SecretResponse(many=True)


class NewEndpointResponse(EndpointResponse):
    secret = serializers.CharField(help_text="Shown in this one answer and never again.")


class EndpointPage(serializers.Serializer[Any]):
    items = EndpointResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class RotateRequest(StrictSerializer):
    overlapHours = serializers.IntegerField(
        source="overlap_hours",
        min_value=0,
        max_value=int(rotation.OVERLAP_MAX.total_seconds() // 3600),
        default=int(rotation.OVERLAP_DEFAULT.total_seconds() // 3600),
        help_text="How long the secret before stays valid; 0 ends it now.",
    )

    secret = serializers.CharField(
        max_length=rotation.GIVEN_LENGTH[1],
        default="",
        trim_whitespace=False,
        help_text="Of `in`: the sender's own new secret. Absent: one is made here.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {"overlap": timedelta(hours=attrs["overlap_hours"]), "secret": attrs["secret"]}


class ReplayRequest(StrictSerializer):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(required=False, help_text="Now by default.")
    reason = serializers.CharField(max_length=REASON_LENGTH_MAX)
    dryRun = serializers.BooleanField(source="dry_run", default=False)


class ReplayResponse(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    until = serializers.DateTimeField(allow_null=True, help_text="When the last of them happened.")
    more = serializers.BooleanField(help_text="The range holds more: replay again from `until`.")
    dryRun = serializers.BooleanField()


class NewSecretResponse(SecretResponse):
    secret = serializers.CharField(help_text="Shown in this one answer and never again.")


class TestEventResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="evt_… of the test event")


def endpoint_json(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.public_id,
        "direction": endpoint.direction,
        "kind": endpoint.kind,
        "name": endpoint.name,
        "url": endpoint.url or endpoints.receiver_url(endpoint),
        "eventTypes": endpoint.event_types,
        "scheme": endpoint.scheme if endpoint.direction == Endpoint.Direction.IN else None,
        "ordered": endpoint.ordered,
        "apiVersion": endpoint.api_version,
        "status": endpoint.status,
        "disabledReason": endpoint.disabled_reason,
        "createdAt": endpoint.created_at,
        "updatedAt": endpoint.updated_at,
        "etag": etag(endpoint.version),
    }


def secret_json(secret: Any) -> dict[str, Any]:
    return {
        "id": secret.public_id,
        "hint": secret.hint,
        "createdAt": secret.created_at,
        "notAfter": secret.not_after,
        "lastUsedAt": secret.last_used_at,
    }


# --- published events -----------------------------------------------------------------------------------------------
class PublishedEventResponse(serializers.Serializer[Any]):
    """Lamba's envelope, as it is posted to endpoints: the same id, the same values."""

    id = serializers.CharField(help_text="evt_…")
    type = serializers.CharField()
    occurredAt = serializers.DateTimeField()
    workspaceId = serializers.CharField()
    projectId = serializers.CharField()
    environment = serializers.CharField(help_text="test or prod, as Lamba writes it.")
    apiVersion = serializers.CharField()
    sequence = serializers.IntegerField(help_text="Counts up by one in this environment.")
    data = serializers.DictField()  # type: ignore[assignment]


class PublishedEventPage(serializers.Serializer[Any]):
    items = PublishedEventResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True, help_text="Send it as `after`; null when there is no more now.")


class AttemptResponse(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    startedAt = serializers.DateTimeField()
    durationMs = serializers.IntegerField()
    requestHeaders = serializers.DictField(child=serializers.CharField())
    responseCode = serializers.IntegerField(allow_null=True)
    responseHeaders = serializers.DictField(child=serializers.CharField())
    excerpt = serializers.CharField(allow_blank=True)
    detail = serializers.CharField(allow_blank=True)


class DeliveryResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="dlv_…")
    endpoint = serializers.CharField(help_text="whe_…")
    status = serializers.CharField(help_text=f"One of {', '.join(Delivery.Status.values)}.")
    attempts = serializers.IntegerField()
    nextAttemptAt = serializers.DateTimeField(allow_null=True)
    detail = serializers.CharField(allow_blank=True)
    attemptLog = AttemptResponse(many=True)


class DeliveryList(serializers.Serializer[Any]):
    items = DeliveryResponse(many=True)


class ResendRequest(StrictSerializer):
    deliveryIds = serializers.ListField(
        source="delivery_ids", child=serializers.CharField(max_length=31), min_length=1, max_length=500
    )
    reason = serializers.CharField(max_length=REASON_LENGTH_MAX)


class ResendResponse(serializers.Serializer[Any]):
    count = serializers.IntegerField()


def published_json(event: OutboxEvent) -> dict[str, Any]:
    found: dict[str, Any] = strict_loads(bytes(event.payload))
    return found


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    waits = delivery.status == Delivery.Status.PENDING
    return {
        "id": delivery.public_id,
        "endpoint": delivery.endpoint.public_id,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "nextAttemptAt": delivery.next_attempt_at if waits else None,
        "detail": delivery.detail,
        "attemptLog": [
            {
                "number": attempt.number,
                "startedAt": attempt.started_at,
                "durationMs": attempt.duration_ms,
                "requestHeaders": attempt.request_headers,
                "responseCode": attempt.response_code,
                "responseHeaders": attempt.response_headers,
                "excerpt": attempt.excerpt,
                "detail": attempt.detail,
            }
            for attempt in sorted(delivery.attempt_log.all(), key=lambda each: each.pk)
        ],
    }


# --- the catalogue --------------------------------------------------------------------------------------------------
class EventTypeResponse(serializers.Serializer[Any]):
    name = serializers.CharField()
    direction = serializers.CharField(help_text="in, out or both.")
    sentence = serializers.CharField()
    apiVersion = serializers.CharField(help_text="The payload version that schema and sample show.")
    schema = serializers.DictField(help_text="JSON Schema of `data`.")
    sample = serializers.DictField()


class EventTypeList(serializers.Serializer[Any]):
    items = EventTypeResponse(many=True)


def event_type_json(kind: EventType) -> dict[str, Any]:
    return {
        "name": kind.name,
        "direction": kind.direction,
        "sentence": kind.sentence,
        "apiVersion": API_VERSION,
        "schema": json.loads(json.dumps(kind.schema)),
        "sample": json.loads(json.dumps(kind.sample)),
    }
