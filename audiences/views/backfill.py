"""Console pages of the backfill: the access to Lamba's API, and how far the reading of its members is."""

from typing import Any

from django import forms
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone

from audiences.backfill import connection, runs
from audiences.forms import take
from audiences.models import BackfillRun
from audiences.tasks import ring_backfill
from audiences.views.people import keyset, parts
from lamba_campaigns.lib.errors import Invalid
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url

PAGE_RUNS = 20
_MOVING = (BackfillRun.State.QUEUED, BackfillRun.State.RUNNING)


class AccessForm(forms.Form):
    """How to ask Lamba."""

    auth_url = forms.CharField(label="Sign-in host", max_length=300)
    api_url = forms.CharField(label="API host", max_length=300)
    client_id = forms.CharField(label="Management client ID", max_length=200)
    client_secret = forms.CharField(
        label="Client secret",
        max_length=400,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Stored encrypted, never shown again. Empty keeps the stored one.",
    )
    page_size = forms.IntegerField(label="Members per page", min_value=1, max_value=connection.PAGE_SIZE_MAX)
    token_path = forms.CharField(label="Token path", max_length=200)
    members_path = forms.CharField(label="Members path", max_length=200)
    sms_path = forms.CharField(label="SMS add-on path", max_length=200)
    cursor_parameter = forms.CharField(label="Cursor parameter", max_length=40)
    token_scope = forms.CharField(label="Token scope", max_length=200, required=False)
    state_version = forms.IntegerField(required=False, widget=forms.HiddenInput)


@console_view(get="people.write")
def backfill_list(request: ConsoleRequest) -> HttpResponseBase:
    found, previous, following = keyset(BackfillRun.objects.within(request.scope), request, size=PAGE_RUNS)
    moving = [run for run in found if run.state in _MOVING]
    seen = "".join(f"{run.public_id}{run.state}{run.page_count}{run.failure_count}" for run in found[:1])
    if getattr(request, "htmx", False) and request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    context = {
        "nav": "people",
        "parts": parts(request.scope, request.access, "backfill"),
        "runs": found,
        "moving": moving,
        "seen": seen,
        "access_to_lamba": connection.find(scope=request.scope),
        "previous": previous,
        "next": following,
        "shown": f"{len(found)} on this page",
    }
    live = getattr(request, "htmx", False)
    return page(request, "audiences/_backfill.html" if live else "audiences/backfill_list.html", context)


@console_view(post="people.write")
def backfill_start(request: ConsoleRequest) -> HttpResponseBase:
    run = runs.start(scope=request.scope, actor=request.actor, now=timezone.now())
    ring_backfill(run.pk)
    notify(request, "Reading Lamba's members.")
    return HttpResponseRedirect(url(request.scope, "backfill-list"))


@console_view(post="people.write")
def backfill_cancel(request: ConsoleRequest, run: str) -> HttpResponseBase:
    runs.cancel(scope=request.scope, actor=request.actor, public_id=run, now=timezone.now())
    notify(request, "No further page is read. What was read stays.")
    return HttpResponseRedirect(url(request.scope, "backfill-list"))


@console_view(get="settings.manage", post="settings.manage")
def lamba_access(request: ConsoleRequest) -> HttpResponseBase:
    found = connection.find(scope=request.scope)
    if request.method == "POST":
        form = AccessForm(request.POST)
        if form.is_valid():
            given = dict(form.cleaned_data)
            version = given.pop("state_version")
            try:
                connection.save(
                    scope=request.scope,
                    actor=request.actor,
                    access=connection.Access(**given),
                    state_version=version,
                    now=timezone.now(),
                )
            except Invalid as refusal:
                take(form, refusal)
            else:
                notify(request, "Saved.")
                return HttpResponseRedirect(url(request.scope, "backfill-list"))
    else:
        form = AccessForm(initial=_initial(request, found))
    context = {"nav": "people", "form": form, "found": found}
    return page(request, "audiences/lamba_access.html", context, 422 if form.errors else 200)


def _initial(request: ConsoleRequest, found: Any) -> dict[str, Any]:
    if found is not None:
        names = [name for name in AccessForm.base_fields if name != "client_secret"]
        return {name: getattr(found, name) for name in names}
    auth_url, api_url = connection.HOSTS[request.scope.environment]
    usual = connection.Access(auth_url=auth_url, api_url=api_url, client_id="")
    return {
        name: getattr(usual, name) for name in AccessForm.base_fields if name not in ("client_secret", "state_version")
    }
