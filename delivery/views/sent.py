"""Console page of what was really sent to one person."""

from django.http import HttpResponse
from django.views.decorators.http import require_GET

from delivery import jobs, replay
from delivery.content.mime import Envelope
from delivery.replay import NotSent
from delivery.sent_parts import parts, source
from delivery.views.jobs import FRAME_POLICY
from lamba_campaigns.web.console import ConsoleRequest, console_view, page


@require_GET
@console_view(get="people.read")
def message_sent(request: ConsoleRequest, job: str, position: int) -> HttpResponse:
    found = jobs.get(scope=request.scope, public_id=job)
    row = replay.message_of(scope=request.scope, job=found, position=position)
    context = {"nav": "campaigns", "job": found, "row": row, "outcome": replay.outcome_of(row)}
    try:
        built = replay.sent(scope=request.scope, job=found, position=position)
    except NotSent as refusal:
        return page(request, "delivery/sent.html", context | {"problem": refusal})
    text = built.data.decode("utf-8", "replace")
    return page(request, "delivery/sent.html", context | parts(built) | {"source": text, "size": len(built.data)})


@require_GET
@console_view(get="people.read")
def message_body(request: ConsoleRequest, job: str, position: int) -> HttpResponse:
    """The HTML alone, for the sandboxed frame: no scripts, nothing loaded from anywhere."""
    answer = HttpResponse(parts(_built(request, job, position))["html"])
    answer["Content-Security-Policy"] = FRAME_POLICY
    answer["X-Frame-Options"] = "SAMEORIGIN"
    answer["Cache-Control"] = "no-store"
    return answer


@require_GET
@console_view(get="people.read")
def message_source(request: ConsoleRequest, job: str, position: int) -> HttpResponse:
    return source(_built(request, job, position), job, position)


def _built(request: ConsoleRequest, job: str, position: int) -> Envelope:
    return replay.sent(scope=request.scope, job=jobs.get(scope=request.scope, public_id=job), position=position)
