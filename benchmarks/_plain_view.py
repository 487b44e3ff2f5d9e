"""A peer of `ingest`: the receiver as one writes it first, a synchronous Django view that gets or creates a row.

Behind the site's own middleware, with the same signature check. The secret stands in BENCH_SECRET.
"""

import os
import time
from typing import Any

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lamba_campaigns.settings")
django.setup(set_prefix=False)

import json  # noqa: E402 - Django first

from django.contrib.auth.decorators import login_not_required  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils import timezone  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

from lamba_campaigns.lib.signing import verify_lamba_v1  # noqa: E402
from webhooks.models import InboundEvent  # noqa: E402


@csrf_exempt
@login_not_required
def receive(request: HttpRequest) -> JsonResponse:
    verify_lamba_v1(
        timestamp=request.headers["X-Lamba-Timestamp"],
        signature=request.headers["X-Lamba-Signature"],
        body=request.body,
        secrets=[os.environ["BENCH_SECRET"]],
        now=time.time(),
    )
    now = timezone.now()
    defaults: dict[str, Any] = {"source": "lamba", "received_at": now, "last_seen_at": now, "next_attempt_at": now}
    _, created = InboundEvent.objects.across_environments("a benchmark").get_or_create(
        environment_id=int(os.environ["BENCH_ENVIRONMENT"]),
        event_id=json.loads(request.body)["id"],
        defaults={**defaults, "raw": request.body, "sha256": b""},
    )
    return JsonResponse({"status": "accepted"}, status=202 if created else 200)


urlpatterns = [path("plain", receive), path("healthz", login_not_required(lambda request: JsonResponse({})))]
settings.ROOT_URLCONF = __name__
application = WSGIHandler()
