"""Support view of the evidence: chains, books and differences."""

from django.contrib import admin

from audit.models import Book, Break, Chain, Checkpoint
from lamba_campaigns.web.support import ReadOnlyAdmin


@admin.register(Chain)
class ChainAdmin(ReadOnlyAdmin):
    list_display = ["key", "sequence"]
    search_fields = ["key"]


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    list_display = ["chain_id", "sequence", "key_id", "signed_at"]


@admin.register(Book)
class BookAdmin(ReadOnlyAdmin):
    list_display = ["subject", "environment_id", "planned", "residual", "score", "reconciled_at", "closed_at"]
    search_fields = ["subject", "public_id"]


@admin.register(Break)
class BreakAdmin(ReadOnlyAdmin):
    list_display = ["subject", "type", "source", "account", "quantity", "state", "opened_at"]
    list_filter = ["state", "type"]
    search_fields = ["subject", "public_id"]
