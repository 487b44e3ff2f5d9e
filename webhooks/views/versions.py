"""The console page that moves an endpoint to another payload version: the difference first, then the decision."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from audit.chain import Subject
from audit.refusals import recording
from lamba_campaigns.lib.errors import Conflict
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url
from webhooks import catalog, endpoints, reading, versions
from webhooks.forms import VersionForm
from webhooks.models import Endpoint


class OnlyOutgoing(Conflict):
    code = "ENDPOINT_HAS_NO_VERSION"
    title = "A receiving endpoint has no payload version"


@console_view(get="webhooks.manage", post="webhooks.manage")
def endpoint_version(request: ConsoleRequest, endpoint: str) -> HttpResponse:
    """A GET shows what `to` changes in the samples; a POST pins the endpoint to it."""
    row = reading.endpoint(scope=request.scope, endpoint_id=endpoint)
    if row.direction != Endpoint.Direction.OUT:
        raise OnlyOutgoing("This endpoint receives; only those that we send to have a payload version.")
    form = VersionForm(
        request.POST if request.method == "POST" else {"to": request.GET.get("to", versions.VERSIONS[-1])}
    )
    if request.method == "POST" and form.is_valid():
        now = timezone.now()
        subject = Subject("endpoint", row.public_id, row.name)
        with recording(scope=request.scope, actor=request.actor, action="endpoint.updated", subject=subject, now=now):
            endpoints.update(
                scope=request.scope,
                actor=request.actor,
                endpoint_id=endpoint,
                expected_version=form.cleaned_data["version"],
                changes={"api_version": form.cleaned_data["to"]},
                now=now,
            )
        notify(request, f"Events go out in version {form.cleaned_data['to']}.")
        return redirect(url(request.scope, "endpoint-detail", endpoint))
    return _page(request, row, form)


def _page(request: ConsoleRequest, row: Endpoint, form: VersionForm) -> HttpResponse:
    chosen = form.data.get("to", "")
    known = chosen in versions.VERSIONS
    types = [each for each in catalog.public() if not row.event_types or each.name in row.event_types]
    context = {
        "nav": "events",
        "endpoint": row,
        "chosen": chosen if known else row.api_version,
        "changes": known and chosen != row.api_version,
        "tabs": [(each, f"?to={each}", None, each == chosen) for each in reversed(versions.VERSIONS)],
        "differences": list(versions.differences(types=types, old=row.api_version, new=chosen)) if known else [],
    }
    refused = request.method == "POST" or not known
    return page(request, "webhooks/endpoint_version.html", context, status=422 if refused else 200)
