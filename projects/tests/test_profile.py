"""Settings of a project and its environments."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client

from audit.models import AuditEntry
from conftest import World
from lamba_campaigns.lib.errors import Conflict, Invalid
from projects import profile
from projects.models import Environment, Preference, Project
from projects.scoping import Actor, Scope


def _environment(scope: Scope) -> Environment:
    return Environment.objects.get(pk=scope.environment_id)


def test_a_project_is_renamed_in_both_environments(world: World, scope: Scope, actor: Actor, now: datetime) -> None:
    profile.rename(scope=scope, actor=actor, name="Acme Web", time_zone="America/New_York", now=now)

    project = Project.objects.get(pk=scope.project_id)
    assert (project.name, project.time_zone) == ("Acme Web", "America/New_York")
    assert AuditEntry.objects.get().before == {"name": "Acme App", "timeZone": "Europe/Berlin"}


def test_a_zone_that_is_none_is_refused(world: World, scope: Scope, actor: Actor, now: datetime) -> None:
    with pytest.raises(Invalid):
        profile.rename(scope=scope, actor=actor, name="Acme", time_zone="Mars/Olympus", now=now)
    assert Project.objects.get(pk=scope.project_id).name == "Acme App"


def test_each_environment_has_a_sender_of_its_own(world: World, actor: Actor, now: datetime) -> None:
    profile.set_sender(scope=world.sandbox, actor=actor, name="Acme test", address="test@acme.example", now=now)
    assert _environment(world.sandbox).sender_name == "Acme test"
    assert _environment(world.production).sender_name == "Acme"


def test_saving_what_is_there_writes_nothing(world: World, scope: Scope, actor: Actor, now: datetime) -> None:
    profile.set_sender(scope=scope, actor=actor, name="Acme", address="hello@acme.example", now=now)
    profile.rename(scope=scope, actor=actor, name="Acme App", time_zone="Europe/Berlin", now=now)
    assert not AuditEntry.objects.exists()


def test_the_chain_keeps_how_many_may_be_mailed_and_never_whom(world: World, actor: Actor, now: datetime) -> None:
    profile.set_allow_list(scope=world.sandbox, actor=actor, addresses=["qa@acme.example"], now=now)
    assert _environment(world.sandbox).sandbox_allow_list == ["qa@acme.example"]
    entry = AuditEntry.objects.get()
    assert (entry.before, entry.after) == ({"allowListCount": 0}, {"allowListCount": 1})


def test_production_has_no_allow_list(world: World, scope: Scope, actor: Actor, now: datetime) -> None:
    with pytest.raises(Conflict):
        profile.set_allow_list(scope=scope, actor=actor, addresses=["qa@acme.example"], now=now)
    assert _environment(scope).sandbox_allow_list == []


# --- pages ----------------------------------------------------------------------------------------------------------
def test_a_wrong_line_of_the_allow_list_is_named(world: World, browser_of: Callable[[User], Client]) -> None:
    answer = browser_of(world.alice).post(
        "/acme/app/sandbox/settings/allow-list/", {"addresses": "qa@acme.example\nnonsense"}
    )
    assert answer.status_code == 422
    assert "Line 2 is no address: nonsense" in answer.content.decode()
    assert _environment(world.sandbox).sandbox_allow_list == []


def test_addresses_are_kept_once_and_lower(world: World, browser_of: Callable[[User], Client]) -> None:
    text = "QA@acme.example\n\nqa@acme.example \nops@acme.example"
    answer = browser_of(world.alice).post("/acme/app/sandbox/settings/allow-list/", {"addresses": text})
    assert answer.status_code == 302
    assert _environment(world.sandbox).sandbox_allow_list == ["qa@acme.example", "ops@acme.example"]


def test_a_viewer_sees_settings_without_forms(world: World, browser_of: Callable[[User], Client]) -> None:
    text = browser_of(world.bob).get("/acme/app/production/settings/").content.decode()
    assert "hello@acme.example" in text
    assert "Save sender" not in text


def test_times_are_shown_in_the_zone_that_the_person_chose(world: World, browser_of: Callable[[User], Client]) -> None:
    browser = browser_of(world.alice)
    assert browser.post("/preferences", {"time_zone": "UTC", "keyboard": "on"}).status_code == 302
    assert Preference.objects.get(user=world.alice).time_zone == "UTC"
    page = browser.get("/acme/app/production/settings/")
    assert page.context["frame"].zone == "UTC"
