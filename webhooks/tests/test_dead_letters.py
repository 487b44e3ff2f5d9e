"""Events that were set aside: found by what they are and why, held against their schema, rehearsed, processed again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import AuditEntry
from conftest import World
from lamba_campaigns.web import navigation
from projects.models import Member
from projects.scoping import Actor, Scope
from webhooks import breaches, dead_letters, endpoints, process, rehearsal
from webhooks.dead_letters import Selection
from webhooks.models import InboundEvent
from webhooks.registry import NotYet, Unmatched
from webhooks.tests.conftest import Sender

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
Handler = Callable[..., list[Any]]


def at(scope: Scope, name: str, *args: str) -> str:
    return navigation.url_of(scope, name, *args)


def run() -> None:
    process.run(now=datetime.now(UTC) + timedelta(seconds=1))


def states(scope: Scope) -> dict[str, str]:
    return dict(InboundEvent.objects.within(scope).order_by("id").values_list("event_id", "state"))


@pytest.fixture
def set_aside(lamba: Sender, scope: Scope, handler: Handler) -> Sender:
    """One of each kind: breaks its schema, names nothing, of another scope, unreadable, without a handler."""

    def fail(scope: Scope, events: Any) -> None:
        raise Unmatched("no campaign is called Spring")

    handler("campaign.sent", do=fail)
    lamba.post(lamba.envelope("user.created", {"userId": 7, "email": None}, id="evt_schema"))
    lamba.post(lamba.envelope("campaign.sent", {"name": "Spring"}, id="evt_unmatched"))
    lamba.post(lamba.envelope("user.created", id="evt_scope", projectId="prj_other"))
    lamba.post(lamba.envelope("user.created", id="evt_unreadable", occurredAt="yesterday"))
    lamba.post(lamba.envelope("application.changed", id="evt_ignored"))
    run()
    assert states(scope) == {
        "evt_schema": "parked",
        "evt_unmatched": "parked",
        "evt_scope": "quarantined",
        "evt_unreadable": "quarantined",
        "evt_ignored": "ignored",
    }
    return lamba


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(state=""), {"schema", "unmatched", "scope", "unreadable"}),
        (Selection(), {"schema", "unmatched"}),
        (Selection(state="ignored"), {"ignored"}),
        (Selection(state="", type="user.created"), {"schema", "scope"}),
        (Selection(state="", reason="schema"), {"schema"}),
        (Selection(state="", reason="unmatched"), {"unmatched"}),
        (Selection(state="", reason="scope"), {"scope"}),
        (Selection(state="", reason="unreadable"), {"unreadable"}),
        (Selection(state="", reason="died"), set()),
        (Selection(state="", endpoint="whe_other"), set()),
        (Selection(state="", since=datetime(2020, 1, 1, tzinfo=UTC)), {"schema", "unmatched", "scope", "unreadable"}),
        (Selection(state="", until=datetime(2020, 1, 1, tzinfo=UTC)), set()),
    ],
)
def test_a_range_is_found_by_what_its_events_are_and_why(
    set_aside: Sender, scope: Scope, selection: Selection, found: set[str]
) -> None:
    rows = dead_letters.rows(scope=scope, selection=selection)

    assert {row.event_id.removeprefix("evt_") for row in rows} == found


def test_every_reason_is_read_from_the_error_that_names_it(set_aside: Sender, scope: Scope) -> None:
    rows = dead_letters.rows(scope=scope, selection=Selection(state=""))

    assert {dead_letters.reason_of(row.error) for row in rows} == {"schema", "unmatched", "scope", "unreadable"}
    assert dead_letters.reason_of("") == ""


def test_one_endpoint_is_not_another(set_aside: Sender, scope: Scope, actor: Actor, now: datetime) -> None:
    other, secret = endpoints.create_inbound(scope=scope, actor=actor, name="Second", kind="lamba", now=now)
    second = Sender(scope, other, secret)
    second.post(second.envelope("user.created", {"userId": 8}, id="evt_second"))
    run()

    rows = dead_letters.rows(scope=scope, selection=Selection(endpoint=other.public_id))

    assert [row.event_id for row in rows] == ["evt_second"]


# --- against the schema ---------------------------------------------------------------------------------------------
def test_each_field_that_fails_says_what_it_holds_and_what_the_schema_wants(lamba: Sender, scope: Scope) -> None:
    data = {"state": "gone", "roles": ["member", 7]}
    lamba.post(lamba.envelope("membership.created", data, id="evt_1"))
    run()

    found = breaches.check(InboundEvent.objects.within(scope).get())

    assert found.fits is False
    assert {each.field: (each.found, each.wanted) for each in found.breaches} == {
        "data.state": ('"gone"', '{"type": "string", "enum": ["invited", "active", "suspended", "removed"]}'),
        "data.roles[1]": ("7", '{"type": "string", "minLength": 1, "maxLength": 128}'),
        "data.userId": ("nothing", '{"type": "string", "minLength": 1, "maxLength": 128}'),
    }


def test_alternatives_are_told_one_by_one() -> None:
    found = list(breaches.breaches("message.delivered", {"items": []}))

    assert {(each.field, each.detail.partition(":")[0]) for each in found} == {
        ("data.messageId", "Alternative 1"),
        ("data.items", "Alternative 2"),
    }


def test_a_body_that_no_schema_speaks_of_is_not_judged(set_aside: Sender, scope: Scope) -> None:
    rows = InboundEvent.objects.within(scope)

    assert breaches.check(rows.get(event_id="evt_ignored")).fits is None
    assert breaches.check(rows.get(event_id="evt_unreadable")).fits is None
    assert breaches.check(rows.get(event_id="evt_unmatched")).fits is True


# --- rehearsed ------------------------------------------------------------------------------------------------------
def test_a_rehearsal_says_what_would_become_of_each_and_changes_nothing(
    set_aside: Sender, scope: Scope, handler: Handler
) -> None:
    def settle(scope: Scope, events: Any) -> None:
        InboundEvent.objects.within(scope).update(delivery_count=99)
        if any(event.id == "evt_late" for event in events):
            raise NotYet("its campaign is not there")

    set_aside.post(set_aside.envelope("campaign.sent", {}, id="evt_late"))
    run()
    handler("campaign.sent", do=settle)
    before = list(InboundEvent.objects.within(scope).order_by("id").values())
    entries = AuditEntry.objects.count()

    found = rehearsal.rehearse(scope=scope, event_ids=list(states(scope)), now=datetime.now(UTC))

    assert {each.event_id: (each.state, each.error.partition(":")[0]) for each in found} == {
        "evt_schema": ("parked", "Its data breaks the schema of user.created.\n#/data/userId"),
        "evt_unmatched": ("processed", ""),
        "evt_scope": ("quarantined", "Of another scope"),
        "evt_unreadable": ("quarantined", "occurredAt is not an ISO-8601 time with a zone."),
        "evt_ignored": ("ignored", ""),
        "evt_late": ("retry", "Waiting"),
    }
    assert list(InboundEvent.objects.within(scope).order_by("id").values()) == before
    assert AuditEntry.objects.count() == entries


def test_a_handler_that_still_fails_is_named_in_the_rehearsal(lamba: Sender, scope: Scope, handler: Handler) -> None:
    def fail(scope: Scope, events: Any) -> None:
        raise ZeroDivisionError("by nothing")

    handler("user.created", do=fail)
    lamba.post(lamba.envelope(id="evt_1"))
    InboundEvent.objects.within(scope).update(state="parked", error="Traceback")

    [found] = rehearsal.rehearse(scope=scope, event_ids=["evt_1"], now=datetime.now(UTC))

    assert (found.state, found.error) == ("parked", "ZeroDivisionError: by nothing")


def test_what_is_processed_already_is_no_part_of_a_rehearsal(lamba: Sender, scope: Scope, handler: Handler) -> None:
    handler("user.created")
    lamba.post(lamba.envelope(id="evt_1"))
    run()

    assert rehearsal.rehearse(scope=scope, event_ids=["evt_1", "evt_unknown"], now=datetime.now(UTC)) == []


# --- in the console -------------------------------------------------------------------------------------------------
def shown(browser: Client, path: str) -> list[str]:
    return [row["event"].event_id for row in browser.get(path).context["rows"]]


def test_the_page_filters_and_keeps_what_can_not_be_read_out(
    browser_of: Browser, world: World, set_aside: Sender, scope: Scope
) -> None:
    browser, path = browser_of(world.alice), at(scope, "dead-letter-list")

    assert shown(browser, path) == ["evt_unreadable", "evt_scope", "evt_unmatched", "evt_schema"]
    assert shown(browser, path + "?state=ignored") == ["evt_ignored"]
    assert shown(browser, path + "?reason=unmatched&type=campaign.sent") == ["evt_unmatched"]
    assert shown(browser, path + f"?endpoint={set_aside.endpoint.public_id}&since=2020-01-01T00:00") != []
    assert shown(browser, path + "?until=2020-01-01T00:00") == []
    assert len(shown(browser, path + "?reason=nonsense&state=x&since=soon&before=y")) == 4


def test_the_page_costs_few_queries_whatever_it_shows(
    browser_of: Browser, world: World, set_aside: Sender, scope: Scope
) -> None:
    browser = browser_of(world.alice)
    browser.get(at(scope, "dead-letter-list"))
    for path in (at(scope, "dead-letter-list"), at(scope, "event-detail", "evt_schema"), at(scope, "event-list")):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            browser.get(path)
        assert len(asked) <= 12, path


def test_a_ticked_selection_is_rehearsed_then_processed_with_a_reason(
    browser_of: Browser, world: World, set_aside: Sender, scope: Scope, handler: Handler
) -> None:
    handler("campaign.sent")
    browser, events = browser_of(world.alice), ["evt_unmatched", "evt_schema"]

    page = browser.post(at(scope, "dead-letter-rehearse"), {"event": events})
    assert [(each.event_id, each.state) for each in page.context["rows"]] == [
        ("evt_schema", "parked"),
        ("evt_unmatched", "processed"),
    ]
    assert page.content.decode().count(" checked") == 1
    assert states(scope)["evt_unmatched"] == "parked"
    again = at(scope, "dead-letter-redrive")
    assert browser.post(again, {"event": ["evt_unmatched"]}).status_code == 422
    assert browser.post(again, {"event": ["evt_unmatched"], "reason": "The handler was mended"}).status_code == 302

    run()
    assert states(scope)["evt_unmatched"] == "processed"
    assert states(scope)["evt_schema"] == "parked"
    trail = AuditEntry.objects.filter(action="webhook.redriven").order_by("sequence").values_list("outcome", "reason")
    assert list(trail) == [
        ("refused", "Give a reason of 1 to 500 characters."),
        ("done", "The handler was mended"),
    ]


def test_a_whole_filter_is_rehearsed_up_to_the_bound(
    browser_of: Browser, world: World, set_aside: Sender, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, path = browser_of(world.alice), at(scope, "dead-letter-rehearse")

    page = browser.post(path, {"all": "1", "state": "", "type": "user.created"})
    assert [each.event_id for each in page.context["rows"]] == ["evt_schema", "evt_scope"]
    assert not page.context["more"]
    monkeypatch.setattr("webhooks.redrive.REDRIVE_EVENTS_MAX", 1)
    page = browser.post(path, {"all": "1", "state": "", "type": "user.created"})
    assert [each.event_id for each in page.context["rows"]] == ["evt_schema"]
    assert page.context["more"]
    assert browser.post(path, {"event": ["evt_schema", "evt_scope"]}).status_code == 422
    assert browser.post(path, {}).status_code == 422


def test_an_event_page_lays_the_body_beside_its_schema(
    browser_of: Browser, world: World, set_aside: Sender, scope: Scope
) -> None:
    html = browser_of(world.alice).get(at(scope, "event-detail", "evt_schema")).content.decode()

    assert "Against its schema" in html
    assert "data.userId" in html
    assert "&quot;type&quot;: &quot;string&quot;" in html


def test_who_may_only_look_is_offered_nothing_to_tick(
    browser_of: Browser, world: World, set_aside: Sender, scope: Scope
) -> None:
    Member.objects.filter(workspace=world.workspace, user=world.bob).update(role="support")

    html = browser_of(world.bob).get(at(scope, "dead-letter-list")).content.decode()

    assert "evt_schema" in html
    assert 'type="checkbox"' not in html
    assert browser_of(world.bob).post(at(scope, "dead-letter-rehearse"), {"event": ["evt_schema"]}).status_code == 403


# --- over REST ------------------------------------------------------------------------------------------------------
def test_rest_filters_rehearses_and_names_the_breaches(
    set_aside: Sender, scope: Scope, api: Callable[..., Any]
) -> None:
    client, path = api(), "/api/v1/inbound-events"

    def ids(query: str) -> list[str]:
        return [each["id"] for each in client.get(path + query).json()["items"]]

    assert ids("?because=schema") == ["evt_schema"]
    assert ids(f"?state=ignored&endpoint={set_aside.endpoint.public_id}") == ["evt_ignored"]
    assert ids("?until=2020-01-01T00:00:00Z") == []
    for query in ("?because=mood", "?state=asleep", "?since=soon"):
        assert client.get(path + query).status_code == 422
    detail = client.get(path + "/evt_schema").json()
    assert detail["fitsSchema"] is False
    assert [each["field"] for each in detail["breaches"]] == ["data.userId"]
    body = {"state": "parked", "because": "schema", "reason": "Looking", "dryRun": True}
    dry = client.post(path + "/redrive", body, format="json")
    assert dry.status_code == 202
    assert [(each["id"], each["state"]) for each in dry.json()["foreseen"]] == [("evt_schema", "parked")]
    assert states(scope)["evt_schema"] == "parked"
