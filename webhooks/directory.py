"""Which endpoint an address means, kept for 30 seconds. Both doors of the receiver look here.

A refused signature and an unknown id look again sooner, so that a new secret or endpoint works at once; a secret that
was ended without overlap may be believed by another process for up to 30 seconds.
"""

import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from lamba_campaigns.lib.secrets import decrypt
from webhooks import rotation, schemes
from webhooks.models import Endpoint, EndpointSecret

KNOWN_SECONDS = 30.0
UNKNOWN_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 1.0
ENTRIES_MAX = 10_000
USED_STEP = timedelta(minutes=1)  # how exact EndpointSecret.last_used_at is

_PUBLIC_ID = re.compile(r"whe_[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LiveSecret:
    id: int
    text: str
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class KnownEndpoint:
    """What verifying and recording needs of one incoming endpoint."""

    id: int
    public_id: str
    environment_id: int
    source: str
    scheme: str
    has_envelopes: bool  # bodies are Lamba's, so that they carry an id
    status: str
    url: str
    secrets: tuple[LiveSecret, ...]

    def live_secrets(self, now: datetime) -> list[LiveSecret]:
        return [each for each in self.secrets if each.not_after is None or each.not_after > now]


_lock = threading.Lock()
_entries: dict[str, tuple[float, KnownEndpoint | None]] = {}
_used: dict[int, datetime] = {}


def is_public_id(text: str) -> bool:
    return _PUBLIC_ID.fullmatch(text) is not None


def remembered(public_id: str, *, older_than: float | None = None) -> tuple[bool, KnownEndpoint | None]:
    """(True, endpoint or None) when the memory may be trusted; (False, None) when the database must be asked.

    `older_than` seconds: do not trust an entry beyond that age.
    """
    entry = _entries.get(public_id)
    if entry is None:
        return False, None
    loaded_at, endpoint = entry
    limit = KNOWN_SECONDS if endpoint else UNKNOWN_SECONDS
    if time.monotonic() - loaded_at > (limit if older_than is None else older_than):
        return False, None
    return True, endpoint


def find(public_id: str, *, older_than: float | None = None) -> KnownEndpoint | None:
    """The incoming endpoint with this id, from memory or from the database."""
    trusted, endpoint = remembered(public_id, older_than=older_than)
    if trusted:
        return endpoint
    endpoint = _load(public_id)
    with _lock:
        if len(_entries) >= ENTRIES_MAX:
            _entries.clear()
        _entries[public_id] = (time.monotonic(), endpoint)
    return endpoint


def peek(public_id: str) -> KnownEndpoint | None:
    """What is remembered of this id, however old."""
    entry = _entries.get(public_id)
    return entry[1] if entry else None


def forget(public_id: str) -> None:
    """The next look-up in this process asks the database."""
    with _lock:
        _entries.pop(public_id, None)


def is_noteworthy(secret: LiveSecret, now: datetime) -> bool:
    """True once a minute per secret: the caller then writes its use down."""
    seen = _used.get(secret.id)
    if seen is not None and now - seen < USED_STEP:
        return False
    _used[secret.id] = now
    return True


def note_use(secret: LiveSecret, now: datetime) -> None:
    """Write down that this secret verified something."""
    EndpointSecret.objects.across_environments("one row by its primary key").filter(pk=secret.id).update(
        last_used_at=now
    )


def address_of(endpoint: Endpoint) -> str:
    """What the sender of an incoming endpoint is told to post to."""
    return f"{settings.INGEST_URL}/api/lamba/webhooks/{endpoint.public_id}"


def _load(public_id: str) -> KnownEndpoint | None:
    row: Endpoint | None = (
        Endpoint.objects.across_environments("the address itself says which environment it belongs to")
        .filter(public_id=public_id, direction=Endpoint.Direction.IN)
        .first()
    )
    if row is None:
        return None
    live = rotation.live(endpoint=row, now=datetime.now(UTC))
    return KnownEndpoint(
        id=row.pk,
        public_id=row.public_id,
        environment_id=row.environment_id,
        source=row.kind,
        scheme=row.scheme,
        has_envelopes=schemes.find(row.scheme).envelope,
        status=row.status,
        url=address_of(row),
        secrets=tuple(LiveSecret(each.pk, decrypt(each.cipher), each.not_after) for each in live),
    )
