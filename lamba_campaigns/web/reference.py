"""The REST reference, rendered by Redoc from our own OpenAPI document, under a policy of its own."""

from csp.decorators import csp_replace
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
@csp_replace(
    {
        "style-src": ["'self'", "'unsafe-inline'"],  # Redoc writes its styles as it draws
        "worker-src": ["'self'", "blob:"],  # its search index
        "img-src": ["'self'", "data:", "blob:"],
    }
)
def rest_reference(request: HttpRequest) -> HttpResponse:
    """`/api/docs/`: every endpoint, request and answer. It needs no sign-in, as the document itself needs none."""
    return render(request, "reference.html")
