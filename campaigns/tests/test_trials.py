"""A test goes through the real channel, marked, and leaves nothing behind but an audit entry."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.core.cache import cache
from django.test import Client
from rest_framework.test import APIClient

from audit.models import AuditEntry, LedgerEntry
from campaigns import seeds, trials
from campaigns.models import SeedList
from campaigns.templates import Message
from campaigns.tests.conftest import MakePeople, MakeTemplate, Postbox
from conftest import World
from delivery import tokens
from delivery.models import Message as Sent
from delivery.models import SendJob
from lamba_campaigns.lib.errors import Invalid
from limits.models import ReservationLine
from projects.scoping import Actor, Scope


def make_list(scope: Scope, actor: Actor, now: datetime) -> SeedList:
    return seeds.create(scope=scope, actor=actor, name="Inboxes", addresses=["a@gmail.test", "b@gmx.test"], now=now)


def test_a_test_to_oneself_is_marked_and_counts_nowhere(
    world: World,
    scope: Scope,
    growth: None,
    make_template: MakeTemplate,
    make_people: MakePeople,
    postbox: Postbox,
    browser_of: Callable[..., Client],
) -> None:
    make_people(1)
    template = make_template()
    held = ReservationLine.objects.within(scope).count()

    answer = browser_of(world.alice).post(f"/{scope.path}/templates/{template.public_id}/test/", {"to": ""})

    assert answer.status_code == 302
    (message,) = postbox.messages()
    assert (postbox.addresses(), message["Subject"]) == (["alice@example.com"], "[Test] Hello U1")
    reference = tokens.read_message_id(str(message["Message-ID"]))
    assert reference is not None and reference.job_id == 0
    assert "/u/" not in str(message["List-Unsubscribe"])  # nobody is unsubscribed by trying
    assert not SendJob.objects.within(scope).exists() and not Sent.objects.exists()
    assert not LedgerEntry.objects.exists() and ReservationLine.objects.within(scope).count() == held
    entry = AuditEntry.objects.get(action="template.tested")
    assert entry.after == {"mailboxes": 1, "version": 1} and "alice@" not in str(entry.after)


def test_a_seed_list_gets_it_by_rest_and_every_answer_is_told(
    scope: Scope,
    actor: Actor,
    now: datetime,
    growth: None,
    make_template: MakeTemplate,
    postbox: Postbox,
    api: Callable[..., APIClient],
) -> None:
    listed, template = make_list(scope, actor, now), make_template()
    postbox.rcpt = lambda address: "550 5.1.1 No such user" if address.startswith("b@") else None

    answer = api().post(f"/api/v1/templates/{template.public_id}/test", {"seedList": listed.public_id}, format="json")

    assert answer.status_code == 200, answer.json()
    assert [(each["address"], each["outcome"]) for each in answer.json()["items"]] == [
        ("a@gmail.test", "accepted"),
        ("b@gmx.test", "rejected"),
    ]
    assert postbox.addresses() == ["a@gmail.test"]


def test_a_key_has_no_address_of_its_own(
    scope: Scope, growth: None, make_template: MakeTemplate, api: Callable[..., APIClient], postbox: Postbox
) -> None:
    answer = api().post(f"/api/v1/templates/{make_template().public_id}/test", {}, format="json")

    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "#/to"
    assert not postbox.received and not AuditEntry.objects.filter(action="template.tested").exists()


def test_tests_are_few(
    scope: Scope,
    actor: Actor,
    now: datetime,
    growth: None,
    make_template: MakeTemplate,
    api: Callable[..., APIClient],
    postbox: Postbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trials, "TRIAL_RATE", "1/hour")
    cache.clear()
    listed, template, client = make_list(scope, actor, now), make_template(), api()
    path, body = f"/api/v1/templates/{template.public_id}/test", {"seedList": listed.public_id}

    assert [client.post(path, body, format="json").status_code for _ in range(2)] == [200, 429]
    assert len(postbox.received) == 2


def test_a_channel_that_is_down_says_so(
    scope: Scope,
    actor: Actor,
    now: datetime,
    growth: None,
    make_template: MakeTemplate,
    api: Callable[..., APIClient],
    settings: object,
) -> None:
    settings.EMAIL_URL = "smtp://127.0.0.1:9"  # type: ignore[attr-defined]
    listed = make_list(scope, actor, now)

    answer = api().post(
        f"/api/v1/templates/{make_template().public_id}/test", {"seedList": listed.public_id}, format="json"
    )

    assert (answer.status_code, answer.json()["errorCode"]) == (503, "TEST_NOT_SENT")


def test_seed_lists_come_and_go(
    scope: Scope, world: World, actor: Actor, now: datetime, api: Callable[..., APIClient]
) -> None:
    client = api()
    made = client.post("/api/v1/seed-lists", {"name": "Inboxes", "addresses": ["a@gmail.test"]}, format="json")
    again = client.post("/api/v1/seed-lists", {"name": "inboxes", "addresses": ["a@gmail.test"]}, format="json")
    wrong = client.post("/api/v1/seed-lists", {"name": "More", "addresses": ["a@gmail.test", "nobody"]}, format="json")

    assert (made.status_code, again.json()["errorCode"]) == (201, "SEED_NAME_TAKEN")
    assert wrong.json()["errors"][0]["pointer"] == "#/addresses/1"
    assert [row["name"] for row in client.get("/api/v1/seed-lists").json()["items"]] == ["Inboxes"]
    assert api(world.sandbox).get("/api/v1/seed-lists").json()["items"] == []
    assert api(world.sandbox).delete(f"/api/v1/seed-lists/{made.json()['id']}").status_code == 404
    assert client.delete(f"/api/v1/seed-lists/{made.json()['id']}").status_code == 204
    assert not SeedList.objects.within(scope).exists()
    assert AuditEntry.objects.filter(action="seed_list.changed").count() == 2


def test_the_page_of_seed_lists_takes_one_and_names_what_is_wrong(
    scope: Scope, world: World, browser_of: Callable[..., Client]
) -> None:
    browser, path = browser_of(world.alice), f"/{scope.path}/templates/seeds/"

    wrong = browser.post(path, {"name": "Inboxes", "addresses": "nobody"})
    assert wrong.status_code == 422 and "nobody:" in wrong.content.decode()
    assert browser.post(path, {"name": "Inboxes", "addresses": "a@gmail.test\nb@gmx.test"}).status_code == 302
    assert "a@gmail.test, b@gmx.test" in browser.get(path).content.decode()


def test_what_cannot_be_published_cannot_be_tried(
    scope: Scope, actor: Actor, now: datetime, growth: None, make_template: MakeTemplate, postbox: Postbox
) -> None:
    with pytest.raises(Invalid):
        trials.send(
            scope=scope,
            actor=actor,
            template=make_template(),
            message=Message("Hi {{ nobody }}", "", "x"),
            addresses=["a@gmail.test"],
            person_id=None,
            now=now,
        )
    assert not postbox.received
