"""A workspace that stands for one of Lamba's has Lamba's ids, so Lamba's events are its own from the first one."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from projects.access import scope_by_id
from projects.models import Project, Workspace
from webhooks import process
from webhooks.models import Endpoint, InboundEvent
from webhooks.tests.conftest import Sender

pytestmark = pytest.mark.django_db
WORDS = ("--name", "Globe", "--owner", "gina@globe.example")
IDS = ("--workspace-id", "wrk_9f3", "--project-id", "prj-7.a")


def created(slug: str, *words: str) -> dict[str, Any]:
    out = StringIO()
    call_command("create_workspace", slug, *WORDS, *words, stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_an_event_under_lambas_own_ids_is_processed() -> None:
    opened = created("globe", *IDS)["environments"]["production"]
    found = Endpoint.objects.across_environments("the one just made")
    endpoint = found.get(public_id=opened["lambaEndpoint"].rpartition("/")[2])
    scope = scope_by_id(endpoint.environment_id)
    sender = Sender(scope, endpoint, opened["lambaSecret"])
    told = sender.envelope(id="evt_own", workspaceId="wrk_9f3", projectId="prj-7.a")

    assert sender.post(told).status_code == 202
    process.run(now=datetime.now(UTC) + timedelta(seconds=1))

    assert InboundEvent.objects.within(scope).get(event_id="evt_own").state == "processed"
    assert (opened["workspace"], opened["project"]) == ("wrk_9f3", "prj-7.a")


def test_an_id_that_is_in_use_creates_nothing() -> None:
    created("globe", *IDS)
    for slug, ids, word in (
        ("other", ("--workspace-id", "wrk_9f3"), "A workspace is wrk_9f3"),
        ("other", ("--workspace-id", "wrk_1", "--project-id", "prj-7.a"), "A project is prj-7.a"),
        ("globe", (), "A workspace 'globe' exists"),
    ):
        with pytest.raises(CommandError, match=word):
            created(slug, *ids)
    assert (Workspace.objects.count(), Project.objects.count()) == (1, 1)


@pytest.mark.parametrize("wrong", ["", "wrk 1", "wrk\r\nX-Evil: 1", "wörk", "x" * 65, ":1"])
def test_an_id_that_lamba_can_not_have_given_is_refused_and_leaves_no_account_without_password(wrong: str) -> None:
    with pytest.raises(CommandError, match="is no id of a workspace"):
        created("globe", "--workspace-id", wrong)
    assert not User.objects.exists()
    assert created("globe")["password"], "the next attempt shows one"


@pytest.mark.parametrize(
    ("slug", "words", "said"),
    [("Bad slug!", (), "valid .slug."), ("x" * 41, (), "40 char"), ("globe", ("--time-zone", "Mars"), "no time zone")],
)
def test_what_no_address_or_clock_can_use_is_refused_before_anything_is_made(
    slug: str, words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        created(slug, *words)
    assert not User.objects.exists() and not Workspace.objects.exists()
