"""What is wrong with a file or a row is named, in the file and as a dry run, and nothing is changed."""

from datetime import datetime

import pytest

from audiences import imports
from audiences.models import ImportRun, Person
from audiences.tests.conftest import Import, MakePerson, problems_of
from audit.models import AuditEntry
from lamba_campaigns.lib.errors import Conflict, Invalid
from projects.scoping import Actor, Scope

ROWS: list[tuple[str, str, str]] = [
    ("external_id,email", ",a@b.example", "missing"),
    ("external_id,email", "u9,nonsense", "invalid_address"),
    ("external_id,name", "u9,=1+1", "formula"),
    ("external_id,name", 'u9,"@SUM(A1)"', "formula"),
    ("external_id,name", "u9,+cmd|x", "formula"),
    ("external_id,name", 'u9,"two\nlines"', "control_character"),
    ("external_id,name", f"u9,{'x' * 201}", "too_long"),
    ("external_id,country", "u9,Germany", "invalid_country"),
    ("external_id,country", "u9,1", "invalid_country"),
    ("external_id,time_zone", "u9,Mars/X", "unknown_time_zone"),
    ("external_id,locale", "u9,german!", "invalid_locale"),
    ("external_id,membership", "u9,maybe", "invalid_membership"),
    ("external_id,consent.email", "u9,perhaps", "invalid_boolean"),
    ("external_id,trait.n:number", "u9,twelve", "invalid_number"),
    ("external_id,segment", "u9,vip people", "invalid_segment"),
    ("external_id,roles", f"u9,{'r' * 61}", "invalid_words"),
    ("external_id,name", "u1,Again", "repeated_person"),
    ("external_id,name", "u9,Ada,too,many", "wrong_cell_count"),
]


@pytest.mark.parametrize(("header", "row", "code"), ROWS, ids=[f"{case[2]}-{index}" for index, case in enumerate(ROWS)])
def test_one_wrong_row_is_named_and_nothing_is_imported(
    scope: Scope, load: Import, header: str, row: str, code: str
) -> None:
    run = load(f"{header}\nu1,\n{row}\nu2,\n")
    assert (run.state, run.row_count, run.problem_count) == ("refused", 3, 1)
    lines = {(line, found) for line, _, found in problems_of(scope, run)}
    assert lines == {(4 if "\n" in row else 3, code)}
    assert not Person.objects.within(scope).exists()
    assert not AuditEntry.objects.filter(action="people.imported").exists()


FILES: list[tuple[bytes, str]] = [
    (b"email\na@b.example\n", "missing_column"),
    (b"external_id,password\nu1,x\n", "unknown_column"),
    (b"external_id,user id\nu1,u1\n", "repeated_column"),
    (b"external_id,name\nu1,J\xf6rg\n", "not_utf8"),
    ("external_id,name\nu1,Jörg\n".encode("utf-16"), "not_utf8"),
    (b"external_id,name\nu1,a\x00b\n", "not_text"),
    (b'external_id,name\nu1,"open\n', "malformed_csv"),
    (b"external_id\n", "no_rows"),
    (b"\xef\xbb\xbf", "missing_column"),
    (",".join(["external_id", *(f"trait.t{n}" for n in range(100))]).encode() + b"\n", "too_many_columns"),
]


@pytest.mark.parametrize(("raw", "code"), FILES, ids=[f"{case[1]}-{index}" for index, case in enumerate(FILES)])
def test_an_unreadable_file_is_refused_with_its_reason(scope: Scope, load: Import, raw: bytes, code: str) -> None:
    run = load(raw)
    assert run.state == "refused" and run.problem
    assert [found for _, _, found in problems_of(scope, run)] == [code]
    assert not Person.objects.within(scope).exists()


def test_the_line_that_is_not_utf8_is_named(scope: Scope, load: Import) -> None:
    run = load(
        b"external_id,name\n" + b"u%d,ok\n" * 0 + b"".join(b"u%d,ok\n" % n for n in range(5000)) + b"x,J\xf6rg\n"
    )
    assert problems_of(scope, run) == [(5002, "", "not_utf8")]


def test_an_empty_upload_is_refused_at_once(scope: Scope, load: Import) -> None:
    with pytest.raises(Invalid, match="empty"):
        load(b"")
    assert not ImportRun.objects.within(scope).exists()


def test_a_refused_file_can_be_imported_without_its_wrong_rows_only(
    scope: Scope, actor: Actor, now: datetime, load: Import
) -> None:
    run = load("external_id,email\nu1,a@b.example\nu2,bad\n")
    with pytest.raises(Conflict, match="1 rows with problems"):
        imports.start(scope=scope, actor=actor, public_id=run.public_id, skip_invalid=False)
    imports.start(scope=scope, actor=actor, public_id=run.public_id, skip_invalid=True)
    imports.run(run_id=run.pk, now=now)
    assert imports.get(scope=scope, public_id=run.public_id).state == "done"


def test_the_problems_can_be_downloaded_without_formulas(scope: Scope, load: Import) -> None:
    run = load("external_id,name\nu1,=HYPERLINK(1)\n")
    lines = list(imports.problems_csv(scope=scope, run=run))
    assert lines[0] == "line,column,problem,detail,value\r\n"
    assert lines[1].startswith("2,name,formula,") and lines[1].endswith(",'=HYPERLINK(1)\r\n")


def test_a_refused_report_says_that_nobody_was_created(scope: Scope, load: Import) -> None:
    run = load("external_id,name\nu1,Ada\nu1,Again\nu2,Bob\n")
    assert (run.state, run.problem_count, run.created_count, run.updated_count) == ("refused", 1, 0, 0)
    assert problems_of(scope, run) == [(3, "external_id", "repeated_person")]


@pytest.mark.parametrize("text", [
    "external_id,name,segments\nu1,Ada,vip\nu2,=1,\nu1,Twice,\nu3,Bob,\n,Nobody,\nu9,Gone,\n",
    "external_id,roles\nu9,a\nu1,a;b\nu1,c\nu4,\n",
])  # fmt: skip
def test_a_dry_run_foretells_the_run(
    scope: Scope, now: datetime, load: Import, make_person: MakePerson, text: str
) -> None:
    make_person("u3", name="Bob")
    make_person("u9", deleted=True)
    dry = load(text, dry_run=True, skip_invalid=True)
    assert Person.objects.within(scope).count() == 2
    real = load(text, skip_invalid=True)
    assert (dry.state, real.state) == ("checked", "done")
    assert (dry.row_count, dry.problem_count, dry.created_count) == (
        real.row_count, real.problem_count, real.created_count,
    )  # fmt: skip
    assert problems_of(scope, dry) == problems_of(scope, real)
    assert Person.objects.within(scope).count() == 2 + real.created_count
