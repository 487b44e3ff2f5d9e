"""Opens and clicks of a job that asked for them: a pixel, and links that carry where they lead under our signature.

A link that we did not make leads nowhere: no open redirect. Opens and clicks are overlays and never move a balance;
mail programs that fetch everything for their readers make them a hint, not a count of people.
"""

import base64
import hashlib
import hmac
import html as html_module
import re
from collections.abc import Callable
from datetime import datetime
from typing import Literal
from urllib.parse import quote

from django.conf import settings

from delivery import own_receipts, tokens
from delivery.models import Receipt, SendJob
from delivery.own_receipts import Told
from delivery.tokens import TOKEN_LENGTH, Reference
from lamba_campaigns.lib.sql import durable
from projects.access import scope_by_id
from projects.models import Environment
from projects.scoping import Scope

MARK_LENGTH = 16  # letters of base32: 80 bits
URL_CHARS_MAX = 2_000
_LINK = re.compile(r'(<a\b[^>]*?\bhref=")(https?://[^"]+)(")', re.IGNORECASE)
Rewrite = Callable[[str, int], str]


def rewriter(*, scope: Scope, job: SendJob) -> Rewrite | None:
    """(HTML of a message, its position) -> the HTML that tells of opens and clicks; None for a job without tracking."""
    if not job.track_opens and not job.track_clicks:
        return None

    def rewrite(html: str, position: int) -> str:
        if job.track_clicks:
            token = _token("click", scope, job, position)
            html = _LINK.sub(lambda match: f"{match[1]}{_tracked(token, match[2])}{match[3]}", html)
        if job.track_opens:
            source = f"{settings.PUBLIC_URL}/o/{_token('open', scope, job, position)}"
            pixel = f'<img src="{source}" width="1" height="1" alt="">'
            head, end, tail = html.rpartition("</body>")
            html = f"{head}{pixel}{end}{tail}" if end else f"{html}{pixel}"
        return html

    return rewrite


def _token(purpose: Literal["open", "click"], scope: Scope, job: SendJob, position: int) -> str:
    return tokens.tokens(purpose, environment_id=scope.environment_id, job_id=job.pk, numbers=[position])[0]


def target(*, sealed: str, url: str) -> Reference | None:
    """The message behind a link that leads to `url`; None for a link that is not ours, or was changed."""
    token, mark = sealed[:TOKEN_LENGTH], sealed[TOKEN_LENGTH:]
    if len(url) > URL_CHARS_MAX or not hmac.compare_digest(mark.encode(), _mark(token, url).encode()):
        return None
    if not url.lower().startswith(("http://", "https://")):
        return None
    return tokens.read("click", token)


def note_click(*, reference: Reference, url: str, now: datetime) -> None:
    """The first click on each link of a message is told to the books."""
    name = hashlib.sha256(url.encode()).hexdigest()[:12]
    _note(reference, "message.clicked", f"click:{reference.job_id}:{reference.number}:{name}", url, now)


def note_open(*, reference: Reference, now: datetime) -> None:
    """The first load of the pixel of a message is told to the books."""
    _note(reference, "message.opened", f"open:{reference.job_id}:{reference.number}", "", now)


def _note(reference: Reference, kind: str, key: str, detail: str, now: datetime) -> None:
    told = Receipt.objects.filter(environment_id=reference.environment_id, event_id=key)
    if told.exists() or not Environment.objects.filter(pk=reference.environment_id).exists():
        return
    scope = scope_by_id(reference.environment_id)
    with durable():
        receipt = Told(kind, reference.job_id, reference.number, now, detail=detail, key=key)
        own_receipts.publish(scope=scope, told=[receipt], now=now)


def _tracked(token: str, escaped: str) -> str:
    """The link in the HTML, tracked; one of ours (preferences) or one too long stays as it is."""
    url = html_module.unescape(escaped)
    if url.startswith(f"{settings.PUBLIC_URL}/") or len(url) > URL_CHARS_MAX:
        return escaped
    return f"{settings.PUBLIC_URL}/c/{token}{_mark(token, url)}?to={quote(url, safe='')}"


def _mark(token: str, url: str) -> str:
    key = hashlib.sha256(b"click:" + settings.LINK_KEY.encode()).digest()
    digest = hmac.new(key, f"{token}\n{url}".encode(), hashlib.sha256).digest()
    return base64.b32encode(digest[:10]).decode().lower()
