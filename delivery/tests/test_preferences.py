"""The preference page: choose channels and topics, end everything, come back; a GET never changes anything."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audiences.models import PersonFacts
from delivery import preferences, tokens, topics
from delivery.models import ConsentEvent, SendJob, Topic
from delivery.tests.conftest import Postbox, counters
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db


@pytest.fixture
def news(scope: Scope, actor: Actor, now: datetime) -> Topic:
    return topics.create(
        scope=scope, actor=actor, slug="news", name="Product news", description="Once a month", opt_in=False, now=now
    )


@pytest.fixture
def beta(scope: Scope, actor: Actor, now: datetime) -> Topic:
    return topics.create(scope=scope, actor=actor, slug="beta", name="Beta", description="", opt_in=True, now=now)


@pytest.fixture
def mailed(make_people: Any, make_job: Any, deliver: Any, postbox: Postbox, news: Topic, beta: Topic) -> Any:
    """(path of u1's page as it stood in the mail about news, the people)."""
    people = make_people(2)
    job = make_job(2, people=people, topic=news)
    deliver(job)
    mail = next(each for each in postbox.messages() if each["To"] == "u1@example.com")
    postbox.received.clear()
    return mail["List-Unsubscribe"].strip("<>").removeprefix("http://localhost:8000"), people


def wanted(path: str) -> set[str]:
    found = preferences.read(token=path.removeprefix("/u/"))
    lines = {line.name for block in found.blocks for line in block.topics if line.wanted}
    return {block.channel for block in found.blocks if block.wanted} | lines


def test_the_page_offers_the_channels_one_agreed_to_and_every_topic(client: Client, mailed: Any) -> None:
    path, people = mailed
    PersonFacts.objects.across_environments("by key").filter(pk=people[0]).update(consent_mask=3)
    for _ in range(2):
        shown = client.get(path).content.decode()
    assert "Unsubscribe from Product news" in shown
    for text in (
        'value="email" checked',
        'value="email:news" checked',
        'value="email:beta">',
        'value="in_app" checked',
    ):
        assert text in shown
    assert 'value="sms"' not in shown
    assert not ConsentEvent.objects.exists()


def test_one_click_ends_the_topic_of_the_message_and_no_other(
    mailed: Any, news: Topic, make_job: Callable[..., SendJob], deliver: Any, postbox: Postbox
) -> None:
    path, people = mailed
    provider = Client(enforce_csrf_checks=True)
    assert provider.post(path, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert wanted(path) == {"email"}
    about, other = make_job(2, people=people, topic=news), make_job(2, people=people)
    deliver(about)
    deliver(other)
    assert counters(about) == {"excluded": 1, "accepted": 1}
    assert counters(other) == {"accepted": 2}


def test_saving_makes_the_ticked_boxes_what_is_wanted_and_nothing_is_decided_twice(client: Client, mailed: Any) -> None:
    path, _ = mailed
    for _ in range(2):
        shown = client.post(path, {"wish": "save", "on": ["email", "email:beta"]}).content.decode()
    assert "Saved" in shown
    assert wanted(path) == {"email", "email:beta"}
    assert sorted(ConsentEvent.objects.values_list("topic", "action", "how")) == [
        ("beta", "resubscribed", "page"),
        ("news", "unsubscribed", "page"),
    ]
    client.post(path, {"wish": "save", "on": ["email", "email:news", "email:unknown", "fax"]})
    assert wanted(path) == {"email", "email:news"}


def test_everything_can_be_ended_and_taken_up_again(
    client: Client, mailed: Any, news: Topic, make_job: Callable[..., SendJob], deliver: Any, postbox: Postbox
) -> None:
    path, people = mailed
    PersonFacts.objects.across_environments("by key").filter(pk=people[0]).update(consent_mask=3)
    shown = client.post(path, {"wish": "nothing"}).content.decode()
    assert "You are unsubscribed from everything" in shown
    assert wanted(path) == {"email:news", "in_app:news"}
    deliver(make_job(2, people=people))
    assert postbox.addresses() == ["u2@example.com"]

    assert "You are subscribed again" in client.post(path, {"wish": "resubscribe"}).content.decode()
    assert wanted(path) == {"email", "email:news", "in_app:news"}
    deliver(make_job(2, people=people, topic=news))
    assert postbox.addresses() == ["u1@example.com", "u2@example.com", "u2@example.com"]


def test_a_link_without_a_message_opens_the_same_page(
    client: Client, scope: Scope, make_people: Any, beta: Topic
) -> None:
    (person,) = make_people(1)
    path = f"/u/{preferences.link_of(scope=scope, person_id=person)}"
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert client.get(path).status_code == 200
    assert len(asked) <= 12
    client.post(path, {"wish": "save", "on": ["email", "email:beta"]})
    assert wanted(path) == {"email", "email:beta"}


def test_a_link_shows_and_changes_nobody_else(client: Client, scope: Scope, mailed: Any) -> None:
    path, people = mailed
    assert "u2@example.com" not in client.get(path).content.decode()
    other = tokens.unsubscribe_token(environment_id=scope.environment_id, job_id=0, person_id=people[1])
    client.post(path, {"wish": "nothing"})
    assert wanted(f"/u/{other}") == {"email", "email:news"}
