"""Support view of plans, holds and counters."""

from django.contrib import admin

from lamba_campaigns.web.support import ReadOnlyAdmin
from limits.models import Reservation, Subscription, UsageCounter, WorkspaceAddOn


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    list_display = ["workspace_id", "plan", "effective_from", "status", "anchor_day", "time_zone"]
    list_filter = ["plan", "status"]


@admin.register(WorkspaceAddOn)
class WorkspaceAddOnAdmin(ReadOnlyAdmin):
    list_display = ["workspace_id", "sku", "quantity", "effective_from", "effective_to"]
    list_filter = ["sku"]


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    list_display = ["purpose", "environment_id", "state", "overage_quantity", "created_at", "expires_at"]
    list_filter = ["state"]
    search_fields = ["purpose", "public_id"]


@admin.register(UsageCounter)
class UsageCounterAdmin(ReadOnlyAdmin):
    list_display = ["pool", "limit_key", "period_start", "used", "reserved"]
    list_filter = ["limit_key"]
    search_fields = ["pool"]
