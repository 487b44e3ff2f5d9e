"""The page behind the link of a message. GET shows a form and changes nothing: scanners follow every link in a mail.

POST acts (RFC 8058): without cookies, without signing in, again and again with the same answer, never a redirect.
"""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from delivery import preferences
from delivery.preferences import Wish
from lamba_campaigns.web.rate import require_rate
from lamba_campaigns.web.requests import client_ip

RATE = "60/minute"  # from one address; mail providers post from a few
BOXES_MAX = 500
_WISHES: dict[str, Wish] = {"resubscribe": "resubscribe", "save": "save", "nothing": "nothing"}


@csrf_exempt
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    require_rate("unsubscribe", client_ip(request), rate=RATE)
    if request.method == "POST":
        wish = _WISHES.get(request.POST.get("wish", ""), "unsubscribe")
        found = preferences.act(
            token=token,
            wish=wish,
            chosen=request.POST.getlist("on")[:BOXES_MAX],
            how="page" if "wish" in request.POST else "one_click",
            ip=client_ip(request),
            now=timezone.now(),
        )
    else:
        wish, found = None, preferences.read(token=token)
    response = render(request, "delivery/preferences.html", {"found": found, "acted": wish})
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response
