"""An address that holds NUL is refused before anybody looks for it: no column of ours can hold one."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from lamba_campaigns.web.errors import BadRequest, answer


class ReadableAddressMiddleware:
    """400 for NUL in the path or the query, in REST and the console alike."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "\x00" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return answer(request, BadRequest("The address holds a NUL.", next_step="Remove %00 from the address."))
        return self.get_response(request)
