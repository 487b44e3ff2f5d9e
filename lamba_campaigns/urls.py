"""The whole address space. Console pages carry their scope; REST paths do not, because the key does."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView

from lamba_campaigns.web import errors, pages
from lamba_campaigns.web.reference import rest_reference
from projects import sign_in, views

_SCOPE = "<slug:workspace>/<slug:project>/<environment:environment>/"
_APPS = ("campaigns", "audiences", "delivery", "limits", "webhooks", "audit", "projects")

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.page_not_found
handler500 = errors.server_error

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in", sign_in.sign_in, name="sign-in"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("preferences", views.preferences, name="preferences"),
    path("theme", login_not_required(pages.theme), name="theme"),
    path("healthz", login_not_required(pages.health), name="health"),
    path("problems/<slug:code>", login_not_required(pages.refusal), name="refusal"),
    path("staff/", admin.site.urls),
    path("api/docs/", login_not_required(rest_reference), name="api-docs"),
    path("api/v1/openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("", include("webhooks.public_urls")),
    path("", include("delivery.public_urls")),
    *(path("api/v1/", include(f"{app}.api.urls")) for app in _APPS),
    path(f"{_SCOPE}find", pages.find, name="find"),
    *(path(_SCOPE, include(f"{app}.urls")) for app in _APPS),
]
