"""How an environment reaches its channels. Secrets are encrypted at rest: one of ours is shown once, theirs never.

A channel without a connection that needs one can't send: preflight says so, and so does the job.
"""

import base64
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from django.db.models import F

from audit import chain
from delivery.models import ChannelSettings
from lamba_campaigns.lib.errors import DomainError, FieldProblem, Invalid, Stale
from lamba_campaigns.lib.secrets import decrypt, encrypt
from lamba_campaigns.lib.sql import durable
from projects.scoping import Actor, Scope
from webhooks import addresses

TEXT_CHARS_MAX = 300
SECRET_CHARS_MAX = 500
SECRET_BYTES = 32
HINT_CHARS = 4
SMS_SENDER: Final = r"\+[1-9]\d{6,14}|[A-Za-z0-9 ]{1,11}"
NEEDS_CONNECTION: Final = frozenset({"webhook", "sms"})


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that a provider needs. Not secret."""

    name: str
    label: str
    help: str = ""
    required: bool = True
    is_url: bool = False
    hosts: tuple[str, ...] = ()  # the only ones in production, but for those that whoever runs this vouches for
    pattern: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """A way to carry one channel. `secret` is its label; `ours`: we make it, and show it once."""

    channel: str
    name: str
    label: str
    settings: tuple[Setting, ...]
    secret: str
    ours: bool = False
    note: str = ""


class ChannelChanged(Stale):
    """Somebody else changed the connection since it was read."""

    code = "STALE_VERSION"


class NotConnected(DomainError):
    """The channel has no connection in this environment."""

    code = "CHANNEL_NOT_CONNECTED"
    status = 409
    title = "This channel is not connected"


@dataclass(frozen=True, slots=True)
class Connection:
    """A channel's connection with its secret in the clear: for the moment of sending, never for a page or a log."""

    public_id: str
    provider: Provider
    config: Mapping[str, str]
    secret: str

    def __repr__(self) -> str:
        return f"{self.provider.name} ({self.public_id})"  # never the secret


def _esp(name: str, label: str, url: str, secret: str, *more: Setting, hosts: tuple[str, ...] = ()) -> Provider:
    host = urlsplit(url).hostname or ""
    place = Setting("url", "API address", required=False, is_url=True, default=url, hosts=(host, *hosts))
    note = "Add an endpoint of this provider under Events, so that deliveries, bounces and complaints come back."
    return Provider("email", name, label, (*more, place), secret, note=note)


PROVIDERS: Final[Mapping[str, Provider]] = {
    each.name: each
    for each in (
        _esp(
            "mailgun",
            "Mailgun",
            "https://api.mailgun.net/v3",
            "Sending key",
            Setting("domain", "Sending domain", pattern=r"[a-z0-9.-]{3,253}"),
            hosts=("api.eu.mailgun.net",),
        ),
        _esp("postmark", "Postmark", "https://api.postmarkapp.com", "Server token"),
        _esp("resend", "Resend", "https://api.resend.com", "API key"),
        _esp("sendgrid", "SendGrid", "https://api.sendgrid.com/v3", "API key", hosts=("api.eu.sendgrid.com",)),
        Provider(
            "webhook",
            "endpoint",
            "Your endpoint",
            (Setting("url", "Address", "Public https; it gets a signed POST for each batch.", is_url=True),),
            "Signing secret",
            ours=True,
            note="Answer with what became of each message; who is missing in the answer is uncertain.",
        ),
        Provider(
            "sms",
            "twilio",
            "Twilio, or what speaks its Messages API",
            (
                Setting("account", "Account SID", pattern=r"AC[0-9a-f]{32}"),
                Setting("sender", "Sender", "Like +4915112345678, or up to 11 letters.", pattern=SMS_SENDER),
                Setting("url", "API address", required=False, is_url=True, default="https://api.twilio.com"),
            ),
            "Auth token",
            note="Delivery reports come back signed; nothing has to be set up at the provider.",
        ),
    )
}  # fmt: skip


def providers_of(scope: Scope, channel: str) -> tuple[Provider, ...]:
    """What may be connected here. A sandbox's mail is always captured, so it has no provider."""
    if channel == "email" and not scope.is_production:
        return ()
    return tuple(each for each in PROVIDERS.values() if each.channel == channel)


def rows(*, scope: Scope) -> dict[str, ChannelSettings]:
    """The connections of this environment by channel, without their secrets."""
    found = ChannelSettings.objects.within(scope).defer("secret_cipher").order_by("channel")
    return {row.channel: row for row in found}


def is_connected(*, scope: Scope, channel: str) -> bool:
    """Whether messages of this channel have a way out here."""
    if channel not in NEEDS_CONNECTION:
        return True
    return bool(ChannelSettings.objects.within(scope).filter(channel=channel).exists())


def find(*, scope: Scope, channel: str) -> Connection | None:
    """The connection with its secret, None where there is none."""
    row: ChannelSettings | None = ChannelSettings.objects.within(scope).filter(channel=channel).first()
    return None if row is None else _opened(row)


def by_id(*, public_id: str) -> tuple[int, Connection] | None:
    """(environment, connection) for a callback, which knows only this id."""
    row = ChannelSettings.objects.across_environments("a callback has only the id").filter(public_id=public_id).first()
    return None if row is None else (row.environment_id, _opened(row))


def connect(
    *,
    scope: Scope,
    actor: Actor,
    channel: str,
    provider: str,
    config: Mapping[str, str],
    secret: str,
    version: int,
    now: datetime,
) -> tuple[ChannelSettings, str]:
    """The channel is connected so from now on. Returns the row, and a secret that we made, to be shown this once.

    `version` 0: there is no connection yet. An empty secret keeps the one that stands.
    """
    known = {each.name: each for each in providers_of(scope, channel)}
    found = known.get(provider)
    if found is None:
        raise _invalid("provider", f"Providers of this channel here: {', '.join(known) or 'none'}.")
    values, made = _checked(scope, found, config), ""
    if found.ours and (version == 0 or secret == "new"):  # noqa: S105 - a wish, not a password
        secret = made = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    elif found.ours:
        secret = ""
    if len(secret) > SECRET_CHARS_MAX or (version == 0 and not secret.strip()):
        raise _invalid("secret", f"{found.secret}: 1 to {SECRET_CHARS_MAX} characters.")
    with durable():
        row = _write(scope, actor, found, values, secret.strip(), version, now)
        chain.record(
            scope=scope,
            actor=actor,
            action="channel.connected",
            subject=chain.Subject("channel", row.public_id, channel),
            now=now,
            after={"provider": provider, "secretChanged": bool(secret), **{k: v for k, v in values.items() if v}},
        )
    return row, made


def disconnect(*, scope: Scope, actor: Actor, channel: str, version: int, now: datetime) -> None:
    """The secret is forgotten. Jobs that run are held until the channel is connected again."""
    with durable():
        rows = ChannelSettings.objects.within(scope).filter(channel=channel)
        row = rows.select_for_update().first()
        if row is None or row.state_version != version:
            raise ChannelChanged("The connection changed since you read it.", next_step="Read it again.")
        rows.delete()
        chain.record(
            scope=scope,
            actor=actor,
            action="channel.disconnected",
            subject=chain.Subject("channel", row.public_id, channel),
            now=now,
            before={"provider": row.provider},
        )


def _write(
    scope: Scope, actor: Actor, provider: Provider, values: dict[str, str], secret: str, version: int, now: datetime
) -> ChannelSettings:
    rows = ChannelSettings.objects.within(scope).filter(channel=provider.channel)
    changes: dict[str, Any] = {
        "provider": provider.name, "config": values, "updated_at": now, "updated_by": actor.label[:200],
    }  # fmt: skip
    if secret:
        changes |= {"secret_cipher": encrypt(secret), "secret_hint": secret[-HINT_CHARS:]}
    if version == 0:
        if rows.exists():
            raise ChannelChanged("This channel is connected already.", next_step="Read it, then change it.")
        row = ChannelSettings(environment_id=scope.environment_id, channel=provider.channel, **changes)
        row.save(force_insert=True)
        return row
    same = rows.filter(state_version=version)
    if not secret:
        same = same.filter(provider=provider.name)  # another provider's secret is of no use
    if not same.update(**changes, state_version=F("state_version") + 1):
        raise ChannelChanged(
            "The connection changed since you read it, or another provider needs its own secret.",
            next_step="Read it again, and give the secret of the new provider.",
        )
    found: ChannelSettings = rows.get()
    return found


def _checked(scope: Scope, provider: Provider, config: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    problems: list[FieldProblem] = []
    for each in provider.settings:
        value = str(config.get(each.name) or "").strip() or each.default
        wrong = _wrong(scope, each, value)
        if wrong:
            problems.append(FieldProblem(f"#/config/{each.name}", "invalid", wrong))
        values[each.name] = value
    unknown = sorted(set(config) - {each.name for each in provider.settings})
    problems += [
        FieldProblem(f"#/config/{name[:60]}", "unknown_field", "This provider has no such setting.") for name in unknown
    ]
    if problems:
        detail = "The connection is not complete. Nothing was changed."
        raise Invalid(detail, next_step="Correct the places named.", problems=tuple(problems))
    return values


def _wrong(scope: Scope, setting: Setting, value: str) -> str:
    if not value:
        return f"{setting.label} is needed." if setting.required else ""
    if len(value) > TEXT_CHARS_MAX:
        return f"At most {TEXT_CHARS_MAX} characters."
    if setting.pattern and not re.fullmatch(setting.pattern, value, re.ASCII):
        return f"This is no {setting.label}."
    if setting.hosts and not addresses.is_allowed_anyway(value) and urlsplit(value).hostname not in setting.hosts:
        return f"This provider is reached at {' or '.join(setting.hosts)}."
    if setting.is_url:
        try:
            addresses.require_reachable(url=value, scope=scope)
        except Invalid as refused:
            return refused.detail
    return ""


def _opened(row: ChannelSettings) -> Connection:
    return Connection(row.public_id, PROVIDERS[row.provider], row.config, decrypt(row.secret_cipher))


def _invalid(name: str, detail: str) -> Invalid:
    return Invalid(detail, problems=(FieldProblem(f"#/{name}", "invalid", detail),))
