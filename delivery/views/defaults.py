"""The console page of what holds for every campaign of an environment: stop limits, domain limits, connections."""

from typing import Any

from django import forms
from django.http import HttpResponse, HttpResponseRedirect
from django.utils import timezone

from audit.refusals import recording
from delivery import defaults, stop_limits
from delivery.channels.relay import CONNECTIONS_MAX
from delivery.consent_forms import Refusable
from delivery.defaults import Defaults
from delivery.stop_forms import STOP_PLACES, StopFields, domain_lines, domains_of, stop_initial, stop_values
from delivery.stop_limits import KINDS, said
from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url


class DefaultsForm(StopFields, Refusable):
    places = {
        "#/domainLimits": "domain_limits",
        **{f"#/stopLimits/{pointer}": name for pointer, name in STOP_PLACES.items()},
    }
    domain_limits = forms.CharField(
        label="Limits by mailbox domain",
        max_length=4_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="One a line with messages a minute, such as gmail.com 600. A campaign may say otherwise.",
    )
    connections = forms.IntegerField(
        label="Connections to the relay",
        min_value=1,
        max_value=CONNECTIONS_MAX,
        required=False,
        help_text="Of all workers together. Empty: as many as the relay takes.",
    )
    version = forms.IntegerField(widget=forms.HiddenInput)

    def clean_domain_limits(self) -> dict[str, int]:
        return domains_of(self.cleaned_data["domain_limits"])

    @classmethod
    def of(cls, found: Defaults) -> "DefaultsForm":
        shown = {"domain_limits": domain_lines(found.domain_limits), "connections": found.connections}
        return cls(initial={**shown, "version": found.version, **stop_initial(found.stop_limits)})


@console_view(get="console.read", post="settings.manage")
def sending_defaults(request: ConsoleRequest) -> HttpResponse:
    found = defaults.of(scope=request.scope)
    form = DefaultsForm(request.POST) if request.method == "POST" else DefaultsForm.of(found)
    if request.method == "POST" and form.is_valid() and _changed(request, form):
        notify(request, "Sending defaults saved.")
        return HttpResponseRedirect(url(request.scope, "sending-defaults"))
    limits = stop_limits.combined(found.stop_limits)
    holds = [(kind.label, said(limits[kind.code].warn), said(limits[kind.code].stop)) for kind in KINDS]
    context: dict[str, Any] = {"nav": "settings", "form": form, "found": found, "holds": holds}
    return page(request, "delivery/sending.html", context, status=422 if form.errors else 200)


def _changed(request: ConsoleRequest, form: DefaultsForm) -> bool:
    now, values = timezone.now(), form.cleaned_data
    about: dict[str, Any] = {"scope": request.scope, "actor": request.actor, "now": now}
    try:
        with recording(action="sending.defaults_changed", subject=defaults.SUBJECT, **about):
            defaults.change(
                stop_limits=stop_values(values),
                domain_limits=values["domain_limits"],
                connections=values["connections"],
                version=values["version"],
                **about,
            )
    except DomainError as refused:
        form.take(refused)
        return False
    return True
