"""Mail providers' own webhooks: django-anymail says whether a request is genuine, and what its body means.

Signatures are checked when a request comes in, with the endpoint's own secrets and never with a setting; the body is
read later, from the stored row, by `tracking_events`.
"""

import base64
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from anymail.utils import collect_all_methods
from cryptography.hazmat.primitives.serialization import load_der_public_key
from django.core.handlers.wsgi import WSGIRequest

SECRET_LENGTH_MAX = 4_096


@dataclass(frozen=True, slots=True)
class Provider:
    """`view` is anymail's view of tracking events, `setting` the name under which it takes the secret."""

    name: str
    label: str
    view: str
    setting: str = "webhook_secret"
    key: str = "signing key"
    form: bool = False

    @property
    def secret_is_theirs(self) -> bool:
        """False: there is no signature, so a user name and password of ours stand in the address."""
        return self.setting != "webhook_secret"

    @property
    def sentence(self) -> str:
        if self.secret_is_theirs:
            return f"The {self.key} that {self.label} shows in its console."
        return f"{self.label} signs nothing: put the user name and password before the host in the address it posts to."


class Unreadable(ValueError):
    """A genuine request whose body is not what its provider documents. The text says what is wrong."""


PROVIDERS: Mapping[str, Provider] = {
    each.name: each
    for each in (
        Provider("amazon_ses", "Amazon SES", "amazon_ses.AmazonSESTrackingWebhookView"),
        Provider("brevo", "Brevo", "brevo.BrevoTrackingWebhookView"),
        Provider("mailersend", "MailerSend", "mailersend.MailerSendTrackingWebhookView", "signing_secret"),
        Provider(
            "mailgun", "Mailgun", "mailgun.MailgunTrackingWebhookView", "webhook_signing_key", "webhook signing key"
        ),
        Provider("mailjet", "Mailjet", "mailjet.MailjetTrackingWebhookView"),
        Provider("mailtrap", "Mailtrap", "mailtrap.MailtrapTrackingWebhookView", "signing_secret", "signing secret"),
        Provider("mandrill", "Mandrill", "mandrill.MandrillCombinedWebhookView", "webhook_key", "webhook key", True),
        Provider("postal", "Postal", "postal.PostalTrackingWebhookView", "webhook_key", "public key"),
        Provider("postmark", "Postmark", "postmark.PostmarkTrackingWebhookView"),
        Provider("resend", "Resend", "resend.ResendTrackingWebhookView", "signing_secret", "signing secret"),
        Provider(
            "sendgrid",
            "SendGrid",
            "sendgrid.SendGridTrackingWebhookView",
            "tracking_webhook_verification_key",
            "verification key of its signed event webhook",
        ),
        Provider("sparkpost", "SparkPost", "sparkpost.SparkPostTrackingWebhookView"),
        Provider("unisender_go", "Unisender Go", "unisender_go.UnisenderGoTrackingWebhookView", "api_key", "API key"),
    )
}


def is_believed(name: str, secret: str, *, headers: Mapping[str, str], body: bytes, url: str) -> bool:
    """Whether this secret vouches for these bytes. False for whatever a hostile request does to anymail's parser."""
    try:
        view = _view(name, secret, url)
        view.run_validators(_request(headers, body, url))
    except Exception:  # anymail raises what its parsers raise; each of them means "not genuine"
        return False
    return True


def tracking_events(name: str, *, headers: Mapping[str, str], body: bytes) -> Sequence[Any]:
    """The body as anymail's `AnymailTrackingEvent`s, in order; Unreadable when it holds none that can be read."""
    request = _request(headers, body, "https://localhost/")
    if name == "amazon_ses":
        _require_notification(body)
    try:
        return list(_reader(name).parse_events(request))
    except Exception as problem:  # as above; the row keeps the body
        raise Unreadable(f"anymail can't read this body of {PROVIDERS[name].label}: {problem!r}"[:500]) from problem


def secret_problem(name: str, secret: str) -> str:
    """Why `secret` can't be this provider's; empty when it can."""
    provider = PROVIDERS[name]
    if not 0 < len(secret) <= SECRET_LENGTH_MAX:
        return f"The {provider.key} has 1 to {SECRET_LENGTH_MAX:,} characters."
    if not provider.secret_is_theirs and secret.count(":") != 1:
        return "Write the user name and password as user:password."
    if provider.setting in ("webhook_key", "tracking_webhook_verification_key") and name != "mandrill":
        try:
            load_der_public_key(base64.b64decode(secret, validate=True))
        except ValueError:
            return f"This is no {provider.key}: paste the base64 text alone, without its first and last line."
    return ""


@cache
def _class(name: str) -> Any:
    module, _, kind = PROVIDERS[name].view.partition(".")
    return getattr(import_module(f"anymail.webhooks.{module}"), kind)


def _view(name: str, secret: str, url: str) -> Any:
    given: dict[str, Any] = {PROVIDERS[name].setting: secret}
    if name == "mandrill":
        given["webhook_url"] = url
    return _made(name, given)


@cache
def _reader(name: str) -> Any:
    """A view that only reads: what it would verify with does not matter any more."""
    return _made(name, {} if name in ("sendgrid", "resend") else {PROVIDERS[name].setting: "user:password"})


def _made(name: str, given: Mapping[str, Any]) -> Any:
    kind = _class(name)
    if name == "amazon_ses":  # its __init__ asks for boto3, which only downloads inbound mail and confirms topics
        view = kind.__new__(kind)
        view.basic_auth = [given["webhook_secret"]]
        view.validators = collect_all_methods(kind, "validate_request")
        return view
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about settings that this product does not use
        return kind(**given)


def _request(headers: Mapping[str, str], body: bytes, url: str) -> WSGIRequest:
    """The stored or arriving request, as anymail's views read one. It knows nothing of the connection it came over."""
    parts = urlsplit(url)
    environ: dict[str, Any] = {
        f"HTTP_{each.upper().replace('-', '_')}": text for each, text in headers.items() if each != "content-type"
    }
    return WSGIRequest(
        environ
        | {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": parts.path,
            "SERVER_NAME": parts.hostname or "localhost",
            "SERVER_PORT": str(parts.port or 443),
            "CONTENT_TYPE": headers.get("content-type", "application/json"),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.url_scheme": parts.scheme or "https",
            "wsgi.input": BytesIO(body),
        }
    )


def _require_notification(body: bytes) -> None:
    """Amazon asks once whether the topic may post here. A person answers, so that nobody's words make us open a URL."""
    message = json.loads(body)
    if isinstance(message, dict) and message.get("Type") == "SubscriptionConfirmation":
        raise Unreadable(f"Amazon asks to confirm the subscription. Open {str(message.get('SubscribeURL'))[:400]}")
