"""Console pages of channel connections: what carries each channel here. A secret that we made is shown once."""

from typing import Any

from django import forms
from django.http import HttpResponse, HttpResponseRedirect
from django.utils import timezone

from audiences.channels import CHANNEL_BITS
from audit.chain import Subject
from audit.refusals import recording
from delivery import connections
from delivery.connections import PROVIDERS, Provider
from delivery.consent_forms import CHANNELS, Refusable
from delivery.models import ChannelSettings
from lamba_campaigns.lib.errors import DomainError, NotFound
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url

ICONS = {"email": "mail", "in_app": "bell", "sms": "message-square", "webhook": "webhook"}
NOTES = {
    "email": "Mail leaves through the relay of this installation, unless a provider is connected.",
    "in_app": "Your product reads each person's inbox. Nothing has to be connected.",
    "sms": "Text messages need a provider, and the SMS add-on of the plan.",
    "webhook": "Your own system gets signed batches and answers for each person.",
}
SANDBOX_NOTES = {
    "email": "Everything is captured, except for the allow list.",
    "sms": "Everything is captured, except for numbers on the allow list.",
}


class ConnectionForm(Refusable):
    """The settings of one provider, made from its description."""

    version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, data: Any, *, provider: Provider, row: ChannelSettings | None) -> None:
        stands = row if row is not None and row.provider == provider.name else None
        config = stands.config if stands else {}
        first = {each.name: config.get(each.name, each.default) for each in provider.settings}
        super().__init__(data, initial={"version": row.state_version if row else 0, **first})
        self.places = {f"#/config/{each.name}": each.name for each in provider.settings}
        for each in provider.settings:
            self.fields[each.name] = forms.CharField(
                label=each.label, help_text=each.help, required=each.required, max_length=connections.TEXT_CHARS_MAX
            )
        if provider.ours and stands:
            self.fields["secret"] = forms.BooleanField(label="Make a new signing secret", required=False)
        elif not provider.ours:
            hint = f"Stands, ends in {stands.secret_hint}. Empty keeps it." if stands else "Stored encrypted."
            self.fields["secret"] = forms.CharField(
                label=provider.secret,
                help_text=hint,
                required=stands is None,
                max_length=connections.SECRET_CHARS_MAX,
                widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
            )
        self.provider = provider

    def secret(self) -> str:
        given = self.cleaned_data.get("secret")
        if self.provider.ours:
            return "new" if given else ""
        return str(given or "")


@console_view(get="console.read")
def channel_list(request: ConsoleRequest) -> HttpResponse:
    rows = connections.rows(scope=request.scope)
    lines = [
        {
            "channel": channel,
            "label": label,
            "icon": ICONS[channel],
            "row": rows.get(channel),
            "provider": PROVIDERS[rows[channel].provider].label if channel in rows else "",
            "needs": channel in connections.NEEDS_CONNECTION,
            "configurable": bool(connections.providers_of(request.scope, channel)),
            "note": (SANDBOX_NOTES.get(channel) if not request.scope.is_production else "") or NOTES[channel],
        }
        for channel, label in CHANNELS
    ]
    return page(request, "delivery/channels.html", {"nav": "settings", "lines": lines})


@console_view(get="settings.manage", post="settings.manage")
def channel_detail(request: ConsoleRequest, channel: str) -> HttpResponse:
    choices = connections.providers_of(request.scope, channel)
    if channel not in CHANNEL_BITS or not choices:
        raise NotFound("This channel has nothing to connect.", next_step="Choose one from the list.")
    row = connections.rows(scope=request.scope).get(channel)
    asked = request.POST.get("provider") or request.GET.get("provider") or (row.provider if row else choices[0].name)
    provider = next((each for each in choices if each.name == asked), choices[0])
    form = ConnectionForm(request.POST if request.method == "POST" else None, provider=provider, row=row)
    shown = ""
    if request.method == "POST" and form.is_valid():
        done, shown = _connected(request, channel, provider, form)
        if done and not shown:
            notify(request, "Channel connected.")
            return HttpResponseRedirect(url(request.scope, "channel-list"))
        row = connections.rows(scope=request.scope).get(channel)
        if done:
            form = ConnectionForm(None, provider=provider, row=row)
    context = {
        "nav": "settings",
        "channel": channel,
        "label": dict(CHANNELS)[channel],
        "row": row,
        "provider": provider,
        "choices": choices,
        "form": form,
        "inputs": [form[name] for name in form.fields if name not in ("version", "secret")],
        "secret": form["secret"] if "secret" in form.fields else None,
        "shown": shown,
    }
    return page(request, "delivery/channel.html", context, status=422 if form.errors else 200)


@console_view(post="settings.manage")
def channel_disconnect(request: ConsoleRequest, channel: str) -> HttpResponse:
    text = request.POST.get("version", "")
    version = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    now, subject = timezone.now(), Subject("channel", channel[:40], channel[:40])
    with recording(scope=request.scope, actor=request.actor, action="channel.disconnected", subject=subject, now=now):
        connections.disconnect(scope=request.scope, actor=request.actor, channel=channel, version=version, now=now)
    notify(request, "Channel disconnected.")
    return HttpResponseRedirect(url(request.scope, "channel-list"))


def _connected(request: ConsoleRequest, channel: str, provider: Provider, form: ConnectionForm) -> tuple[bool, str]:
    now, subject = timezone.now(), Subject("channel", channel, channel)
    try:
        with recording(scope=request.scope, actor=request.actor, action="channel.connected", subject=subject, now=now):
            _, shown = connections.connect(
                scope=request.scope,
                actor=request.actor,
                channel=channel,
                provider=provider.name,
                config={each.name: form.cleaned_data[each.name] for each in provider.settings},
                secret=form.secret(),
                version=form.cleaned_data["version"],
                now=now,
            )
    except DomainError as refused:
        form.take(refused)
        return False, ""
    return True, shown
