"""The audit page, its filters, its CSV and the verification on demand."""

import csv
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.template.loader import render_to_string
from django.test import Client

from audit import chain, export, timeline
from audit.models import AuditEntry, EntryLabel
from audit.views import PAGE_ENTRIES
from conftest import World
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]


@pytest.fixture
def page(world: World) -> str:
    return f"/{world.production.path}/audit/"


def write(scope: Scope | None, actor: Actor, now: datetime, action: str = "campaign.updated", **given: Any) -> None:
    subject = given.pop("subject", chain.Subject("campaign", "cmp_1", "Spring renewal"))
    with transaction.atomic():
        chain.record(scope=scope, actor=actor, action=action, subject=subject, now=now, **given)


def test_the_page_says_who_what_which_and_what_changed(
    page: str, world: World, browser_of: Browser, actor: Actor, now: datetime
) -> None:
    write(
        world.production,
        actor,
        now,
        before={"state": "draft", "rate": 1000},
        after={"state": "launching", "rate": 1000},
    )
    write(world.production, actor, now, "campaign.launched", outcome="refused", reason="The audience is too large.")
    text = browser_of(world.alice).get(page).content.decode()

    for words in ("Spring renewal", "changed the campaign", "draft", "launching", "127.0.0.1", "Console"):
        assert words in text, words
    assert "could not launch the campaign" in text and "The audience is too large." in text
    assert "Rate" not in text, "what did not change is not shown"


def test_what_the_clock_wrote_is_shown_only_on_demand(
    page: str, world: World, browser_of: Browser, actor: Actor, now: datetime
) -> None:
    write(world.production, actor, now, "checkpoint.signed")
    browser = browser_of(world.alice)
    assert "signed a checkpoint" not in browser.get(page).content.decode()
    assert "signed a checkpoint" in browser.get(f"{page}?action=checkpoint").content.decode()


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("action=template", ["Release notes"]),
        ("actor=system", ["Other one"]),
        ("subject=cmp_1", ["Spring renewal"]),
        ("since=2026-11-24", ["Other one"]),
        ("until=2026-11-23", ["Spring renewal", "Release notes"]),
        ("since=nonsense", ["Spring renewal", "Release notes", "Other one"]),
        ("reach=workspace", ["Bob of Acme"]),
    ],
)
def test_filters(
    page: str, world: World, browser_of: Browser, actor: Actor, now: datetime, query: str, shown: list[str]
) -> None:
    scope = world.production
    write(scope, actor, now)
    write(scope, actor, now, "template.created", subject=chain.Subject("template", "tpl_1", "Release notes"))
    system = Actor("system", "system", "System", "system")
    write(scope, system, now + timedelta(days=1), subject=chain.Subject("campaign", "cmp_2", "Other one"))
    member = chain.Subject("member", "usr_7", "Bob of Acme")
    write(None, actor, now, "member.added", subject=member, workspace_id=scope.workspace_id)
    text = browser_of(world.alice).get(f"{page}?{query}").content.decode()

    for name in ("Spring renewal", "Release notes", "Other one", "Bob of Acme"):
        assert (name in text) == (name in shown), name


def test_pages_are_walked_both_ways(page: str, world: World, browser_of: Browser, actor: Actor, now: datetime) -> None:
    for number in range(PAGE_ENTRIES + 5):
        write(world.production, actor, now, subject=chain.Subject("campaign", f"cmp_{number}", f"No {number}."))
    browser = browser_of(world.alice)

    first = browser.get(page).content.decode()
    assert "No 44." in first and "No 4." not in first and "?before=6" in first and "Newer" not in first
    second = browser.get(f"{page}?before=6").content.decode()
    assert "No 4." in second and "No 5." not in second and "?after=5" in second and "Older" not in second
    assert "No 44." in browser.get(f"{page}?after=5").content.decode()


def test_roles_and_strangers(page: str, world: World, browser_of: Browser) -> None:
    assert browser_of(world.bob).get(page).status_code == 403
    assert browser_of(world.bob).get(f"{page}export.csv").status_code == 403
    assert browser_of(world.bob).post(f"{page}verify/").status_code == 403
    assert browser_of(world.charlie).get(page).status_code == 404
    assert browser_of(world.alice).get(f"{page}verify/").status_code == 405


def test_the_csv_is_safe_complete_and_audited(
    page: str, world: World, browser_of: Browser, actor: Actor, now: datetime
) -> None:
    write(world.production, actor, now, subject=chain.Subject("campaign", "cmp_1", "=HYPERLINK(1)"), after={"n": 1234})
    write(world.production, actor, now, "template.created")
    answer = browser_of(world.alice).get(f"{page}export.csv?action=campaign")
    rows = list(csv.DictReader(b"".join(answer).decode().splitlines()))

    assert [(row["object"], row["action"], row["changes"]) for row in rows] == [
        ("'=HYPERLINK(1)", "campaign.updated", "N: 1,234")
    ]
    assert rows[0]["occurred_at_utc"] == "2026-11-23T09:30:00.000000Z"
    assert rows[0]["occurred_at_local"] == "2026-11-23T10:30:00+01:00"
    assert answer["Content-Disposition"].startswith('attachment; filename="acme-app-production-audit-')
    entry = AuditEntry.objects.get(action="export.made")
    assert entry.after == {"format": "csv", "action": "campaign"}


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@a", "\ta", "\ra"])
def test_no_cell_is_a_formula(cell: str) -> None:
    assert export.safe(cell) == f"'{cell}" and export.safe("a=1") == "a=1"


def test_a_verification_is_said_and_recorded(
    page: str, world: World, browser_of: Browser, actor: Actor, now: datetime
) -> None:
    write(world.production, actor, now)
    answer = browser_of(world.alice).post(f"{page}verify/", follow=True)
    assert "1 entries and 0 postings" in answer.content.decode()
    assert AuditEntry.objects.filter(action="verification.run").count() == 1


def test_a_broken_chain_is_shown_with_its_first_break(
    page: str, world: World, browser_of: Browser, actor: Actor, now: datetime
) -> None:
    write(world.production, actor, now)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE audit_auditentry SET actor_id = 'usr_9'")
        cursor.execute("SET LOCAL session_replication_role = origin")
    text = browser_of(world.alice).post(f"{page}verify/").content.decode()
    assert "edited at number 1" in text


def test_an_objects_own_history(world: World, actor: Actor, now: datetime) -> None:
    scope = world.production
    write(scope, actor, now, before={"people": 31_204}, after={"people": 61_840})
    write(scope, actor, now, subject=chain.Subject("campaign", "cmp_2", "Other"))
    write(world.sandbox, actor, now)
    (line,) = timeline.for_subject(scope, "campaign", "cmp_1")

    assert (line.who, line.what, line.target) == ("Alice", "changed the campaign", "Spring renewal")
    assert line.note == "People: 31,204 → 61,840" and line.url == f"/{scope.path}/campaigns/cmp_1/"
    assert timeline.names(scope, ["cmp_1", "cmp_2", "cmp_3"]) == {"cmp_1": "Spring renewal", "cmp_2": "Other"}
    text = render_to_string("audit/_timeline.html", {"entries": [line], "subject": "cmp_1", "scope": scope})
    assert "changed the campaign" in text


def test_erased_names_leave_a_readable_line(world: World, actor: Actor, now: datetime) -> None:
    write(world.production, actor, now)
    EntryLabel.objects.all().delete()
    (line,) = timeline.for_subject(world.production, "campaign", "cmp_1")
    assert (line.who, line.target, line.ip) == ("Erased", "", "")
