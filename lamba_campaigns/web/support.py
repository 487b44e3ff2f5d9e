"""The support view at /staff/: Django's admin, read only, behind the console's own sign-in."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.sites import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from lamba_campaigns.lib.errors import Forbidden

PAGE_SIZE = 50
OWN_DOORS = {"password_change", "password_change_done"}  # the console has them


class SupportSite(AdminSite):
    """No form of its own to sign in with: one door, one rate limit, one audit entry."""

    site_header = "Lamba Campaigns support"
    site_title = "Support"
    index_title = "Read only"
    site_url = "/"
    enable_nav_sidebar = True

    def get_urls(self) -> list[Any]:
        return [found for found in super().get_urls() if getattr(found, "name", None) not in OWN_DOORS]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:  # type: ignore[override]
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_authenticated:
            raise Forbidden("The support view is for staff.", next_step="Ask whoever runs this installation.")
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:  # type: ignore[override]
        """Signing out is the console's too, where it is written down."""
        return redirect("home")


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Base of every support page: rows of every environment, nothing to change, newest first, no counting."""

    actions = None
    list_per_page = PAGE_SIZE
    show_full_result_count = False
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Support looks across environments, and its address says so."""
        manager: Any = self.model._default_manager
        rows = manager.all()
        if hasattr(rows, "across_environments"):
            rows = rows.across_environments("the support view shows every environment")
        found: QuerySet[Any] = rows.order_by(*self.ordering)
        return found

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
