"""How many questions a page of audiences or people asks the database at most, the six of the frame included."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audiences import definitions, snapshot
from audiences.models import Audience, Snapshot
from audiences.tests.conftest import Import, MakePerson
from conftest import World
from lamba_campaigns.web.console import url
from projects.scoping import Actor, Scope

QUESTIONS_MAX = 12
COUNTED = {"detail": 17, "edit": 15}  # counting, a sample of people and what the plan says are five of them
WITHOUT_SCRIPTS = {"explain": 21, "explain as of a snapshot": 23}  # the whole page; with scripts only its card
COMPARED = {"changes": 19}  # what each person's facts were then and are now
RULE: dict[str, Any] = {
    "all": [
        {"field": "country", "op": "is", "value": "DE"},
        {"any": [{"field": "last_session", "op": "not_exists"}, {"field": "consent", "op": "is", "value": "email"}]},
    ]
}


@pytest.fixture
def alice(world: World, browser_of: Callable[..., Client]) -> Client:
    return browser_of(world.alice)


@pytest.fixture
def audience(scope: Scope, actor: Actor, now: datetime) -> Audience:
    return definitions.create(scope=scope, actor=actor, name="Germans", rule=RULE, now=now)


@pytest.fixture
def taken(scope: Scope, now: datetime, audience: Audience, contactable: MakePerson) -> Snapshot:
    contactable("then", country="DE")
    version = definitions.latest(audience)
    found = snapshot.take(scope=scope, version=version, channel="email", fields=[], purpose="p", now=now)
    contactable("later", country="DE")
    return found


@pytest.fixture
def pages(
    scope: Scope, audience: Audience, taken: Snapshot, contactable: MakePerson, load: Import
) -> dict[str, tuple[str, dict[str, str]]]:
    detail = url(scope, "audience-detail", audience.public_id)
    return {
        "list": (url(scope, "audience-list"), {}),
        "detail": (detail, {}),
        "new": (url(scope, "audience-new"), {}),
        "edit": (url(scope, "audience-edit", audience.public_id), {}),
        "explain": (detail, {"person": "then"}),
        "explain as of a snapshot": (detail, {"person": "later", "snapshot": taken.public_id}),
        "changes": (url(scope, "audience-changes", audience.public_id, taken.public_id), {}),
        "snapshot": (url(scope, "snapshot-detail", audience.public_id, taken.public_id), {}),
        "people": (url(scope, "people-list"), {}),
        "person": (url(scope, "person-detail", contactable("seen", country="DE").public_id), {}),
        "imports": (url(scope, "import-list"), {}),
        "import": (url(scope, "import-detail", load("external_id,email\nu1,bad\n").public_id), {}),
        "segments": (url(scope, "segment-list"), {}),
        "from Lamba": (url(scope, "backfill-list"), {}),
    }


def test_every_page_asks_a_dozen_questions_at_most(alice: Client, pages: dict[str, Any]) -> None:
    allowed = COUNTED | WITHOUT_SCRIPTS | COMPARED
    asked = {name: _asked(alice, *page) for name, page in pages.items()}
    asked |= {f"{name}, its card": _asked(alice, *pages[name], HX_Request="true") for name in WITHOUT_SCRIPTS}
    too_many = {name: found for name, found in asked.items() if len(found) > allowed.get(name, QUESTIONS_MAX)}
    assert not too_many, "\n".join(f"{name}: {each}" for name, found in too_many.items() for each in found)


def _asked(alice: Client, address: str, query: dict[str, str], **headers: str) -> list[str]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    alice.get(address, query, headers=sent)  # what is read once for all pages
    with CaptureQueriesContext(connection) as seen:
        assert alice.get(address, query, headers=sent).status_code == 200, address
    return [each["sql"] for each in seen if not _is_plumbing(each["sql"])]


def _is_plumbing(sql: str) -> bool:
    """A savepoint or a setting is no question."""
    return sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT", "SET ", "SELECT set_config"))
