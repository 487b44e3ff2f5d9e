"""Support view of workspaces, projects, members, keys and accounts. Accounts are made by `manage.py create_account`."""

from django.contrib import admin
from django.contrib.auth.models import Group, User

from lamba_campaigns.web.support import ReadOnlyAdmin
from projects.models import ApiKey, Environment, Member, Project, Workspace

admin.site.unregister([Group, User])


@admin.register(User)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ["email", "first_name", "last_name", "is_active", "is_staff", "last_login"]
    search_fields = ["email"]
    exclude = ["password", "groups", "user_permissions"]


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
