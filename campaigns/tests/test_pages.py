"""Every page in every state: it renders, it asks few questions of the database, and it keeps to its scope."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiences import facts
from audiences.models import Person
from campaigns import recipients, sweeps
from campaigns.models import Campaign, Template
from campaigns.tests.conftest import MakeDraft, Postbox, fresh, run_job
from campaigns.views import progress
from conftest import World
from delivery import progress as delivery_progress
from delivery.progress import Minute
from lamba_campaigns.web.console import url
from projects.scoping import Scope

BrowserOf = Callable[[User], Client]
QUERIES_MAX = 40  # the frame around a page takes about a dozen of them
EVIDENCE_QUERIES_MAX = 12


@pytest.fixture
def alice(world: World, browser_of: BrowserOf) -> Client:
    return browser_of(world.alice)


def read(client: Client, address: str, status: int = 200, **headers: Any) -> str:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        answer = client.get(address, **headers)
    assert answer.status_code == status, f"{address}: {answer.status_code}\n{answer.content.decode()[:3000]}"
    assert len(seen) <= QUERIES_MAX, f"{address} asked {len(seen)} questions"
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
    return str(body.decode())


def page_of(scope: Scope, campaign: Campaign, name: str = "campaign-detail") -> str:
    return url(scope, name, campaign.public_id)


@pytest.mark.parametrize(
    "name", ["overview", "campaign-list", "campaign-new", "reconciliation", "template-list", "template-new"]
)
def test_pages_render_when_there_is_nothing(alice: Client, scope: Scope, world: World, name: str) -> None:
    assert "<h1>" in read(alice, url(scope, name))
    assert "<h1>" in read(alice, url(world.sandbox, name))


def test_pages_of_a_draft(alice: Client, scope: Scope, make_draft: MakeDraft) -> None:
    draft = make_draft(people=5, consent=3)

    text = read(alice, page_of(scope, draft))
    assert "Ready to launch" in text and "3</b> real people" in " ".join(text.split())
    read(alice, page_of(scope, draft, "campaign-edit"))
    read(alice, url(scope, "campaign-list"))
    read(alice, url(scope, "overview"))


def test_pages_of_a_campaign_from_launch_to_closed_books(
    alice: Client,
    scope: Scope,
    now: datetime,
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign],
) -> None:
    draft = make_draft(people=5, consent=3)
    sending = launch_it(draft)
    assert "Sending" in read(alice, page_of(scope, sending))
    read(alice, url(scope, "overview"))

    ended = send_it(sending)

    assert "The books are closed" in read(alice, page_of(scope, ended))
    assert "u1@example.com" in read(alice, page_of(scope, ended, "campaign-recipients"))
    assert "No consent" in read(alice, page_of(scope, ended, "campaign-recipients") + "?outcome=excluded")
    assert_explained(alice, scope, page_of(scope, ended, "campaign-recipients"))
    books = page_of(scope, ended, "campaign-books")
    for address in (books, f"{books}?by=wave", f"{books}?by=domain", url(scope, "overview"), url(scope, "audit-trail")):
        with CaptureQueriesContext(connection) as asked:
            text = read(alice, address)
        assert len(asked) <= EVIDENCE_QUERIES_MAX, address
        assert "Residual" in text or books not in address
    assert ended.name in read(alice, url(scope, "reconciliation"))
    assert "u1@example.com" in read(alice, page_of(scope, ended, "campaign-recipients-csv"))
    assert "planned,5" in read(alice, page_of(scope, ended, "campaign-books-csv"))
    assert '"residual": 0' in read(alice, page_of(scope, ended, "campaign-books-json"))
    read(alice, url(scope, "overview"))
    read(alice, url(scope, "campaign-list"))


def assert_explained(alice: Client, scope: Scope, recipients_page: str) -> None:
    """A member, somebody left out, and somebody who came later: the audience never matched him."""
    people = Person.objects.within(scope)
    member, left_out = (people.get(email=f"{name}@example.com") for name in ("u1", "u4"))
    assert f"why={member.public_id}#why" in read(alice, recipients_page)
    assert "In: the rule matches" in read(alice, f"{recipients_page}?why={member.public_id}")
    assert "Not in: The person has not agreed" in read(alice, f"{recipients_page}?why={left_out.public_id}")
    with transaction.atomic():
        facts.ensure_people(scope=scope, people=[facts.Identity("late")], now=timezone.now())
    stranger = read(alice, f"{recipients_page}?q=late")
    assert "Not among the recipients" in stranger and "nobody here knew this person" in stranger
    assert "Nobody found" in read(alice, f"{recipients_page}?q=nobody-at-all")


def test_pages_of_a_template(alice: Client, scope: Scope, make_template: Any, make_people: Any) -> None:
    make_people(2)
    template = make_template()

    text = read(alice, url(scope, "template-detail", template.public_id))
    frame = text.split('data-frame="')[1].split('"')[0]
    shown = alice.get(frame)
    assert "Hi <strong>U2</strong>" in shown.content.decode()
    assert "sandbox" in shown["Content-Security-Policy"] and "script-src" not in shown["Content-Security-Policy"]
    read(alice, url(scope, "template-list"))
    read(alice, url(scope, "template-version", template.public_id, 1))


def steps(scope: Scope, campaign: Campaign, name: str) -> str:
    return url(scope, f"campaign-{name}", campaign.public_id)


def test_launching_in_production_wants_the_typed_word(alice: Client, scope: Scope, make_draft: MakeDraft) -> None:
    draft = make_draft()
    form = {"state_version": draft.state_version}

    without = alice.post(steps(scope, draft, "launch"), form)
    assert without.status_code == 422 and "Type production to confirm." in without.content.decode()
    assert fresh(draft).state == "draft"

    with_it = alice.post(steps(scope, draft, "launch"), form | {"confirm": " Production "})
    assert with_it.status_code == 302 and fresh(draft).state == "launching"
    assert "Freezing the audience" in read(alice, page_of(scope, draft))


def test_launching_in_the_sandbox_needs_one_click(alice: Client, world: World, make_draft: MakeDraft) -> None:
    draft = make_draft(within=world.sandbox)

    assert "test people" in read(alice, page_of(world.sandbox, draft))
    answer = alice.post(steps(world.sandbox, draft, "launch"), {"state_version": draft.state_version})

    assert answer.status_code == 302 and fresh(draft).state == "launching"


def test_dialogs_open_without_scripts(alice: Client, scope: Scope, make_draft: MakeDraft) -> None:
    text = read(alice, page_of(scope, make_draft()) + "?confirm=launch")

    assert '<dialog id="launch" class="confirm" aria-labelledby="launch-h" data-modal open>' in text


def test_a_stale_tab_is_refused_on_the_page(alice: Client, scope: Scope, make_draft: MakeDraft) -> None:
    draft = make_draft()

    answer = alice.post(steps(scope, draft, "launch"), {"state_version": 7, "confirm": "production"})

    assert answer.status_code == 412 and "Changed by somebody else" in answer.content.decode()
    assert fresh(draft).state == "draft"


def test_over_a_limit_the_page_has_working_ways_out(
    alice: Client,
    scope: Scope,
    now: datetime,
    plan: Callable[..., None],
    make_draft: MakeDraft,
    browser_of: BrowserOf,
    world: World,
) -> None:
    draft = make_draft(people=3)
    plan("starter", at=now - timedelta(minutes=1), included_email_volume=2)
    form = {"state_version": draft.state_version, "confirm": "production"}

    refused = alice.post(steps(scope, draft, "launch"), form)
    assert refused.status_code == 402 and "Not ready to launch" in refused.content.decode()
    text = read(alice, page_of(scope, draft))
    assert "Upgrade to" in text and "Accept 1 over the limit" in text and "Reduce the audience to 2" in text
    assert "ask an owner" in read(browser_of(world.bob), page_of(scope, draft))

    accepted = {"kind": "accept_overage", "quantity": "1", "state_version": draft.state_version}
    assert browser_of(world.bob).post(steps(scope, draft, "fix"), accepted).status_code == 403
    assert alice.post(steps(scope, draft, "fix"), accepted).status_code == 302
    assert fresh(draft).accept_overage == 1
    assert "Ready to launch" in read(alice, page_of(scope, draft))


def test_upgrading_in_place_unblocks(
    alice: Client, scope: Scope, now: datetime, plan: Callable[..., None], make_draft: MakeDraft
) -> None:
    draft = make_draft(people=3)
    plan("starter", at=now - timedelta(minutes=1), audience_per_campaign=2)

    answer = alice.post(steps(scope, draft, "fix"), {"kind": "upgrade", "plan": "growth"})

    assert answer.status_code == 302 and "Ready to launch" in read(alice, page_of(scope, draft))


def test_the_live_card_answers_204_until_something_changes(
    alice: Client,
    scope: Scope,
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign],
) -> None:
    sending = launch_it(make_draft())
    text = read(alice, page_of(scope, sending))
    poll = text.split('hx-get="')[1].split('"')[0]

    assert alice.get(poll).status_code == 204
    send_it(sending)
    changed = alice.get(poll)
    assert changed.status_code == 204 and changed["HX-Refresh"] == "true", "another state needs other buttons"
    assert "data-live" not in read(alice, page_of(scope, sending)).split('id="live"')[1].split(">")[0]


def test_pause_resume_and_cancel_from_the_page(
    alice: Client,
    scope: Scope,
    now: datetime,
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
    postbox: Postbox,
) -> None:
    sending = launch_it(make_draft())

    assert alice.post(steps(scope, sending, "pause"), {"state_version": sending.state_version}).status_code == 302
    assert "Pausing" in read(alice, page_of(scope, sending))
    run_job(sending, scope, now)
    sweeps.settle_finished(now=now)
    paused = fresh(sending)
    assert "Resume" in read(alice, page_of(scope, paused))
    refused = alice.post(steps(scope, paused, "cancel"), {"state_version": paused.state_version, "confirm": "yes"})
    assert refused.status_code == 422
    word = {"state_version": paused.state_version, "confirm": paused.name}
    assert alice.post(steps(scope, paused, "cancel"), word).status_code == 302
    assert fresh(paused).state == "cancelling"
    assert "Cancelling" in read(alice, page_of(scope, paused))


def test_a_draft_is_made_edited_copied_and_deleted_on_pages(alice: Client, scope: Scope, make_draft: MakeDraft) -> None:
    other = make_draft()
    assert other.audience is not None and other.template_version is not None
    form = {"name": "Autumn", "channel": "email", "timing": "now", "time_zone": "Europe/Berlin"}

    wrong = alice.post(url(scope, "campaign-new"), form | {"timing": "later"})
    assert wrong.status_code == 422 and "Say when" in wrong.content.decode()
    rail = alice.post(url(scope, "campaign-new"), form | {"check": "1", "audience": other.audience.public_id})
    assert rail.status_code == 200 and "people can be contacted now" in rail.content.decode()
    made = alice.post(url(scope, "campaign-new"), form)
    draft = Campaign.objects.within(scope).get(name="Autumn")
    assert made.status_code == 302 and draft.audience is None

    assert "2 to do" in read(alice, page_of(scope, draft))
    filled = {"audience": other.audience.public_id, "template": other.template_version.template.public_id}
    edited = alice.post(page_of(scope, draft, "campaign-edit"), form | filled | {"state_version": draft.state_version})
    assert edited.status_code == 302 and "Ready to launch" in read(alice, page_of(scope, draft))
    assert alice.post(steps(scope, draft, "copy")).status_code == 302
    assert alice.post(steps(scope, draft, "delete"), {"state_version": fresh(draft).state_version}).status_code == 302
    assert set(Campaign.objects.within(scope).values_list("name", flat=True)) == {other.name, "Autumn (copy)"}


def test_a_time_in_the_gap_of_the_clocks_is_refused_in_the_form(alice: Client, scope: Scope, growth: None) -> None:
    form = {
        "name": "Autumn",
        "channel": "email",
        "timing": "later",
        "scheduled_at": "2027-03-28T02:30",
        "time_zone": "Europe/Berlin",
    }

    answer = alice.post(url(scope, "campaign-new"), form)

    assert answer.status_code == 422 and "does not exist in Europe/Berlin" in answer.content.decode()


def test_the_editor_saves_publishes_and_archives(alice: Client, scope: Scope, growth: None) -> None:
    form = {"name": "News", "subject": "Hi", "preheader": "", "body": "Text\r\n"}
    alice.post(url(scope, "template-new"), form | {"publish": "1"})
    template = Template.objects.within(scope).get(name="News")
    where = url(scope, "template-detail", template.public_id)

    wrong = alice.post(where, form | {"body": "{{ nobody }}", "publish": "1", "state_version": template.state_version})
    assert wrong.status_code == 422 and "is not a field of a person here" in wrong.content.decode()
    alice.post(where, form | {"subject": "Hello", "save": "1", "state_version": template.state_version})
    assert "Draft v2" in read(alice, where)
    shown = alice.post(where, form | {"preview": "1", "body": "Live"})
    assert shown.status_code == 200 and 'id="result"' in shown.content.decode()
    alice.post(where, form | {"publish": "1", "state_version": template.state_version + 1})
    assert "compared with v1" not in read(alice, url(scope, "template-version", template.public_id, 1))
    archived = alice.post(where, form | {"archive": "1", "state_version": template.state_version + 2})
    assert archived.status_code == 302
    assert Template.objects.within(scope).get(name="News").status == "archived"


def test_a_preview_opens_only_for_who_asked_for_it(
    alice: Client, scope: Scope, world: World, browser_of: BrowserOf, growth: None, make_template: Any
) -> None:
    template = make_template()
    text = read(alice, url(scope, "template-detail", template.public_id))
    frame = text.split('data-frame="')[1].split('"')[0]

    assert alice.get(frame).status_code == 200
    assert alice.get(frame.replace("/production/", "/sandbox/")).status_code == 404
    assert browser_of(world.bob).get(frame).status_code in (403, 404)
    assert browser_of(world.charlie).get(frame).status_code == 404


READ_PAGES = ("overview", "campaign-list", "reconciliation", "template-list")
WRITE_STEPS = ("launch", "schedule", "unschedule", "pause", "resume", "cancel", "copy", "delete", "fix")


def test_a_viewer_reads_and_a_stranger_finds_nothing(
    scope: Scope, world: World, browser_of: BrowserOf, make_draft: MakeDraft
) -> None:
    draft = make_draft()
    bob, charlie = browser_of(world.bob), browser_of(world.charlie)
    for name in READ_PAGES:
        assert bob.get(url(scope, name)).status_code == 200
        assert charlie.get(url(scope, name)).status_code == 404
    assert bob.get(page_of(scope, draft)).status_code == 200
    assert charlie.get(page_of(scope, draft)).status_code == 404
    for name in WRITE_STEPS:
        assert bob.post(steps(scope, draft, name)).status_code == 403, name
        assert bob.get(steps(scope, draft, name)).status_code == 405, name
        assert charlie.post(steps(scope, draft, name)).status_code == 404, name
    for name in ("campaign-new", "template-new"):
        assert bob.get(url(scope, name)).status_code == 403
    assert bob.get(page_of(scope, draft, "campaign-recipients-csv")).status_code == 403


def test_a_count_opens_its_people_only_for_who_may_see_people(
    scope: Scope,
    world: World,
    browser_of: BrowserOf,
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
    send_it: Callable[..., Campaign],
) -> None:
    ended = send_it(launch_it(make_draft(people=5, consent=3)))
    people = page_of(scope, ended, "campaign-recipients")
    alice, bob = browser_of(world.alice), browser_of(world.bob)
    assert bob.get(people).status_code == 403
    for name in ("campaign-detail", "campaign-books"):
        assert f'href="{people}?outcome=excluded"' in read(alice, page_of(scope, ended, name)), name
        assert people not in read(bob, page_of(scope, ended, name)), name


def test_a_campaign_of_production_is_not_in_the_sandbox(alice: Client, world: World, make_draft: MakeDraft) -> None:
    draft = make_draft()

    assert alice.get(page_of(world.sandbox, draft)).status_code == 404
    assert draft.name not in read(alice, url(world.sandbox, "campaign-list"))


@pytest.mark.parametrize(
    ("code", "detail", "shown"),
    [
        ("2.0.0", "250 Captured", "250 2.0.0 Captured"),
        ("250", "250 OK", "250 OK"),
        ("250 2.0.0", "", "250 2.0.0"),
        ("5.1.1", "550", "550 5.1.1"),
        ("lease_lost", "The worker went away", "lease_lost The worker went away"),
        ("", "", ""),
    ],
)
def test_a_reply_reads_as_the_server_wrote_it(code: str, detail: str, shown: str) -> None:
    assert recipients.reply(code, detail) == shown


def test_the_minutes_of_a_chart_stand_in_order_and_once(
    scope: Scope, now: datetime, make_draft: MakeDraft, launch_it: Callable[..., Campaign]
) -> None:
    sending = launch_it(make_draft())
    minutes = [Minute(now.replace(second=0) - timedelta(minutes=n), 50, 0, 0, 0, 0, 0) for n in (1, 0)]
    assert sending.job is not None
    known = replace(
        delivery_progress.progress(scope=scope, job=sending.job, now=now),
        per_minute=tuple(minutes),
        pace=50,
        finishes_at=now + timedelta(minutes=3, seconds=10),
    )

    chart = progress.chart_of(campaign=sending, progress=known, zone=ZoneInfo("UTC"), now=now)

    assert chart is not None
    labels = [column.bucket.label for column in chart.columns]
    assert labels == sorted(set(labels)) and labels[:2] == ["09:29", "09:30"]
    assert [column.bucket.projected for column in chart.columns][:6] == [False, False, True, True, True, False]
