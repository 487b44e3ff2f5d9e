"""Where tracked links and pixels lead. The reader always gets there; what the books learn of it comes second.

A HEAD, or a request that says it is a prefetch, is no reader and is not told.
"""

import base64
import logging
from collections.abc import Callable
from typing import Final

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.http import require_safe

from delivery import tokens, tracking
from lamba_campaigns.lib.errors import NotFound

PIXEL: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_log = logging.getLogger(__name__)


@login_not_required
@require_safe
def click(request: HttpRequest, sealed: str) -> HttpResponse:
    url = request.GET.get("to", "")
    reference = tracking.target(sealed=sealed, url=url)
    if reference is None:
        raise NotFound("This link is not complete.", next_step="Copy the whole link from the message.")
    if _is_reader(request):
        _noted(lambda: tracking.note_click(reference=reference, url=url, now=timezone.now()))
    response = HttpResponseRedirect(url)
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response


@login_not_required
@require_safe
def pixel(request: HttpRequest, token: str) -> HttpResponse:
    reference = tokens.read("open", token)
    if reference is not None and _is_reader(request):
        _noted(lambda: tracking.note_open(reference=reference, now=timezone.now()))
    response = HttpResponse(PIXEL, content_type="image/gif", status=200 if reference is not None else 404)
    response["Cache-Control"] = "no-store"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def _is_reader(request: HttpRequest) -> bool:
    said = f"{request.headers.get('Purpose', '')} {request.headers.get('Sec-Purpose', '')}".lower()
    return request.method == "GET" and "prefetch" not in said


def _noted(note: Callable[[], None]) -> None:
    try:
        note()
    except DatabaseError:
        _log.exception("A click or an open could not be noted; its reader got through all the same.")
