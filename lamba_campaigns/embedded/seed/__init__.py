"""The demo of a first start: two workspaces with people, audiences, templates and campaigns in every stage of life.

Everything is made by the domain functions that the console and REST use, so the demo has true books and a true audit
trail. It is made once; one that was cut off is completed by the next start.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils import timezone

from campaigns.models import Campaign
from lamba_campaigns.embedded.folder import Folder
from lamba_campaigns.embedded.seed import accounts, acme, globex
from lamba_campaigns.embedded.summary import Credentials, read_credentials, write_credentials
from projects import api_keys
from projects.models import ApiKey, Workspace

_LOCK = 7_105_160_001  # of Postgres's advisory locks: two starts on one database make one demo


def ensure() -> str:
    """The demo is there, or there is a reason why not; either is said."""
    folder = Folder(Path(settings.VAR_DIR))
    with _alone():
        known = _known(folder)
        if known and known["complete"]:
            return "kept"
        if not known and Workspace.objects.exists():
            return "left out: this database has workspaces of its own"
        return _make(folder, known or accounts.invent())


def _known(folder: Folder) -> Credentials | None:
    """The credentials that open this database. Those of another one are set aside until that one is used again."""
    found = read_credentials(folder.credentials)
    if found is None or not found["complete"] or _opens(found):
        return found
    folder.credentials.replace(folder.credentials.with_name(f"demo-credentials.{_key_ids(found)[0]}.json"))
    for path in folder.root.glob("demo-credentials.*.json"):
        kept = read_credentials(path)
        if kept and _opens(kept):
            path.replace(folder.credentials)
            return kept
    return None


def _opens(credentials: Credentials) -> bool:
    return (
        ApiKey.objects.across_environments("is this the demo's own database?")
        .filter(key_id__in=_key_ids(credentials))
        .exists()
    )


def _key_ids(credentials: Credentials) -> list[str]:
    parts = [api_keys.take_apart(each["api_key"]) for each in credentials["environments"].values()]
    return [part.key_id for part in parts if part]


def _make(folder: Folder, credentials: Credentials) -> str:
    write_credentials(folder, credentials)  # before anything opens with them
    now = timezone.now()
    workspaces = accounts.create(credentials=credentials, now=now)
    write_credentials(folder, credentials)
    people = acme.fill(workspaces.acme, now=now)
    people += globex.fill(workspaces.globex, now=now)
    credentials["complete"] = True
    write_credentials(folder, credentials)
    count = Campaign.objects.across_environments("counted for the person at the terminal").count()
    return f"{people:,} people, {count} campaigns"


@contextmanager
def _alone() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
