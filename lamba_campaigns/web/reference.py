"""The REST reference, rendered by Redoc from our own OpenAPI document, under a policy of its own."""

import re
from typing import Any

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


def name_in_words(result: dict[str, Any], generator: object, request: object, public: bool) -> dict[str, Any]:
    """drf-spectacular's last hook: tags start with a capital, and an operation without a summary is named by its id."""
    for methods in result.get("paths", {}).values():
        for operation in methods.values():
            operation["tags"] = [tag[:1].upper() + tag[1:] for tag in operation.get("tags", [])]
            operation.setdefault("summary", in_words(operation["operationId"]))
    return result


def in_words(identifier: str) -> str:
    """`listAudiences` and `campaigns_list` are read as "List audiences" and "Campaigns list"."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", identifier).replace("_", " ").lower()
    return text[:1].upper() + text[1:]
