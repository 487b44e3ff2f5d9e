"""Campaigns on every channel, end to end: drafted, checked, launched, handed over, and the books closed."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.db import transaction
from django.test import Client

from audiences import facts
from audiences.models import Person
from audit import ledger
from campaigns import drafts, launch, preflight
from campaigns.message import Message
from campaigns.models import Campaign
from campaigns.tests.conftest import MakeDraft, MakeTemplate, fresh
from delivery import connections, tokens, topics
from delivery.models import InboxItem
from delivery.tests.stations import Call, Station, running
from lamba_campaigns.lib.errors import Invalid
from limits import subscriptions
from limits.reservations import PlanLimitExceeded
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db
ACCOUNT = "AC" + "0a" * 16


def answer(call: Call) -> tuple[int, str]:
    if call.path.endswith("Messages.json"):
        return 201, json.dumps({"sid": "SM" + str(len(parse_qs(call.body.decode())["Body"][0])), "status": "queued"})
    rows = [{"id": each["id"], "status": "accepted"} for each in json.loads(call.body)["messages"]]
    return 200, json.dumps({"results": rows})


@pytest.fixture
def outside(settings: Any) -> Iterator[Station]:
    """The customer's endpoint and the SMS provider."""
    with running() as station:
        station.answer = answer
        settings.WEBHOOK_ALLOWED_HOSTS = [station.host]
        yield station


def connect(scope: Scope, actor: Actor, now: datetime, outside: Station) -> None:
    connections.connect(
        scope=scope, actor=actor, channel="webhook", provider="endpoint", config={"url": f"{outside.url}/in"},
        secret="", version=0, now=now,
    )  # fmt: skip
    connections.connect(
        scope=scope, actor=actor, channel="sms", provider="twilio", secret="theirs", version=0, now=now,
        config={"account": ACCOUNT, "sender": "Acme", "url": outside.url},
    )  # fmt: skip


def agree(scope: Scope, channel: str, now: datetime) -> None:
    """Everybody agrees to the channel and has a phone, except for the last one."""
    people = list(Person.objects.within(scope).order_by("pk"))
    changes = [
        facts.Change(person.pk, name, value, now, f"evt_{person.pk}_{name}")
        for place, person in enumerate(people)
        for name, value in {f"consent.{channel}": place < len(people) - 1, "trait.phone": f"+4915110000{place}"}.items()
    ]
    with transaction.atomic():
        facts.apply(scope=scope, changes=changes, now=now)


@pytest.mark.parametrize("channel", ["in_app", "webhook", "sms"])
def test_a_campaign_on_another_channel_goes_from_draft_to_closed_books(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign], outside: Station, channel: str,
) -> None:  # fmt: skip
    connect(scope, actor, now, outside)
    draft = make_draft(people=4, channel=channel)
    agree(scope, channel, now)
    if channel == "sms":
        with transaction.atomic():
            subscriptions.add_add_on(scope=scope, actor=actor, sku="sms", quantity=1, now=now - timedelta(minutes=1))

    done = send_it(launch_it(draft))

    assert done.state == "completed"
    assert done.books_closed_at is not None
    balance = ledger.balance(scope=scope, job_id=done.job_id or 0)
    assert {name: count for name, count in balance.accounts.items() if count} == {"excluded": 1, "accepted": 3}
    assert balance.excluded_by_reason == {"no_consent": 1}
    reached = {
        "in_app": InboxItem.objects.count(),
        "webhook": sum(len(json.loads(call.body)["messages"]) for call in outside.calls if call.path == "/in"),
        "sms": sum(call.path.endswith("Messages.json") for call in outside.calls),
    }
    assert reached == {"in_app": 0, "webhook": 0, "sms": 0} | {channel: 3}


@pytest.mark.parametrize("channel", ["in_app", "webhook", "sms"])
def test_another_channel_speaks_the_language_of_each_reader(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, make_template: MakeTemplate,
    launch_it: Callable[..., Campaign], send_it: Callable[..., Campaign], outside: Station, channel: str,
) -> None:  # fmt: skip
    connect(scope, actor, now, outside)
    draft = make_draft(people=4, channel=channel)
    agree(scope, channel, now)
    words = {"de": {"subject": "Titel", "body": "Hallo"}, "de-CH": {"subject": "Titel", "body": "Grüezi"}}
    version = make_template("Many", Message("Title", "", "Hello", variants=words)).versions.within(scope).get()
    Campaign.objects.within(scope).filter(pk=draft.pk).update(template_version=version)
    for external_id, locale in (("u1", "de-CH"), ("u2", "de_AT"), ("u3", "fr")):
        Person.objects.within(scope).filter(external_id=external_id).update(locale=locale)
    if channel == "sms":
        with transaction.atomic():
            subscriptions.add_add_on(scope=scope, actor=actor, sku="sms", quantity=1, now=now - timedelta(minutes=1))

    assert send_it(launch_it(fresh(draft))).state == "completed"

    said = list(InboxItem.objects.values_list("text", flat=True))
    for call in outside.calls:
        if call.path == "/in":
            said += [each["text"] for each in json.loads(call.body)["messages"]]
        else:
            said.append(parse_qs(call.body.decode())["Body"][0])
    assert sorted(said) == ["Grüezi", "Hallo", "Hello"]


def test_without_the_add_on_an_sms_campaign_is_a_402_with_its_remedy_and_nothing_moves(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, outside: Station
) -> None:
    connect(scope, actor, now, outside)
    draft = make_draft(people=2, channel="sms")
    agree(scope, "sms", now)
    with pytest.raises(PlanLimitExceeded) as refused:
        launch.request_launch(
            scope=scope, actor=actor, campaign_id=draft.public_id, version=draft.state_version, now=now
        )
    assert refused.value.status == 402
    kinds = {way["kind"] for way in refused.value.extra["remedies"] if "channel.sms" in way["resolves"]}
    assert "add_on" in kinds
    assert fresh(draft).state == "draft"
    assert outside.calls == []


@pytest.mark.parametrize("channel", ["webhook", "sms"])
def test_a_channel_without_a_connection_blocks_the_launch_and_says_where_to_go(
    scope: Scope, now: datetime, make_draft: MakeDraft, channel: str
) -> None:
    draft = make_draft(people=1, channel=channel)
    found = next(
        check
        for check in preflight.report(scope=scope, campaign=draft, at=now, now=now).checks
        if check.key == "channel"
    )
    assert found.state == "block"
    if channel == "webhook":
        assert [(fix.kind, fix.to["section"]) for fix in found.fixes] == [("settings", "channels"), ("edit", "channel")]


def test_a_topic_that_must_be_asked_for_goes_to_nobody_else(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, launch_it: Callable[..., Campaign]
) -> None:
    beta = topics.create(scope=scope, actor=actor, slug="beta", name="Beta", description="", opt_in=True, now=now)
    draft = make_draft(people=4, topic="beta")
    people = list(Person.objects.within(scope).order_by("pk").values_list("pk", flat=True))
    with transaction.atomic():
        for wanted, chosen in ((True, people[:2]), (False, people[2:3])):
            topics.choose(scope=scope, topic=beta, channel="email", person_ids=chosen, wanted=wanted, decided_at=now)
    counted = preflight.report(scope=scope, campaign=draft, at=now, now=now)
    assert counted.audience_count == 2
    taken = launch_it(draft).snapshot
    assert taken is not None and (taken.included, taken.excluded_counts) == (2, {"no_consent": 1, "unsubscribed": 1})
    assert taken.exclusions == {"topic": "beta"}


def test_a_campaign_about_a_topic_leaves_out_who_declined_it_before_the_hand_off(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign], client: Client,
) -> None:  # fmt: skip
    topics.create(scope=scope, actor=actor, slug="news", name="News", description="", opt_in=False, now=now)
    draft = make_draft(people=3, topic="news")
    assert drafts.setup_of(draft).topic == "news"
    sending = launch_it(draft)
    person = Person.objects.within(scope).order_by("pk")[0]
    token = tokens.unsubscribe_token(
        environment_id=scope.environment_id, job_id=sending.job_id or 0, person_id=person.pk
    )
    client.post(f"/u/{token}", {"List-Unsubscribe": "One-Click"})
    done = send_it(sending)
    balance = ledger.balance(scope=scope, job_id=done.job_id or 0)
    assert {name: count for name, count in balance.accounts.items() if count} == {"excluded": 1, "accepted": 2}
    assert balance.excluded_by_reason == {"late:unsubscribed": 1}
    again = launch_it(make_draft("Another", topic="news"))
    assert again.snapshot is not None and again.snapshot.excluded_counts == {"unsubscribed": 1}
    assert launch_it(make_draft("About nothing")).snapshot.excluded_counts == {}
    with pytest.raises(Invalid) as refused:
        make_draft(topic="nothing")
    assert refused.value.problems[0].pointer == "#/topic"
