"""What every console view shares: the scope from the URL, the page context, and errors shown as panels."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase


class DomainErrorMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)


def console_context(request: HttpRequest) -> dict[str, Any]:
    return {}
