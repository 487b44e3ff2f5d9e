"""The whole address space. Console pages carry their scope; REST paths do not, because the key does."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

_SCOPE = "<slug:workspace>/<slug:project>/<environment:environment>/"
_APPS = ("campaigns", "audiences", "delivery", "limits", "webhooks", "audit", "projects")

urlpatterns = [
    path("staff/", admin.site.urls),
    path("api/v1/openapi.json", SpectacularAPIView.as_view(), name="openapi"),
    *(path("api/v1/", include(f"{app}.api.urls")) for app in _APPS),
    *(path(_SCOPE, include(f"{app}.urls")) for app in _APPS),
]
