"""Support view of endpoints, events and deliveries. Bodies and secrets are not shown here."""

from django.contrib import admin

from lamba_campaigns.web.support import ReadOnlyAdmin
from webhooks.models import Delivery, DeliveryAttempt, Endpoint, InboundEvent, OutboxEvent


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    list_display = ["public_id", "name", "direction", "kind", "status", "environment_id", "created_at"]
    list_filter = ["direction", "status"]
    search_fields = ["=public_id"]


@admin.register(InboundEvent)
class InboundEventAdmin(ReadOnlyAdmin):
    list_display = ["event_id", "type", "state", "attempts", "environment_id", "received_at"]
    list_filter = ["state"]
    search_fields = ["=event_id"]
    exclude = ["raw", "headers"]


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    list_display = ["public_id", "type", "sequence", "environment_id", "created_at"]
    search_fields = ["=public_id"]
    exclude = ["payload"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ["public_id", "status", "attempts", "response_code", "detail", "next_attempt_at"]
    list_filter = ["status"]
    search_fields = ["=public_id"]


@admin.register(DeliveryAttempt)
class DeliveryAttemptAdmin(ReadOnlyAdmin):
    list_display = ["delivery_id", "number", "response_code", "duration_ms", "started_at"]
    exclude = ["excerpt"]
