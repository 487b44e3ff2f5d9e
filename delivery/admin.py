"""Support view of send jobs and the suppression list. Addresses of messages are not shown here."""

from django.contrib import admin

from delivery.models import Installation, SendJob, Suppression
from lamba_campaigns.web.support import ReadOnlyAdmin


@admin.register(SendJob)
class SendJobAdmin(ReadOnlyAdmin):
    list_display = ["public_id", "title", "state", "channel", "environment_id", "created_at", "finished_at"]
    list_filter = ["state"]
    search_fields = ["=public_id", "=subject"]
    exclude = ["content"]


@admin.register(Suppression)
class SuppressionAdmin(ReadOnlyAdmin):
    list_display = ["public_id", "channel", "reason", "environment_id", "created_at", "created_by"]
    list_filter = ["reason"]
    search_fields = ["=public_id"]


@admin.register(Installation)
class InstallationAdmin(ReadOnlyAdmin):
    list_display = ["installation_id", "recorded_at"]
