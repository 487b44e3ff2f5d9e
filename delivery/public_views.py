"""The page behind an unsubscribe link. GET shows a form and changes nothing: scanners follow every link in a mail.

POST acts (RFC 8058): without cookies, without signing in, again and again with the same answer, never a redirect.
"""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from delivery import unsubscribing
from lamba_campaigns.web.rate import require_rate
from lamba_campaigns.web.requests import client_ip

RATE = "60/minute"  # from one address; mail providers post from a few


@csrf_exempt
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    require_rate("unsubscribe", client_ip(request), rate=RATE)
    if request.method == "POST":
        resubscribe = request.POST.get("wish") == "resubscribe"
        found = unsubscribing.act(
            token=token,
            wish="resubscribe" if resubscribe else "unsubscribe",
            how="page" if "wish" in request.POST else "one_click",
            ip=client_ip(request),
            now=timezone.now(),
        )
    else:
        found = unsubscribing.preference(token=token)
    context = {"found": found, "acted": request.method == "POST"}
    response = render(request, "delivery/unsubscribe.html", context)
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response
