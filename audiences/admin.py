"""Support view of audiences, lists, snapshots and imports. People stand in the console only, where access is logged."""

from django.contrib import admin

from audiences.models import Audience, AudienceVersion, ImportRun, Segment, Snapshot
from lamba_campaigns.web.support import ReadOnlyAdmin


@admin.register(Audience)
class AudienceAdmin(ReadOnlyAdmin):
    list_display = ["public_id", "name", "version", "environment_id", "updated_at", "deleted_at"]
    search_fields = ["=public_id", "name"]


@admin.register(AudienceVersion)
class AudienceVersionAdmin(ReadOnlyAdmin):
    list_display = ["public_id", "audience_id", "number", "sentence", "created_by", "created_at"]
    search_fields = ["=public_id"]


@admin.register(Segment)
class SegmentAdmin(ReadOnlyAdmin):
    list_display = ["public_id", "slug", "origin", "number", "environment_id", "updated_at"]
    search_fields = ["=public_id", "slug"]


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ["public_id", "purpose", "channel", "planned", "included", "environment_id", "taken_at"]
    search_fields = ["=public_id", "=purpose"]


@admin.register(ImportRun)
class ImportRunAdmin(ReadOnlyAdmin):
    list_display = ["public_id", "filename", "state", "row_count", "problem_count", "environment_id", "created_at"]
    list_filter = ["state"]
    search_fields = ["=public_id"]
