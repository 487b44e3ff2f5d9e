"""Console pages of delivery: what they show, who may see them, what they change."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from audit.models import AuditEntry
from delivery import jobs, listing, tokens
from delivery.accounts import Account
from delivery.models import CapturedMail, SendJob, Suppression
from delivery.tests.conftest import Postbox, counters
from projects.scoping import Scope

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(world: Any, browser_of: Callable[..., Client]) -> Client:
    return browser_of(world.alice)


@pytest.fixture
def captured(scope: Scope, now: datetime) -> CapturedMail:
    raw = (
        b"Subject: Hello\r\nFrom: a@acme.example\r\nTo: u1@example.com\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>Hi <b>there</b><script>alert(1)</script></p>\r\n"
    )
    mark = tokens.token(environment_id=scope.environment_id, job_id=1, position=1)
    return CapturedMail.objects.create(
        environment_id=scope.environment_id, job_id=1, position=1, message_id=f"<{mark}@acme.example>",
        sender="a@acme.example", recipient="u1@example.com", subject="Hello", raw=raw, received_at=now,
    )  # fmt: skip


def test_messages_of_a_job_by_account_and_by_address(
    scope: Scope, alice: Client, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    postbox.rcpt = {"u2@example.com": "550 5.7.1 Not wanted"}.get
    job = make_job(3)
    deliver(job)
    base = f"/{scope.path}/jobs/{job.public_id}/messages/"

    everybody = alice.get(base).content.decode()
    assert all(f"u{number}@example.com" in everybody for number in (1, 2, 3))
    rejected = alice.get(f"{base}?account=rejected").content.decode()
    assert "u2@example.com" in rejected
    assert "u1@example.com" not in rejected
    assert "550 Not wanted" in rejected
    found = alice.get(f"{base}?q=U3@example.com").content.decode()
    assert "u3@example.com" in found
    assert "u1@example.com" not in found


def test_uncertain_messages_are_resolved_from_the_page(
    scope: Scope, alice: Client, make_job: Callable[..., SendJob], deliver: Callable[..., None], postbox: Postbox
) -> None:
    postbox.data = lambda server, envelope: "drop"
    job = make_job(2)
    deliver(job)
    shown = alice.get(f"/{scope.path}/jobs/{job.public_id}/messages/").content.decode()
    assert "2 messages may or may not have arrived" in shown

    answer = alice.post(
        f"/{scope.path}/jobs/{job.public_id}/resolve/", {"decision": "accepted", "reason": "In its log"}
    )

    assert answer.status_code == 302
    assert counters(job) == {"accepted": 2}
    entry = AuditEntry.objects.filter(action="delivery.resolved").get()
    assert entry.reason == "In its log"


def test_cancelled_and_pending_people_are_listed_though_no_message_exists(
    scope: Scope, now: datetime, alice: Client, make_job: Callable[..., SendJob]
) -> None:
    from delivery import finishing

    job = make_job(3)
    base = f"/{scope.path}/jobs/{job.public_id}/messages/"
    assert "u3@example.com" in alice.get(f"{base}?account=pending").content.decode()
    with transaction.atomic():
        jobs.cancel(scope=scope, job=job, now=now)
    finishing.settle(scope=scope, job_id=job.pk, now=now)
    assert "u3@example.com" in alice.get(f"{base}?account=cancelled").content.decode()
    assert "u3@example.com" not in alice.get(f"{base}?account=pending").content.decode()


def test_captured_mail_is_shown_in_a_frame_that_runs_nothing(
    scope: Scope, alice: Client, captured: CapturedMail
) -> None:
    assert "Hello" in alice.get(f"/{scope.path}/captured/").content.decode()
    detail = alice.get(f"/{scope.path}/captured/{captured.public_id}/").content.decode()
    assert '<iframe class="frame"' in detail
    assert "alert(1)" in detail, "the source is shown as text"
    assert "<script>alert(1)" not in detail
    body = alice.get(f"/{scope.path}/captured/{captured.public_id}/body/")
    assert "sandbox" in body["Content-Security-Policy"]
    assert "default-src 'none'" in body["Content-Security-Policy"]
    assert "<b>there</b>" in body.content.decode()


def test_an_address_is_suppressed_and_lifted_with_a_reason(scope: Scope, alice: Client) -> None:
    base = f"/{scope.path}/suppressions/"
    assert (
        alice.post(base, {"address": "No@Example.com", "channel": "email", "detail": "Asked by phone"}).status_code
        == 302
    )
    row = Suppression.objects.within(scope).get()
    assert row.address == "no@example.com"
    assert "no@example.com" in alice.get(base).content.decode()
    again = alice.post(base, {"address": "no@example.com", "channel": "email"})
    assert again.status_code == 422
    assert "on the suppression list already" in again.content.decode()
    assert alice.post(base, {"address": "not an address", "channel": "email"}).status_code == 422

    assert alice.post(f"{base}{row.public_id}/remove/", {}).status_code == 422
    assert Suppression.objects.within(scope).count() == 1
    assert alice.post(f"{base}{row.public_id}/remove/", {"reason": "Called back"}).status_code == 302
    assert not Suppression.objects.within(scope).exists()


def test_every_page_is_closed_to_strangers_and_to_roles_without_the_right(
    world: Any,
    scope: Scope,
    browser_of: Callable[..., Client],
    captured: CapturedMail,
    make_job: Callable[..., SendJob],
) -> None:
    job = make_job(1).public_id
    pages = (
        f"jobs/{job}/messages/", "captured/", f"captured/{captured.public_id}/", f"captured/{captured.public_id}/body/",
        "suppressions/",
    )  # fmt: skip
    bob, charlie, alice = browser_of(world.bob), browser_of(world.charlie), browser_of(world.alice)
    for name in pages:
        assert charlie.get(f"/{scope.path}/{name}").status_code == 404, name
        assert bob.get(f"/{scope.path}/{name}").status_code == 403, name
        assert alice.get(f"/{scope.path}/{name}").status_code == 200, name
        if name.count("/") > 1:
            assert alice.get(f"/{world.sandbox.path}/{name}").status_code == 404, name
    for name in (f"jobs/{job}/resolve/", f"jobs/{job}/retry/"):
        assert bob.post(f"/{scope.path}/{name}").status_code == 403
        assert alice.get(f"/{scope.path}/{name}").status_code == 405


def test_the_people_left_out_are_listed_with_their_reason_page_by_page(
    scope: Scope, make_job: Callable[..., SendJob], make_people: Callable[..., list[int]]
) -> None:
    from django.db import connection

    job = make_job(2, {"no_consent": 3})
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audiences_snapshotmember (taken_month, snapshot_id, position, environment_id, person_id,"
            " reason, address) SELECT %s, %s, -row_number() OVER (ORDER BY id), %s, id, 5, email FROM audiences_person"
            " WHERE id = ANY(%s)",
            [job.snapshot_month, job.snapshot_id, scope.environment_id, make_people(3, prefix="out")],
        )
    seen, after = [], 0
    while True:
        rows, following = listing.messages(scope=scope, job=job, account=Account.EXCLUDED, after=after, limit=2)
        seen += [(row.position, row.address, row.detail) for row in rows]
        if following is None:
            break
        after = following
    assert seen == [(-n, f"out{n}@example.com", "No consent") for n in (1, 2, 3)]
