"""Who calls the REST interface: an API key, and whether it may."""

from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from lamba_campaigns.web.rate import require_rate
from lamba_campaigns.web.requests import client_ip, note_environment, trace_id
from projects import access


class ApiPrincipal:
    """What DRF calls the user: an API key that authenticated."""

    is_authenticated = True

    def __init__(self, granted: access.Access) -> None:
        self.access = granted
        self.pk = granted.actor.id


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer lmb_…`."""

    def authenticate(self, request: Request) -> tuple[ApiPrincipal, access.Access]:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise access.Unauthenticated(
                "This needs an API key.", next_step="Send the header Authorization: Bearer lmb_…"
            )
        granted = access.for_key(
            key=key.strip(), now=timezone.now(), ip=client_ip(request._request), trace_id=trace_id(request._request)
        )
        require_rate("api", granted.actor.id, rate=settings.API_RATE)
        note_environment(granted.scope.path)
        return ApiPrincipal(granted), granted

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasPermission(BasePermission):
    """The view's `permissions` table names what each method needs: HEAD what GET does, OPTIONS any live key."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method == "OPTIONS":
            return True
        needed = getattr(view, "permissions", {}).get("GET" if request.method == "HEAD" else request.method)
        if needed is None:
            raise exceptions.MethodNotAllowed(str(request.method))
        granted: access.Access = request.auth  # type: ignore[assignment]
        granted.require(needed)
        return True


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes an API key."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "lmb_…"}
