"""What holds NUL is refused, since no column of ours can hold one: an address before anybody looks for it, a field at
the latest by the database, where no form has said so beside it."""

from collections.abc import Callable

from django.db import DataError
from django.http import HttpRequest, HttpResponseBase

from lamba_campaigns.web.errors import BadRequest, answer


class ReadableAddressMiddleware:
    """400 for NUL in the path, the query or a field, in REST and the console alike."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "\x00" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return answer(request, BadRequest("The address holds a NUL.", next_step="Remove %00 from the address."))
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        if isinstance(error, DataError) and "NUL (0x00)" in str(error):
            return answer(request, BadRequest("A field holds a NUL.", next_step="Go back and type it anew."))
        return None
