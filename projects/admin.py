"""Support view of workspaces, projects, members and keys; accounts are the one thing that staff manage here."""

from django.contrib import admin

from lamba_campaigns.web.support import ReadOnlyAdmin
from projects.models import ApiKey, Environment, Member, Project, Workspace


@admin.register(Workspace)
class WorkspaceAdmin(ReadOnlyAdmin):
    list_display = ["name", "slug", "public_id", "created_at"]
    search_fields = ["name", "slug", "public_id"]


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin):
    list_display = ["name", "slug", "public_id", "time_zone", "created_at"]
    search_fields = ["name", "slug", "public_id"]


@admin.register(Environment)
class EnvironmentAdmin(ReadOnlyAdmin):
    list_display = ["id", "name", "project_name", "sender_address"]
    list_select_related = ["project"]
    exclude = ["sandbox_allow_list"]

    @admin.display(description="project")
    def project_name(self, row: Environment) -> str:
        return row.project.name


@admin.register(Member)
class MemberAdmin(ReadOnlyAdmin):
    list_display = ["user", "workspace_name", "role", "created_at"]
    list_select_related = ["user", "workspace"]
    list_filter = ["role"]

    @admin.display(description="workspace")
    def workspace_name(self, row: Member) -> str:
        return row.workspace.name


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = ["name", "key_id", "environment_id", "expires_at", "last_used_at", "revoked_at"]
    search_fields = ["key_id", "public_id"]
    exclude = ["secret_hash"]
