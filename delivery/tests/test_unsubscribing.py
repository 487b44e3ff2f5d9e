"""Unsubscribe links: a scanner's GET changes nothing, one click does, and it holds before the next micro-batch."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEntry
from delivery import tokens
from delivery.models import ConsentEvent, JobCounters, SendJob
from delivery.tests.conftest import Postbox, counters
from projects.scoping import Scope

pytestmark = pytest.mark.django_db


@pytest.fixture
def link(
    scope: Scope, make_people: Callable[..., list[int]], make_job: Callable[..., SendJob],
    deliver: Callable[..., None], postbox: Postbox,
) -> tuple[str, SendJob, list[int]]:  # fmt: skip
    """The path of u1's link, as it stood in the mail."""
    people = make_people(2)
    job = make_job(2, people=people)
    deliver(job)
    header = next(each for each in postbox.messages() if each["To"] == "u1@example.com")["List-Unsubscribe"]
    return header.strip("<>").removeprefix("http://localhost:8000"), job, people


def test_get_shows_a_form_and_changes_nothing(client: Client, link: Any) -> None:
    for _ in range(3):
        answer = client.get(link[0])
        assert answer.status_code == 200
        assert "Unsubscribe?" in answer.content.decode()
    assert not ConsentEvent.objects.exists()


def test_one_click_unsubscribes_and_the_next_job_leaves_the_person_out(
    scope: Scope, link: Any, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    path, job, people = link
    provider = Client(enforce_csrf_checks=True)
    for _ in range(2):
        answer = provider.post(path, {"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
        assert "You are unsubscribed" in answer.content.decode()

    evidence = ConsentEvent.objects.get()
    assert (evidence.action, evidence.how, evidence.person_id) == ("unsubscribed", "one_click", people[0])
    assert AuditEntry.objects.filter(action="consent.changed").count() == 1
    assert JobCounters.objects.within(scope).get(pk=job.pk).unsubscribed == 1
    postbox.received.clear()
    second = make_job(2, people=people)
    deliver(second)
    assert postbox.addresses() == ["u2@example.com"]
    assert counters(second) == {"excluded": 1, "accepted": 1}


def test_a_person_can_subscribe_again(
    client: Client, link: Any, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    path, _, people = link
    client.post(path, {"wish": "unsubscribe"})
    assert "You are subscribed again" in client.post(path, {"wish": "resubscribe"}).content.decode()
    assert list(ConsentEvent.objects.order_by("pk").values_list("action", "how")) == [
        ("unsubscribed", "page"),
        ("resubscribed", "page"),
    ]
    postbox.received.clear()
    deliver(make_job(2, people=people))
    assert postbox.addresses() == ["u1@example.com", "u2@example.com"]


def test_a_link_of_another_making_opens_nothing(client: Client, scope: Scope, link: Any) -> None:
    path, job, _ = link
    message_token = tokens.token(environment_id=scope.environment_id, job_id=job.pk, position=1)
    for token in ("a" * 26, message_token, "x", path.removeprefix("/u/")[:-1] + "9"):
        assert client.get(f"/u/{token}").status_code == 404, token
        assert client.post(f"/u/{token}").status_code == 404, token
    assert not ConsentEvent.objects.exists()


def test_tokens_are_opaque_short_and_read_back() -> None:
    made = tokens.tokens("message", environment_id=7, job_id=8, numbers=range(1, 300))
    assert len(set(made)) == 299
    assert {len(token) for token in made} == {26}
    assert [tokens.read("message", token) for token in made] == [
        tokens.Reference(7, 8, number) for number in range(1, 300)
    ]
    assert all(tokens.read("unsubscribe", token) is None for token in made)
    assert tokens.read_message_id(f"<{made[0].upper()}@acme.example>") == tokens.Reference(7, 8, 1)
