"""The suppression list as CSV: what is exported can be imported, twice, and a spreadsheet runs nothing of it."""

import csv
from collections.abc import Callable
from datetime import datetime
from io import StringIO
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from audiences.models import PersonFacts
from audit.models import AuditEntry
from delivery import suppression_files as files
from delivery.models import ConsentEvent, SendJob, Suppression
from delivery.tests.conftest import Postbox
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db
FILE = """\ufeffAddress,channel,Reason,detail
a@example.com,,complaint,=HYPERLINK("x")
A@Example.com,email,manual,again
+4915112345678,sms,,
nobody,,,
b@example.com,fax,,
c@example.com,,bored,

"""


def load(scope: Scope, actor: Actor, now: datetime, text: str = FILE) -> files.Imported:
    return files.take_in(scope=scope, actor=actor, data=text.encode(), how="api", now=now)


def test_an_import_adds_what_is_readable_and_names_the_lines_that_are_not(
    scope: Scope, actor: Actor, now: datetime
) -> None:
    found = load(scope, actor, now)

    assert (found.rows, found.added, found.standing) == (5, 2, 0)
    assert [(each.line, each.detail.split(" ")[0]) for each in found.problems] == [
        (5, "'nobody'"),
        (6, "'fax'"),
        (7, "'bored'"),
    ]
    assert sorted(Suppression.objects.within(scope).values_list("address", "channel", "reason")) == [
        ("+4915112345678", "sms", "imported"),
        ("a@example.com", "email", "complaint"),
    ]


def test_the_same_file_again_changes_nothing_and_is_audited_all_the_same(
    scope: Scope, actor: Actor, now: datetime
) -> None:
    load(scope, actor, now)
    before = list(Suppression.objects.within(scope).order_by("pk").values())
    again = load(scope, actor, now)
    assert (again.added, again.standing) == (0, 2)
    assert list(Suppression.objects.within(scope).order_by("pk").values()) == before
    assert ConsentEvent.objects.count() == 2
    said = [entry.after for entry in AuditEntry.objects.filter(action="suppression.imported").order_by("pk")]
    assert said == [
        {"rows": 5, "added": 2, "standing": 0, "wrong": 3},
        {"rows": 5, "added": 0, "standing": 2, "wrong": 3},
    ]


def test_an_imported_address_is_left_out_of_a_job_that_runs(
    scope: Scope, actor: Actor, now: datetime, make_people: Any, make_job: Callable[..., SendJob], deliver: Any,
    postbox: Postbox,
) -> None:  # fmt: skip
    people = make_people(2)
    job = make_job(2, people=people)
    load(scope, actor, now, "address\nu1@example.com\n")
    deliver(job)
    assert postbox.addresses() == ["u2@example.com"]
    masks = PersonFacts.objects.within(scope).order_by("pk").values_list("suppressed_mask", flat=True)
    assert list(masks) == [1, 0]


def test_an_export_is_audited_safe_to_open_and_can_be_imported_elsewhere(
    world: Any, scope: Scope, actor: Actor, now: datetime
) -> None:
    load(scope, actor, now)
    text = "".join(files.export(scope=scope, actor=actor, channel="", reason="", now=now))
    rows = list(csv.DictReader(StringIO(text)))
    assert [row["address"] for row in rows] == ["a@example.com", "'+4915112345678"]
    assert rows[0]["detail"] == '\'=HYPERLINK("x")'
    assert AuditEntry.objects.filter(action="export.made").count() == 1

    found = load(world.sandbox, actor, now, text)
    assert (found.added, found.problems) == (2, ())
    assert Suppression.objects.within(world.sandbox).filter(address="+4915112345678", channel="sms").exists()
    only = "".join(files.export(scope=scope, actor=actor, channel="sms", reason="", now=now))
    assert only.count("\r\n") == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "must name the columns"),
        (b"name\nx\n", "must name the columns"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"address\n" + b"a@example.com\n" * 100_002, "100,000 rows"),
        (b"x" * 5_000_001, "5,000,000 bytes"),
    ],
)
def test_a_file_that_is_none_is_refused_and_leaves_nothing(
    scope: Scope, actor: Actor, now: datetime, data: bytes, words: str
) -> None:
    with pytest.raises(Invalid, match=words):
        files.take_in(scope=scope, actor=actor, data=data, how="api", now=now)
    assert not Suppression.objects.within(scope).exists()


def test_the_cost_of_an_import_does_not_grow_with_its_rows(scope: Scope, actor: Actor, now: datetime) -> None:
    with CaptureQueriesContext(connection) as few:
        load(scope, actor, now, "address\n" + "".join(f"a{n}@example.com\n" for n in range(3)))
    with CaptureQueriesContext(connection) as many:
        load(scope, actor, now, "address\n" + "".join(f"b{n}@example.com\n" for n in range(900)))
    assert len(many) <= len(few) + 1


def test_rest_imports_and_exports(api: Callable[..., APIClient], scope: Scope) -> None:
    client = api()
    answer = client.post("/api/v1/suppressions/import", FILE.encode(), content_type="text/csv")
    assert answer.status_code == 200, answer.content
    assert answer.json() | {"problems": []} == {"rows": 5, "added": 2, "standing": 0, "wrong": 3, "problems": []}
    assert answer.json()["problems"][0]["line"] == 5
    out = client.get("/api/v1/suppressions.csv?reason=complaint")
    assert out["Content-Type"].startswith("text/csv")
    lines = b"".join(out.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert lines[1].startswith("a@example.com,email,complaint")
    assert client.post("/api/v1/suppressions/import", b"", content_type="text/csv").status_code == 422
    assert [row["channel"] for row in client.get("/api/v1/suppressions?channel=sms").json()["items"]] == ["sms"]
    assert client.get("/api/v1/suppressions?reason=manual").json()["items"] == []
    reader = api(permissions=["people.read"])
    assert reader.get("/api/v1/suppressions.csv").status_code == 403
    assert reader.post("/api/v1/suppressions/import", b"", content_type="text/csv").status_code == 403


def test_pages_filter_import_and_export(world: Any, scope: Scope, browser_of: Callable[..., Client]) -> None:
    alice, base = browser_of(world.alice), f"/{scope.path}/suppressions/"
    upload = SimpleUploadedFile("list.csv", FILE.encode(), content_type="text/csv")
    shown = alice.post(f"{base}import/", {"file": upload}).content.decode()
    assert "2 addresses added" in shown
    assert "Line 5:" in shown
    wrong = SimpleUploadedFile("list.csv", b"name\n", content_type="text/csv")
    refused = alice.post(f"{base}import/", {"file": wrong})
    assert (refused.status_code, "must name the columns" in refused.content.decode()) == (422, True)
    complaints = alice.get(f"{base}?reason=complaint").content.decode()
    assert "a@example.com" in complaints
    assert "+4915112345678" not in complaints
    lines = b"".join(alice.get(f"{base}export.csv?reason=complaint").streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2
    assert browser_of(world.charlie).get(base).status_code == 404
